"""``logs/hooks.log``: the tracebacks of what went wrong where nobody looks on."""

from __future__ import annotations

import contextlib
import traceback

from loki_hooks.errors import GitFailedError, LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.files import open_log
from loki_hooks.system.site import Site


def log_fault(site: Site, what: str, error: BaseException) -> bool:
    """Append the error's traceback under the heading ``what``; return whether it could be written."""
    with contextlib.suppress(LokiError, OSError):
        said = error.stderr if isinstance(error, GitFailedError) else ""
        text = "".join(traceback.format_exception(error)) + (f"{said.rstrip()}\n" if said else "")
        with open_log(site.folder("logs") / "hooks.log") as sink:
            sink.write(f"--- {now()} {what}\n{text}".encode("utf-8", "replace"))
        return True
    return False

"""``<common>/loki/integration``: the integration branch as it was when loki-hooks was turned on.

Where none is configured, git's own word for it (a remote's HEAD) can be changed by one `git symbolic-ref`, and with it
what is gated. So it is kept, with the clone's code over it: what others write there is not believed.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.site import Site
from loki_hooks.system.store.clone_key import code_over


def recorded_integration(site: Site) -> str:
    """Return the short name of the branch, '' where none is recorded."""
    code, _, branch = (read_plain(_path(site), 4096) or b"").decode("utf-8", "replace").rstrip("\n").partition(" ")
    return branch if branch and hmac.compare_digest(code.encode("utf-8", "replace"), _code(site, branch)) else ""


def record_integration(site: Site, branch: str) -> None:
    write_atomic(_path(site), f"{_code(site, branch).decode()} {branch}\n", 0o600)


def _path(site: Site) -> Path:
    return site.private / "integration"


def _code(site: Site, branch: str) -> bytes:
    return code_over(site, f"integration\0{branch}".encode("utf-8", "surrogateescape")).encode()

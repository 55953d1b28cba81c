"""``<common>/loki/integration``: the integration branch, and what it follows, as they were when loki-hooks was turned on.

Where none is configured, git's own word for it (a remote's HEAD) can be changed by one `git symbolic-ref`, and with it
what is gated; its upstream, and the remote's URL, by one `git config`. So they are kept, with the clone's code over them:
what others write there is not believed.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.json import parse_json
from loki_hooks.system.site import Site
from loki_hooks.system.store.clone_key import code_over


@dataclass(frozen=True)
class Recorded:
    """The ``branch``'s short name; ``upstream`` in words, with a hash of the remote's URL ('' for none)."""

    branch: str
    upstream: str = ""
    url: str = ""


def recorded(site: Site) -> Recorded | None:
    """Return what is recorded, None for nothing that is believed."""
    raw = read_plain(_path(site), 65_536)
    value = parse_json(raw) if raw else None
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(part, str) for part in value):
        return None
    code, *parts = value
    found = Recorded(*parts)
    known = found.branch and hmac.compare_digest(code.encode("utf-8", "replace"), _code(site, found).encode())
    return found if known else None


def record(site: Site, what: Recorded) -> None:
    import json

    write_atomic(_path(site), json.dumps([_code(site, what), what.branch, what.upstream, what.url]) + "\n", 0o600)


def _path(site: Site) -> Path:
    return site.private / "integration"


def _code(site: Site, what: Recorded) -> str:
    return code_over(site, f"integration\x00{what.branch}\x00{what.upstream}\x00{what.url}".encode("utf-8", "replace"))

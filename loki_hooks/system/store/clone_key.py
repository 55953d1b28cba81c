"""Codes that only this clone can make: over gate results, and over what was parsed of a configuration.

The key never leaves the clone (``<common>/loki/key``, mode 0600).
"""

from __future__ import annotations

import hmac
import os
from contextlib import suppress

from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.site import Site


def code_over(site: Site, data: bytes) -> str:
    """Return the clone's code over ``data`` (hexadecimal). Makes the key where there is none yet."""
    key = site.private / "key"
    secret = read_plain(key)
    if not secret:
        made = key.with_name(f".key.{os.getpid()}")
        write_atomic(made, os.urandom(32).hex(), mode=0o600)
        with suppress(FileExistsError):  # of many processes one makes it
            os.link(made, key)
        made.unlink(missing_ok=True)
        secret = read_plain(key)
        if not secret:
            raise LokiError(f"the clone's key {key} is empty or cannot be read", "remove it: a new one is made")
    return hmac.new(secret, data, "sha256").hexdigest()

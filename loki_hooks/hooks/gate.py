"""What both gates share: who asks, consent, and an environment that a test command can inherit."""

from __future__ import annotations

import os
import sys

from loki_hooks.hooks.caller import NATIVE, cleaned, framework
from loki_hooks.system.site import Site, discover


def say(text: str) -> None:
    """Narrate: git shows what a hook writes to stderr."""
    print(f"loki-hooks: {text}", file=sys.stderr, flush=True)


def enter() -> tuple[Site, str]:
    """Return the site and who runs us. From here on the environment is the user's own again, for all that we start."""
    env = dict(os.environ)
    by = framework(env)
    site = discover()
    if by != NATIVE:
        site.enable(by)
    os.environ.clear()
    os.environ.update(cleaned(env))
    return site, by

"""What both gates share: who asks, consent, and an environment that a test command can inherit."""

from __future__ import annotations

import os
import sys

from loki_hooks.hooks.caller import NATIVE, cleaned, framework
from loki_hooks.system.site import Site, discover, require_own


def say(text: str) -> None:
    """Narrate on stderr, which git shows, without URLs' credentials; what a test printed may not drive the terminal."""
    if "://" in text:
        from loki_hooks.domain.secrets import without_credentials

        text = without_credentials(text)
    safe = "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)
    print(safe, file=sys.stderr, flush=True)


def enter() -> tuple[Site, str]:
    """Return the site and who runs us. From here on the environment is the user's own again, for all that we start."""
    env = dict(os.environ)
    by = framework(env)
    site = require_own(discover())
    if by != NATIVE:
        site.enable(by)
    os.environ.clear()
    os.environ.update(cleaned(env))
    return site, by

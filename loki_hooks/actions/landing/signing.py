"""Commits that land are signed where git signs. A program that cannot sign, or waits for an answer, holds nobody up.

Every pass builds what may land. What failed is remembered in ``.git/loki/cannot-sign``, so that no more than a tenth of the
time is spent on trying again; a person who waits (`run`, `finish`) has it tried at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.merge import LandingCommit
from loki_hooks.errors import CannotSignError
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git.merges import commit_tree
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.site import Site

_SHORTEST, _LONGEST = 2.0, 300.0


def landing_commit(context: Context, tree: str, parents: Sequence[str], landing: LandingCommit) -> str:
    """Make a commit that may land, signed where git signs. Raises ``CannotSignError``, also while it is too early to try."""
    _require_time(context.site)
    began = time.monotonic()
    try:
        return commit_tree(context.git, tree, parents, landing.message, landing.author, signed=True)
    except CannotSignError as error:
        pause = min(max((time.monotonic() - began) * 10, _SHORTEST), _LONGEST)
        write_atomic(_file(context.site), dump_json({"at": now(), "pause": pause, "why": error.why}))
        raise


def _require_time(site: Site) -> None:
    known = read_json(_file(site))
    if not isinstance(known, dict):
        return
    age, pause = seconds_since(known.get("at", "")), known.get("pause")
    if age is not None and isinstance(pause, int | float) and 0 <= age < min(pause, _LONGEST):
        raise CannotSignError(str(known.get("why")))
    try_again(site)


def try_again(site: Site) -> None:
    """Have the next landing commit signed, whatever came of the last."""
    _file(site).unlink(missing_ok=True)


def _file(site: Site) -> Path:
    return site.private / "cannot-sign"

"""`loki-hooks cap`: how many sessions may run now. One integer on stdout, so that scripts can use it as it is."""

from __future__ import annotations

import click

from loki_hooks.actions.sessions.cap import current_cap
from loki_hooks.cli.console import answer, answer_json, say
from loki_hooks.domain.config import Config
from loki_hooks.errors import NotEnabledError
from loki_hooks.system.config.load import read_working
from loki_hooks.system.site import Site, discover


@click.command("cap")
@click.option("--json", "as_json", is_flag=True, help="Print {cap, dynamic, ceiling, reason, cpu, memory, warnings}.")
@click.option("--explain", is_flag=True, help="Say why, on stderr.")
@click.option("--no-sample", is_flag=True, help="Decide from the last snapshot as it is; measure nothing.")
def cap(as_json: bool, explain: bool, no_sample: bool) -> None:
    """Print how many sessions may run now.

    LOKI_MAX_PARALLEL_SESSIONS, else session.max, is the cap. With LOKI_DYNAMIC_CONCURRENCY=1 it follows the load of
    the machine: half of LOKI_MAX_PARALLEL_SESSIONS_CEILING when CPU or memory is high, 1 when either is critical.
    """
    site, config = _here()
    decision = current_cap(site, config, sample=not no_sample)
    for warning in (*config.warnings, *decision.warnings):
        say(warning)
    if explain:
        say(decision.reason)
    if as_json:
        answer_json(decision.to_json())
    else:
        answer(str(decision.cap))


def _here() -> tuple[Site | None, Config]:
    """Return the repository and its configuration, read without starting a process; all defaults outside of any.

    A bare layout has no working configuration file, so there ``session.max`` is its default.
    """
    try:
        site = discover()
    except NotEnabledError:
        return None, Config()
    return site, read_working(site) or Config()

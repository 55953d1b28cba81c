"""`doctor`: look at everything that can be broken, prove what is, and repair what can safely be repaired.

Each check looks at one thing and returns findings; one that fails is a finding itself and stops no other. Repairs are
in ``doctor_repair``: each looks again at what makes it safe, and is recorded as an event with its evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from loki_hooks.actions.context import Context
from loki_hooks.actions.doctor.gates import check_gates
from loki_hooks.actions.doctor.hooks import check_hooks, check_scripts
from loki_hooks.actions.doctor.locks import check_locks
from loki_hooks.actions.doctor.loki import check_configuration, check_loki, check_secrets, check_state, check_trust
from loki_hooks.actions.doctor.patches import check_patches
from loki_hooks.actions.doctor.refs import check_refs
from loki_hooks.actions.doctor.repair import mend
from loki_hooks.actions.doctor.settings import check_settings
from loki_hooks.actions.doctor.tools import check_disk, check_programs, check_versions
from loki_hooks.actions.doctor.worktrees import check_worktrees
from loki_hooks.domain.install.diagnosis import Finding
from loki_hooks.errors import LokiError
from loki_hooks.system.store import events

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

Check = Callable[[Context], list[Finding]]

CHECKS: dict[str, Check] = {
    "repository": check_settings,  # first: with core.bare flipped, much of the rest cannot be asked
    "locks": check_locks,
    "worktrees": check_worktrees,
    "gates": check_gates,
    "refs": check_refs,
    "loki": check_loki,
    "state": check_state,
    "scripts": check_scripts,
    "hooks": check_hooks,
    "configuration": check_configuration,
    "trust": check_trust,
    "secrets": check_secrets,
    "patches": check_patches,
    "programs": check_programs,
    "versions": check_versions,
    "disk": check_disk,
}


def diagnose(site: Site, *, fix: bool = False) -> list[Finding]:
    """Return what was found, in the order of ``CHECKS``; with ``fix``, after the repairs that are safe."""
    found: list[Finding] = []
    for name, check in CHECKS.items():
        looked = _look(name, check, site)
        if fix and any(finding.repair is not None for finding in looked):
            looked = [_mended(site, finding) for finding in looked]
        found += looked
    return found


def _look(name: str, check: Check, site: Site) -> list[Finding]:
    try:
        return check(Context(site))
    except LokiError as error:
        return [Finding(name, False, "this could not be looked at", error.message, error.hint or "")]
    except OSError as error:
        return [Finding(name, False, "this could not be looked at", str(error))]


def _mended(site: Site, finding: Finding) -> Finding:
    if finding.repair is None:
        return finding
    try:
        evidence = mend(site, finding.repair)
    except (LokiError, OSError) as error:
        why = error.message if isinstance(error, LokiError) else str(error)
        return replace(finding, evidence=f"{finding.evidence}; not repaired: {why}")
    if site.enabled:
        events.record(
            site,
            "repaired",
            detail=f"{finding.what}: {finding.repair.cure.value}",
            evidence={
                "check": finding.check,
                "target": finding.repair.target,
                "before": finding.evidence,
                "proof": evidence,
            },
        )
    return replace(finding, fixed=True, evidence="; ".join(filter(None, (finding.evidence, evidence))))

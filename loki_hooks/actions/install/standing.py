"""See to it that the gate stands where `install` put it: put back our own hooks, and only those; say what else is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.install.install import carry_out, plan_repair
from loki_hooks.domain.install.chain import SHIM_ID
from loki_hooks.domain.install.values import Configure, InstallStep, Move, Write
from loki_hooks.errors import LokiError
from loki_hooks.system.files import write_atomic
from loki_hooks.system.hooks.standing import LostHook, lost_hooks, take_away_renamed
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.locks import try_hold
from loki_hooks.system.store import events

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.system.site import Site


def stand_up(site: Site) -> None:
    """Put back the hooks of ours that another tool displaced, and record what is lost. Others' files are kept: they run.

    Of several processes one does it.
    """
    lock = try_hold(site.private / "hooks.lock")
    if lock is None:
        return
    with lock:
        _stand_up(site)


def _stand_up(site: Site) -> None:
    lost = lost_hooks(site)
    displaced = {hook.hook: hook for hook in lost if hook.displaced}
    if displaced:
        plan = plan_repair(site)
        steps = tuple(step for step in plan.steps if _is_own_entry(step, set(displaced)))
        carry_out(site, type(plan)(plan.way, plan.detected, steps), lambda _: None)
        for step in steps:
            if isinstance(step, Write):
                take_away_renamed(Path(step.path.removesuffix(".legacy")))
        lost = lost_hooks(site)
        back = sorted(set(displaced) - {hook.hook for hook in lost})
        if back:
            why = "; ".join(dict.fromkeys(displaced[name].why.replace(name, "HOOK") for name in back))
            events.record(site, "hooks-put-back", detail=f"{', '.join(back)}: {why}")
    _record_lost(site, lost)


def gate_warnings(context: Context) -> tuple[str, ...]:
    """Return, as sentences, what was changed of the gate by others, and what helps."""
    return tuple(filter(None, (*context.config.warnings, why_gate_is_off(context.site))))


def _is_own_entry(step: InstallStep, hooks: set[str]) -> bool:
    """Whether the step puts one of the hooks back: a file of ours, what stands in its place one down, or our setting."""
    match step:
        case Configure(key):
            return key.removeprefix("hook.loki-").rpartition(".")[0] in hooks
        case Write(path, data):
            return SHIM_ID.encode() in data and Path(path).name.removesuffix(".legacy") in hooks
        case Move(source):
            return Path(source).name.partition(".")[0] in hooks
        case _:
            return False


def _record_lost(site: Site, lost: tuple[LostHook, ...]) -> None:
    """Record once what git does not come to any more."""
    path = site.loki / "state" / "hooks-lost.json"
    known = {hook.hook: hook.why for hook in lost}
    if (read_json(path) or {}) == known:
        return
    site.folder("state")
    write_atomic(path, dump_json(known))
    if lost:
        events.record(site, "hooks-lost", detail=lost_in_words(lost))


def lost_in_words(lost: tuple[LostHook, ...]) -> str:
    """Return what is lost as a sentence, '' for nothing."""
    by_why: dict[str, list[str]] = {}
    for hook in lost:
        by_why.setdefault(hook.why.replace(hook.hook, "HOOK"), []).append(hook.hook)
    return "; ".join(f"git does not come to our {', '.join(names)}: {why}" for why, names in by_why.items())


def why_gate_is_off(site: Site) -> str:
    """Return what is lost of our hooks, with what helps, '' for nothing."""
    if not site.enabled:
        return ""
    try:
        said = lost_in_words(lost_hooks(site))
    except LokiError as error:
        said = error.message
    return f"{said}: `loki-hooks doctor` says what helps" if said else ""

"""Whether git comes to our hooks: in the main worktree, in each linked one, in a bare repository."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.install.install import plan_install
from loki_hooks.assets import asset_dir, template_text
from loki_hooks.domain.install.diagnosis import Cure, Finding, Repair
from loki_hooks.domain.install.values import HOOKS, InstallWay, Write
from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import list_worktrees
from loki_hooks.system.hooks.files import hooks_path
from loki_hooks.system.hooks.framework import find_config, read_config
from loki_hooks.system.hooks.probe import Answer, Lack, Prober
from loki_hooks.system.hooks.record import read_record

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.system.site import Site

_INSTALL = "loki-hooks install"


def check_hooks(context: Context) -> list[Finding]:
    """Prove for each worktree and each hook that is installed that git comes to our script."""
    site = context.site
    if not site.enabled:
        return [
            Finding(
                "hooks", False, f"loki-hooks is not on in {site.root}", f"there is no {site.enabled_marker}", _INSTALL
            )
        ]
    wanted = wanted_hooks(site)
    prober = Prober(site)
    found: list[Finding] = []
    for entry in list_worktrees(context.git):
        if not entry.path.is_dir():
            continue
        answers = [prober.ask(entry.path, hook) for hook in wanted]
        fired = [answer for answer in answers if answer.fired]
        if fired:
            names = ", ".join(answer.hook for answer in fired)
            how = "; ".join(dict.fromkeys(answer.how.replace(answer.hook, "HOOK") for answer in fired))
            all_of = f"{len(fired)} of {len(wanted)} hooks" if len(fired) < len(wanted) else "every hook"
            found.append(Finding("hooks", True, f"{all_of} of ours fires in {entry.path}", f"{names}: {how}"))
        found += _silent(site, entry.path, [answer for answer in answers if not answer.fired])
    if not found:
        found.append(Finding("hooks", False, "there is no worktree in which a hook could fire", "`git worktree list`"))
    return found


def wanted_hooks(site: Site) -> tuple[str, ...]:
    """Return the hooks that are meant to fire here: all, or those that the framework's configuration names."""
    record = read_record(site)
    base = site.main or site.here
    config = find_config(base)
    if record.way != InstallWay.NATIVE.value and config is not None:
        types = read_config(config, template_text("install/pre-commit-hook.yaml"), ())
        if types.remote or types.wanted == types.data:
            return tuple(name for name in HOOKS if name in types.types)
    return HOOKS


def _silent(site: Site, path: Path, answers: list[Answer]) -> list[Finding]:
    """Return the findings about hooks that did not answer: those with one reason are one finding."""
    found = []
    by_reason: dict[tuple[str, Lack | None], list[Answer]] = {}
    for answer in answers:
        if answer.not_executable:
            repair = Repair(Cure.MAKE_EXECUTABLE, answer.not_executable)
            found.append(
                Finding(
                    "hooks",
                    False,
                    f"{answer.hook} does not fire in {path}",
                    answer.why,
                    f"chmod +x {answer.not_executable}",
                    repair,
                )
            )
        else:
            by_reason.setdefault((answer.why.replace(answer.hook, "HOOK"), answer.lacks), []).append(answer)
    setting, scope = hooks_path(site, path)
    relative = bool(setting) and not setting.startswith(("/", "~"))
    for (why, lacks), those in by_reason.items():
        names = ", ".join(answer.hook for answer in those)
        evidence, todo = f"{names}: {why}", _INSTALL
        if scope == "worktree":
            evidence += f"; core.hooksPath is {setting}, for this worktree alone"
            todo = f"git -C {shlex.quote(str(path))} config --worktree --unset core.hooksPath"
        elif relative and lacks is Lack.HOOK_FILE:
            evidence += f"; core.hooksPath is {setting} ({scope}), which git looks up in each worktree"
            todo = (
                f"run husky's set-up in {path}"
                if ".husky" in setting
                else f"bring that folder into {path}, or make core.hooksPath absolute: git config core.hooksPath "
                f"{site.root / setting}"
            )
        elif lacks is Lack.CONFIGURATION:
            todo = f"bring .pre-commit-config.yaml into {path} (merge or rebase its branch)"
        found.append(
            Finding(
                "hooks",
                False,
                f"no {'hook' if len(those) > 1 else those[0].hook} of ours fires in {path}"
                if len(those) == len(HOOKS)
                else f"{names} does not fire in {path}",
                evidence,
                todo,
            )
        )
    return found


def check_scripts(context: Context) -> list[Finding]:
    """Our copied scripts are this version's, and the Python that they start is there."""
    site = context.site
    folder = site.private / "hooks"
    if not folder.is_dir() and read_record(site).way == "":
        return []  # a framework brings them in its own environment
    shipped = asset_dir("hooks")
    stale, closed = [], []
    for name in (*HOOKS, "prologue.sh"):
        if read_plain(folder / name) != (shipped / name).read_bytes():
            stale.append(name)
        elif name != "prologue.sh" and not os.access(folder / name, os.X_OK):
            closed.append(name)
    found = []
    copy = Repair(Cure.COPY_SCRIPTS)
    if stale:
        found.append(
            Finding(
                "scripts",
                False,
                "our hook scripts are another version's, or damaged",
                f"{', '.join(stale)} in {folder} differ from {shipped}",
                _INSTALL,
                copy,
            )
        )
    if closed:
        found.append(
            Finding(
                "scripts",
                False,
                "our hook scripts cannot be run",
                f"not executable: {', '.join(closed)}",
                _INSTALL,
                copy,
            )
        )
    gone = _python_gone(site)
    if gone:
        found.append(Finding("scripts", False, "the Python that our hooks start is gone", gone, _INSTALL, copy))
    if not found:
        found.append(Finding("scripts", True, "our hook scripts are this version's", f"{folder} equals {shipped}"))
    return found


def _python_gone(site: Site) -> str:
    pointer = site.private / "python"
    lines = (read_plain(pointer) or b"").decode("utf-8", "surrogateescape").splitlines()
    if len(lines) < 2:
        return f"{pointer} is missing or damaged"
    if not os.access(lines[0], os.X_OK):
        return f"{pointer} names {lines[0]}, which cannot be run"
    return "" if os.access(lines[1], os.R_OK) else f"{pointer} names {lines[1]}, which cannot be read"


def copy_scripts(site: Site) -> str:
    """Write our scripts, and the pointer to this Python, into our own folder of the git dir; return the evidence."""
    from loki_hooks.actions.install.install import carry_out

    plan = plan_install(site)
    ours = tuple(step for step in plan.steps if isinstance(step, Write) and step.private)
    if not ours:
        raise LokiError("there is nothing to write any more")
    carry_out(site, type(plan)(plan.way, plan.detected, ours), lambda _: None)
    return f"wrote {', '.join(Path(step.path).name for step in ours)} for {sys.executable}"

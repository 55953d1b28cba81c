"""What can be broken in our own things: ``.loki/``, the state, the configuration, the user's word, copied secrets."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.safe.snapshot import lost
from loki_hooks.domain.install.diagnosis import Cure, Finding, Repair
from loki_hooks.domain.refs import SAFE
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.config import trust
from loki_hooks.system.files import entries, read_plain
from loki_hooks.system.git.git import Git
from loki_hooks.system.json import parse_json
from loki_hooks.system.site import LOKI, Site
from loki_hooks.system.store.state import StateStore
from loki_hooks.system.trees import files_in
from loki_hooks.system.worktrees.environment import not_set_up

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context

_PLAIN_FOLDERS = (
    "state",
    "state/locks",
    "state/prompts",
    "state/notices",
    "state/gate-runs",
    "state/gate-runners",
    "state/gate-waits",
    "signals",
    "queue",
    "queue/spawn",
    "queue/docs",
    "queue/blog",
    "logs",
    "archive",
    "trash",
)
_MOST = 20_000


def check_loki(context: Context) -> list[Finding]:
    """``.loki/`` is there and is what it should be: folders, not links that lead out of it."""
    site = context.site
    if not site.enabled:
        return []
    if not os.path.lexists(site.loki):
        return [
            Finding(
                "loki",
                False,
                f"{site.loki} is gone",
                "loki-hooks is on here; `git clean -xdf` takes the folder away",
                "the next pass makes it again: loki-hooks run --once",
                Repair(Cure.MAKE_LOKI, str(site.loki)),
            )
        ]
    found = [
        Finding(
            "loki",
            False,
            f"{path} is {what}",
            "loki-hooks keeps its files there, and follows no link",
            f"look what it is, then move it away: mv {path} {path}.old",
        )
        for path, what in planted(site)
    ]
    if not (site.loki / ".gitignore").is_file() and not found:
        found.append(
            Finding(
                "loki",
                False,
                "git sees what is in .loki/",
                f"{site.loki / '.gitignore'} is missing",
                "the next pass makes it again: loki-hooks run --once",
                Repair(Cure.MAKE_LOKI, str(site.loki)),
            )
        )
    return found or [Finding("loki", True, ".loki/ is as it should be", f"no link and no FIFO below {site.loki}")]


def planted(site: Site) -> list[tuple[Path, str]]:
    """Return what stands in ``.loki/`` and was not made by us: (path, what it is). Follows nothing."""
    folders = [site.loki, *(site.loki / name for name in _PLAIN_FOLDERS)]
    found = [
        (path, _kind(path)) for path in folders if os.path.lexists(path) and not stat.S_ISDIR(path.lstat().st_mode)
    ]
    if found:
        return found
    count = 0
    with contextlib.suppress(OSError):  # a folder that is gone again, or too deep to be read
        for path in files_in(site.loki):
            kind = _kind(path)
            if kind:
                found.append((path, kind))
            count += 1
            if count > _MOST:
                break
    return found


def _kind(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"a link to {path.readlink()}"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return "a FIFO" if stat.S_ISFIFO(mode) else "no regular file"


def check_state(context: Context) -> list[Finding]:
    """The state can be read; copies that could not be are kept aside and named."""
    site = context.site
    path = StateStore(site).path
    found = []
    kept = [entry.name for entry in entries(path.parent) if ".corrupt-" in entry.name]
    if kept:
        found.append(
            Finding(
                "state",
                True,
                f"{len(kept)} unreadable copies of the state are kept aside",
                ", ".join(kept[-3:]),
                f"look at them in {path.parent}, then remove them",
            )
        )
    if os.path.lexists(path):
        raw = read_plain(path)
        value = parse_json(raw)
        if not isinstance(value, dict):
            what = "it is no regular file" if raw is None else f"{len(raw)} bytes that are no JSON object"
            found.append(
                Finding(
                    "state",
                    False,
                    "the state cannot be read",
                    f"{path}: {what}",
                    "the next pass keeps it aside and builds the state from git",
                    Repair(Cure.SET_STATE_ASIDE, str(path)),
                )
            )
            return found
        state = StateStore(site).read()
        without = {Status.ARCHIVED, Status.PLANNED}
        gone = sorted(
            r.stream for r in state.streams.values() if r.path and r.status not in without and not Path(r.path).exists()
        )
        if gone:
            found.append(
                Finding(
                    "state",
                    True,
                    f"streams without a worktree: {', '.join(gone)}",
                    str(path),
                    "`loki-hooks status` tells of each what to do",
                )
            )
        found.append(Finding("state", True, "the state can be read", f"{path}, {len(state.streams)} streams"))
    elif site.enabled:
        found.append(Finding("state", True, "there is no state yet", f"no {path}"))
    return [*found, *_lost_worktrees(context)]


def _lost_worktrees(context: Context) -> list[Finding]:
    gone = lost(context, context.store.read())
    if not gone:
        return []
    return [
        Finding(
            "state",
            True,
            f"worktrees that are gone: {', '.join(safe.stream for safe in gone)}",
            f"their snapshots are there: {', '.join(f'{SAFE}{safe.stream} of {safe.time[:19]}Z' for safe in gone)}",
            "`loki-hooks restore NAME` brings each back, with what was uncommitted",
        )
    ]


def check_configuration(context: Context) -> list[Finding]:
    """The configuration can be read; what in it has no effect is named. (An error raises, and is told by `doctor`.)"""
    config = context.config
    found = [
        Finding(
            "configuration",
            False,
            "something in the configuration has no effect",
            warning,
            "correct it, or take it out",
        )
        for warning in dict.fromkeys((*config.working.warnings, *config.in_force.warnings))
    ]
    if config.not_in_force:
        tables = ", ".join(config.not_in_force)
        found.append(
            Finding(
                "configuration",
                True,
                f"{tables} of the working copy: not in force",
                f"what gates a merge is read from the commit of {config.integration}",
                "commit and land it",
            )
        )
    if not config.in_force.gates:
        found.append(
            Finding(
                "configuration",
                True,
                f"no gate is configured on {config.integration}",
                "nothing lands by itself",
                "`loki-hooks install` proposes one; commit loki-hooks.toml",
            )
        )
    left = not_set_up(context.site.main, config.in_force.environment) if context.site.main else ""
    if left:
        found.append(Finding("configuration", True, "set-up does not install everything", left))
    return found or [
        Finding(
            "configuration", True, "the configuration is in force", context.config.in_force.source or "all defaults"
        )
    ]


def check_trust(context: Context) -> list[Finding]:
    """The user's word for what the repository runs; and that nobody else can write it."""
    site = context.site
    found = []
    path = trust.trust_file()
    if path.is_file():
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            found.append(
                Finding(
                    "trust",
                    False,
                    "others can read or write what you trust",
                    f"{path} has mode {mode:04o}",
                    f"chmod 600 {path}",
                    Repair(Cure.MAKE_PRIVATE, str(path)),
                )
            )
    if site.enabled:
        reason = untrusted_reason(context)
        if reason:
            found.append(
                Finding(
                    "trust",
                    False,
                    "this repository's commands are not trusted",
                    reason,
                    "loki-hooks trust --show, then loki-hooks trust",
                )
            )
        else:
            how = "LOKI_TRUST" if trust.by_environment(site) else str(path)
            found.append(Finding("trust", True, "what this repository runs is trusted", how))
    return found


def check_secrets(context: Context) -> list[Finding]:
    """Copied environment files: hidden from git where they are, and not readable by more people than their source."""
    site = context.site
    found = []
    looked = 0
    for record in context.store.read().streams.values():
        tree = Path(record.path)
        if not record.copied or not record.path or not (tree / ".git").exists():
            continue
        git = Git(tree)
        for name, _ in record.copied:
            path = tree / name
            if not path.is_file() or path.is_symlink():
                continue
            looked += 1
            if git.ok("ls-files", "--error-unmatch", "--", name):
                found.append(
                    Finding(
                        "secrets",
                        False,
                        f"{name}, which was copied into {tree}, is tracked there",
                        "`git ls-files` lists it",
                        f"git -C {tree} rm --cached {name}",
                    )
                )
            elif not git.ok("check-ignore", "-q", "--", name):
                found.append(
                    Finding(
                        "secrets",
                        False,
                        f"{name}, which was copied into {tree}, can be added by `git add .`",
                        "`git check-ignore` does not know it",
                        f"put {name} into .gitignore",
                    )
                )
            source = (site.main or site.root) / name
            if source.is_file() and stat.S_IMODE(path.stat().st_mode) & ~stat.S_IMODE(source.stat().st_mode) & 0o077:
                found.append(
                    Finding(
                        "secrets",
                        False,
                        f"{path} can be read by more people than {source}",
                        f"mode {stat.S_IMODE(path.stat().st_mode):04o}",
                        f"chmod --reference={source} {path}",
                    )
                )
    return found or [
        Finding(
            "secrets",
            True,
            "copied files are kept out of git",
            f"{looked} copied files, `git check-ignore`; {LOKI}/ ignores itself",
        )
    ]

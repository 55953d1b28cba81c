"""The configuration as values. Read and checked in ``system/config.py``; every key has a default."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from loki_hooks.domain.names import DEFAULT_BRANCHES

Command = str | tuple[str, ...]
"""A string for sh, or an argument vector."""

PRESETS: Mapping[str, tuple[str, ...]] = {
    "claude": ("claude", "--dangerously-skip-permissions", "-p", "{prompt}"),
    "codex": ("codex", "exec", "--dangerously-bypass-approvals-and-sandbox", "{prompt}"),
    "gemini": ("gemini", "--yolo", "-p", "{prompt}"),
    "aider": ("aider", "--yes-always", "--message-file", "{prompt_file}"),
    "opencode": ("opencode", "run", "{prompt}"),
}


@dataclass(frozen=True)
class Agent:
    name: str
    command: Command


@dataclass(frozen=True)
class Session:
    agent: str = "claude"
    max: int = 3
    timeout: float = 0
    commit: str = "all"


@dataclass(frozen=True)
class Environment:
    copy: tuple[str, ...] = (".env", ".env.*")
    link: tuple[str, ...] = ()
    set: Mapping[str, str] = field(default_factory=dict)
    setup: Command | bool = "auto"
    """``"auto"``, a command, or False."""
    ports: int = 0


@dataclass(frozen=True)
class Gate:
    name: str
    command: Command
    branches: tuple[str, ...] = ("{streams}", "{integration}")
    timeout: float = 1800
    retries: int = 0
    worktree: str = "testing"
    flaky_passes: bool = False
    fingerprint: tuple[str, ...] = ()
    """What else belongs to the environment that a result is true in, as words (a compiler's version, say)."""

    def guards(self, branch: str, *, integration: str, is_stream: bool) -> bool:
        """Return whether a push of ``branch`` (short name) is gated by this gate."""
        for pattern in self.branches:
            if pattern == "{streams}":
                if is_stream:
                    return True
            elif fnmatch.fnmatchcase(branch, pattern.replace("{integration}", integration)):
                return True
        return False


@dataclass(frozen=True)
class Merge:
    auto: bool = True
    how: str = "no-ff"
    how_by_kind: Mapping[str, str] = field(default_factory=dict)
    batch: int = 8
    push: bool = False
    additive: tuple[str, ...] = ("CHANGELOG*",)

    def how_of(self, kind: str) -> str:
        """Return how a stream of this kind lands: ``no-ff`` or ``squash``."""
        return self.how_by_kind.get(kind, self.how)


@dataclass(frozen=True)
class Cleanup:
    auto: bool = True
    retention_days: int = 30
    """0: nothing expires."""
    caches: tuple[str, ...] = ()
    """Patterns of ignored paths that tools rebuild, beside the documented list."""


@dataclass(frozen=True)
class Sync:
    how: str = "rebase"
    """``rebase`` or ``merge``."""


@dataclass(frozen=True)
class Docs:
    paths: tuple[str, ...] = ("README*", "docs/**")
    auto: bool = False


@dataclass(frozen=True)
class Config:
    """``source`` says where it was read from ('' for: all defaults); ``warnings`` are for a person to see."""

    integration_branch: str = ""
    worktree_path: str = "../{project}-{stream}"
    branches: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_BRANCHES))
    agents: Mapping[str, Agent] = field(default_factory=lambda: {n: Agent(n, c) for n, c in PRESETS.items()})
    session: Session = field(default_factory=Session)
    environment: Environment = field(default_factory=Environment)
    gates: Mapping[str, Gate] = field(default_factory=dict)
    push_budget: float = 240
    accept_results: str = "own"
    """Which gate results count: ``own`` (made in this clone) or ``all``, those that were fetched too."""
    merge: Merge = field(default_factory=Merge)
    cleanup: Cleanup = field(default_factory=Cleanup)
    sync: Sync = field(default_factory=Sync)
    docs: Docs = field(default_factory=Docs)
    source: str = ""
    warnings: tuple[str, ...] = ()

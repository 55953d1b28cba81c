"""The configuration as values. Read and checked in ``system/config/load.py``; every key has a default."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.names import DEFAULT_BRANCHES
from loki_hooks.domain.sessions.agents import PRESETS, Agent, Command, Launch, RateLimit
from loki_hooks.domain.streams.stages import BUILD


@dataclass(frozen=True)
class Session:
    agent: str = "claude"
    max: int = 3
    timeout: float = 0
    commit: str = "all"
    model: str = ""
    args: tuple[str, ...] = ()
    read_dirs: tuple[str, ...] = ()
    stages: tuple[str, ...] = (BUILD,)
    kinds: Mapping[str, Launch] = field(default_factory=dict)
    memory: bool = False
    """Whether the dynamic cap also asks if one more session fits in the memory that is free."""
    rate_limit: RateLimit = field(default_factory=RateLimit)

    def launch(self, kind: str, agent: str = "") -> Launch:
        """Return how a stream of this kind is started. A model and words are one agent's: another one gets none of them."""
        mine = self.kinds.get(kind, Launch())
        chosen = agent or mine.agent or self.agent
        of_kind = mine if chosen == (mine.agent or self.agent) else Launch()
        of_all = Launch(self.agent, self.model, self.args) if chosen == self.agent else Launch()
        return Launch(
            chosen,
            of_kind.model or of_all.model,
            of_kind.args or of_all.args,
            mine.read_dirs or self.read_dirs,
            mine.stages or self.stages,
        )


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
    keep: tuple[str, ...] = ()
    """Ignored files that may stay from one run to the next, as patterns of gitignore(5)."""
    fresh: bool = False
    """Whether each run has a worktree made for it."""

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
    how: Way = Way.NO_FF
    how_by_kind: Mapping[str, Way] = field(default_factory=dict)
    batch: int = 8
    push: bool = False
    additive: tuple[str, ...] = ("CHANGELOG*",)

    def how_of(self, kind: str) -> Way:
        """Return how a stream of this kind lands."""
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
    """Whether a docs stream is started when items wait."""


@dataclass(frozen=True)
class Blog:
    path: str = ""
    """The folder of the posts; '': looked for."""
    auto: bool = False


@dataclass(frozen=True)
class Config:
    """``source`` says where it was read from ('' for: all defaults); ``warnings`` are for a person to see."""

    integration_branch: str = ""
    worktree_path: str = "../{project}-{stream}"
    worktrees_max: int | None = None
    """With so many streams' worktrees nothing makes another by itself; a spawn by hand always does. None: no limit."""
    branches: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_BRANCHES))
    agents: Mapping[str, Agent] = field(default_factory=lambda: dict(PRESETS))
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
    blog: Blog = field(default_factory=Blog)
    source: str = ""
    warnings: tuple[str, ...] = ()

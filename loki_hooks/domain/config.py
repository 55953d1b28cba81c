"""The configuration as values: every key of the file is a field here, with its default and its limits.

`system/config/load.py` reads the file by these types. What a field is called, the key is called; a field marked ``OURS`` is
no key.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.limits import (
    OURS,
    Check,
    EmptyOrTemplate,
    IgnorePattern,
    Kind,
    Limit,
    SafeName,
    Seconds,
    Template,
    Text,
    Variable,
)
from loki_hooks.domain.names import DEFAULT_BRANCHES
from loki_hooks.domain.sessions.agents import PRESETS, Agent, Command, Launch, RateLimit, Stages
from loki_hooks.domain.streams.stages import BUILD


@dataclass(frozen=True)
class Worktrees:
    path: Template = "../{project}-{stream}"
    max: Annotated[int, Limit(ge=1)] | None = None
    """With so many streams' worktrees nothing makes another by itself; a spawn by hand always does. None: no limit."""


@dataclass(frozen=True)
class Session:
    agent: Text = "claude"
    max: Annotated[int, Limit(ge=1)] = 3
    timeout: Seconds = 0
    commit: Literal["all", "never"] = "all"
    model: Text = ""
    args: tuple[Text, ...] = ()
    read_dirs: tuple[Text, ...] = ()
    stages: Stages = (BUILD,)
    kinds: Mapping[Text, Launch] = field(default_factory=dict)
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
    copy: tuple[Text, ...] = (".env", ".env.*")
    link: tuple[Text, ...] = ()
    set: Mapping[Variable, EmptyOrTemplate] = field(default_factory=dict)
    setup: Literal["auto", False] | Command = "auto"
    """``"auto"``, a command, or False."""
    ports: Annotated[int, Limit(ge=0, le=100)] = 0


@dataclass(frozen=True)
class Gate:
    name: str = field(metadata=OURS)
    command: Command
    branches: tuple[Text, ...] = ("{streams}", "{integration}")
    timeout: Annotated[float, Limit(gt=0, allow_inf_nan=False)] = 1800
    retries: Annotated[int, Limit(ge=0, le=10)] = 0
    worktree: SafeName = "testing"
    flaky_passes: bool = False
    fingerprint: tuple[str, ...] = ()
    """What else belongs to the environment that a result is true in, as words (a compiler's version, say)."""
    keep: tuple[IgnorePattern, ...] = ()
    """Ignored files that may stay from one run to the next, as patterns of gitignore(5)."""
    fresh: bool = False
    """Whether each run has a worktree made for it."""
    environment: bool = False
    """Whether runs get what ``environment.copy`` and ``environment.link`` bring into streams."""

    def guards(self, branch: str, *, integration: str, is_stream: bool, is_adopted: bool) -> bool:
        """Return whether a push of ``branch`` (short name) is gated by this gate.

        ``is_stream``: it is one by its name, or we made it; ``is_adopted``: another one's worktree has been adopted.
        """
        words = {"{streams}": is_stream, "{adopted}": is_adopted}
        for pattern in self.branches:
            if pattern in words:
                if words[pattern]:
                    return True
            elif fnmatch.fnmatchcase(branch, pattern.replace("{integration}", integration)):
                return True
        return False


@dataclass(frozen=True)
class Merge:
    auto: bool = True
    how: Way | Mapping[Text, Way] = Way.NO_FF
    """For all streams, or by kind; a kind that is not named lands as by default."""
    batch: Annotated[int, Limit(ge=1, le=64)] = 8
    push: bool = False
    additive: tuple[Text, ...] = ("CHANGELOG*",)

    def how_of(self, kind: str) -> Way:
        """Return how a stream of this kind lands."""
        return self.how if isinstance(self.how, Way) else self.how.get(kind, Way.NO_FF)


@dataclass(frozen=True)
class Push:
    budget: Seconds = 240


@dataclass(frozen=True)
class Results:
    accept: Literal["own", "all"] = "own"
    """Which gate results count: ``own`` (made in this clone) or ``all``, those that were fetched too."""


@dataclass(frozen=True)
class Cleanup:
    auto: bool = True
    retention_days: Annotated[int, Limit(ge=0)] = 30
    """0: nothing expires."""
    caches: tuple[Text, ...] = ()
    """Patterns of ignored paths that tools rebuild, beside the documented list."""


@dataclass(frozen=True)
class Sync:
    how: Literal["rebase", "merge"] = "rebase"


@dataclass(frozen=True)
class Docs:
    paths: tuple[Text, ...] = ("README*", "docs/**")
    ignore: tuple[Text, ...] = ()
    """Neither sources nor documents."""
    surface: Literal["auto", "library", "application"] = "auto"
    """Whether others import the modules of the project."""
    auto: bool = False
    """Whether a docs stream is started when items wait."""


def _outside(folder: str) -> str:
    return "it is a folder of the repository" if ".." in folder.split("/") else ""


@dataclass(frozen=True)
class Blog:
    path: Annotated[str, Limit(pattern=r"^[^/.].*$"), Check(_outside)] = ""
    """The folder of the posts; '': looked for."""
    auto: bool = False


@dataclass(frozen=True)
class Config:
    """``source`` says where it was read from ('' for: all defaults); ``warnings`` are for a person to see."""

    integration_branch: Text = ""
    worktrees: Worktrees = field(default_factory=Worktrees)
    branches: Mapping[Kind, Template] = field(default_factory=lambda: dict(DEFAULT_BRANCHES))
    agents: Mapping[Text, Agent] = field(default_factory=lambda: dict(PRESETS))
    session: Session = field(default_factory=Session)
    environment: Environment = field(default_factory=Environment)
    gates: Mapping[SafeName, Gate] = field(default_factory=dict)
    push: Push = field(default_factory=Push)
    results: Results = field(default_factory=Results)
    merge: Merge = field(default_factory=Merge)
    cleanup: Cleanup = field(default_factory=Cleanup)
    sync: Sync = field(default_factory=Sync)
    docs: Docs = field(default_factory=Docs)
    blog: Blog = field(default_factory=Blog)
    ignored_branches: tuple[Text, ...] = field(default=(), metadata=OURS)
    """``branches.ignore``: worktrees on such branches (globs) are not adopted."""
    source: str = field(default="", metadata=OURS)
    warnings: tuple[str, ...] = field(default=(), metadata=OURS)

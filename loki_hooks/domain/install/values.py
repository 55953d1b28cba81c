"""What installing looks at (facts) and does (steps), as values: `--dry-run` prints the steps, `install` takes them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

HOOKS = ("post-checkout", "post-merge", "post-rewrite", "pre-push", "pre-merge-commit", "post-commit")
BESIDE_FRAMEWORK = "post-commit"
"""A framework prints lines of its own for each hook that it runs: this one is git's, and silent when there is nothing to say."""
THROUGH_FRAMEWORK = tuple(name for name in HOOKS if name != BESIDE_FRAMEWORK)


class InstallWay(Enum):
    NATIVE = "native"
    PRE_COMMIT = "pre-commit"


class Owner(Enum):
    """Who wrote a hook file."""

    OURS = "loki-hooks"
    PRE_COMMIT = "pre-commit"
    PREK = "prek"
    FOREIGN = "another tool"


# The plan -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Write:
    """Make ``path`` be ``data`` with ``mode`` (None: the mode it has, 0644 for a new one).

    ``inserted`` are the pieces of ``data`` that are ours where the rest is the user's. ``private``: in our own folder
    of the git dir, which goes as a whole.
    """

    path: str
    data: bytes
    mode: int | None
    why: str
    inserted: tuple[str, ...] = ()
    private: bool = False

    def __str__(self) -> str:
        return f"write {self.path}: {self.why}"


@dataclass(frozen=True)
class Move:
    source: str
    target: str

    def __str__(self) -> str:
        return f"move {self.source} to {self.target}: it is run first, as before"


@dataclass(frozen=True)
class Configure:
    """Set ``key`` in the repository's own git configuration."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"git config {self.key} {shlex.quote(self.value)}"


@dataclass(frozen=True)
class RunInstaller:
    """Run a framework's own installer, which writes the files in ``watch``."""

    argv: tuple[str, ...]
    cwd: str
    watch: tuple[str, ...]

    def __str__(self) -> str:
        return f"run `{shlex.join(self.argv)}`"


@dataclass(frozen=True)
class TurnOn:
    """Record that loki-hooks is on here, and make ``.loki/``."""

    marker: str
    loki: str

    def __str__(self) -> str:
        return f"turn loki-hooks on: {self.marker}, {self.loki}/"


InstallStep = Write | Move | Configure | RunInstaller | TurnOn


@dataclass(frozen=True)
class InstallPlan:
    """``detected`` is one line for people, ``notes`` what they should know or do; ``steps`` empty: nothing to do."""

    way: InstallWay
    detected: str
    steps: tuple[InstallStep, ...]
    notes: tuple[str, ...] = ()


# The facts ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrameworkConfig:
    """A ``.pre-commit-config.yaml`` and what it would be with us in it (equal when there is nothing to add)."""

    path: str
    data: bytes
    wanted: bytes
    inserted: tuple[str, ...]
    changes: tuple[str, ...]
    """What was added, for people."""
    types: tuple[str, ...]
    """Which of our hooks run through it."""
    remote: bool
    """They are named there as hooks of a repository: the file is left alone."""


@dataclass(frozen=True)
class InstallFacts:
    common: str
    loki: str
    enabled: bool
    base: str
    """The worktree whose files are looked at, '' where there is none."""
    hooks_folder: str
    own_folder: bool
    """The hooks folder is ``<common>/hooks`` itself, whose ``..`` is the common git dir."""
    hooks_path: str
    """``core.hooksPath``, '' when unset."""
    hooks_path_scope: str
    """Where it is set: ``local`` or another of git's words."""
    config_hooks: bool
    chains: Mapping[str, tuple[Owner, ...]]
    contents: Mapping[str, bytes]
    """What the files that may be written hold now; absent ones are missing."""
    modes: Mapping[str, int]
    configured: Mapping[str, str]
    """``hook.loki-*`` in the repository's git configuration."""
    scripts: Mapping[str, bytes]
    """Our scripts by file name."""
    python: str
    main: str
    templates: Mapping[str, str]
    lefthook: bool = False
    programs: Mapping[str, str] = field(default_factory=dict)
    """``pre-commit`` and ``prek`` → path, those that are found."""
    framework_config: FrameworkConfig | None = None
    prek_toml: bool = False
    proposal: Write | None = None
    """A ``loki-hooks.toml`` with a proposed gate, where no configuration exists."""
    shortfalls: tuple[str, ...] = ()
    """What will not happen here by itself, as sentences."""
    frameworks: tuple[str, ...] = ()
    """The frameworks (``pre-commit``, ``prek``) that own a script in the hooks folder, for whatever hook."""
    installed_way: InstallWay | None = None

    @property
    def husky(self) -> str:
        """Where husky's user keeps hook scripts, '' without husky."""
        path = self.hooks_path.rstrip("/")
        if not self.base or path.rpartition("/")[2] not in {"_", ".husky"} or ".husky" not in path:
            return ""
        return f"{self.base}/{path.removesuffix('/_')}" if not path.startswith("/") else path.removesuffix("/_")

"""The configuration: ``loki-hooks.toml`` at the root, or ``[tool.loki-hooks]`` in ``pyproject.toml``.

Two readings matter. What people and sessions use comes from the main worktree's files. What gates a merge
comes from the integration branch's *commit*, so that no stream can change the gate it is measured by.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.domain.config import Blog, Cleanup, Config, Docs, Environment, Gate, Merge, Session, Sync
from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.names import nearest
from loki_hooks.domain.sessions.agents import PRESETS, Agent, Command, Launch, RateLimit
from loki_hooks.errors import BadInputError
from loki_hooks.system.config.cache import remembered
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git
from loki_hooks.system.site import Site

if TYPE_CHECKING:
    from pydantic import BaseModel

FILE = "loki-hooks.toml"
PYPROJECT = "pyproject.toml"


@dataclass(frozen=True)
class Effective:
    """``working`` from the main worktree's files; ``in_force`` from the integration branch's commit."""

    working: Config
    in_force: Config
    integration: str
    """The integration branch's short name."""

    @property
    def not_in_force(self) -> tuple[str, ...]:
        """Which gate-relevant tables differ in the working copy, so far without effect."""
        return _differing(self.working, self.in_force)

    def not_in_force_at(self, git: Git, commit: str) -> tuple[str, ...]:
        """Return which of them differ in the commit of a stream, which is gated without regard to that.

        Raises ``BadInputError`` when the configuration there cannot be read.
        """
        return _differing(_choose(None, lambda name: git.show_file(commit, name), f"{commit[:12]}:"), self.in_force)


def _differing(here: Config, there: Config) -> tuple[str, ...]:
    pairs = {"gates": (here.gates, there.gates), "environment": (here.environment, there.environment)}
    return tuple(name for name, (one, other) in pairs.items() if one != other)


def load(site: Site, git: Git) -> Effective:
    """Return the effective configuration. Raises ``BadInputError`` that lists every error, each with its path."""
    working = read_working(site)
    if working is None and site.main is None:
        head = git.maybe("symbolic-ref", "--short", "HEAD")
        working = read_commit(site, git, f"refs/heads/{head}") if head else Config()
    working = working or Config()
    chosen = os.environ.get("LOKI_AGENT", "").strip()
    if chosen:
        session = working.session
        if chosen != session.agent:  # what is set for one agent is not for another
            session = replace(session, agent=chosen, model="", args=())
        kinds = {
            kind: launch if launch.agent in {"", chosen} else Launch(read_dirs=launch.read_dirs, stages=launch.stages)
            for kind, launch in session.kinds.items()
        }
        working = replace(working, session=replace(session, kinds=kinds))
    integration = working.integration_branch or default_integration(git)
    in_force = read_commit(site, git, f"refs/heads/{integration}")
    return Effective(working, in_force, integration)


def read_working(site: Site) -> Config | None:
    """Return the main worktree's configuration, all defaults when it has no file; None where there is no main worktree."""
    if site.main is None:
        return None
    return _choose(site, lambda name: _read_file(site.root / name), "")


def read_commit(site: Site, git: Git, revision: str) -> Config:
    """Return the configuration in the commit ``revision``; all defaults when it has none, or does not exist."""
    return _choose(site, lambda name: git.show_file(revision, name), f"{revision.removeprefix('refs/heads/')}:")


def _read_file(path: Path) -> bytes | None:
    return read_plain(path.resolve()) if path.is_file() else None


def _choose(site: Site | None, read: Callable[[str], bytes | None], prefix: str) -> Config:
    """Return the configuration in the file that there is. ``site``: where to remember it, None for not at all."""
    for name, table in ((FILE, ()), (PYPROJECT, ("tool", "loki-hooks"))):
        raw = read(name)
        if raw is not None and (not table or b"loki-hooks" in raw):
            parse_it = partial(parse, raw, f"{prefix}{name}", table)
            return remembered(site, raw, f"{prefix}{name}", parse_it) if site else parse_it()
    return Config()


def default_integration(git: Git) -> str:
    """Return the integration branch where none is configured: the remote's HEAD, else main, else master, else HEAD's."""
    remote = git.maybe("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
    heads = git.refs("refs/heads/main", "refs/heads/master")
    if remote:
        return remote.removeprefix("refs/remotes/origin/")
    for name in ("main", "master"):
        if f"refs/heads/{name}" in heads:
            return name
    unborn = git.maybe("symbolic-ref", "--quiet", "--short", "HEAD")
    return unborn if unborn and not heads and not git.ok("rev-parse", "-q", "--verify", "HEAD") else "main"


def parse(raw: bytes, source: str, table: tuple[str, ...] = ()) -> Config:
    """Return the configuration in ``raw`` (TOML). Raises ``BadInputError`` with every error at once."""
    import tomllib

    try:
        value: Any = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInputError(f"{source} is not valid TOML: {error}", "correct it; nothing was done") from error
    for key in table:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    if table and not value:
        return Config()
    from pydantic import ValidationError

    from loki_hooks.system.config.schema import File

    try:
        file = File.model_validate(value)
    except ValidationError as error:
        lines = []
        for found in error.errors(include_url=False):
            where = ".".join(str(part) for part in found["loc"] if not _is_union_step(part))
            lines.append(f"{where}: {found['msg'].removeprefix('Value error, ')}")
        unique = list(dict.fromkeys(lines))
        raise BadInputError(
            f"{source} has {len(unique)} error{'s' if len(unique) > 1 else ''}:\n  " + "\n  ".join(unique),
            "every key and its default is listed in the README",
        ) from error
    return _to_config(file, source)


def _is_union_step(part: object) -> bool:
    """pydantic names the branch of a union that failed; people know keys only."""
    return isinstance(part, str) and ("[" in part or part == "constrained-str")


def _to_config(file: Any, source: str) -> Config:
    default = Config(source=source)
    agents = {name: _agent(name, entry) for name, entry in file.agents.items()}
    e, m, s = file.environment, file.merge, file.session
    config = Config(
        integration_branch=file.integration_branch or "",
        worktree_path=file.worktrees.path,
        worktrees_max=file.worktrees.max,
        branches={**default.branches, **file.branches},
        agents={**default.agents, **agents},
        session=Session(
            s.agent,
            s.max,
            s.timeout,
            s.commit,
            s.model or "",
            tuple(s.args),
            tuple(s.read_dirs),
            tuple(s.stages),
            {
                kind: Launch(k.agent or "", k.model or "", tuple(k.args), tuple(k.read_dirs), tuple(k.stages or ()))
                for kind, k in s.kinds.items()
            },
            s.memory,
            RateLimit(
                None if s.rate_limit.words is None else tuple(s.rate_limit.words),
                s.rate_limit.wait,
                s.rate_limit.longest,
                s.rate_limit.tries,
            ),
        ),
        environment=Environment(
            tuple(e.copy_),
            tuple(e.link),
            dict(e.set),
            e.setup if e.setup in ("auto", False) else _command(e.setup),
            e.ports,
        ),
        gates={
            name: Gate(
                name,
                _command(g.command),
                tuple(g.branches),
                g.timeout,
                g.retries,
                g.worktree,
                g.flaky_passes,
                tuple(g.fingerprint),
                tuple(g.keep),
                g.fresh,
            )
            for name, g in file.gates.items()
        },
        push_budget=file.push.budget,
        merge=Merge(
            m.auto,
            Way.NO_FF if isinstance(m.how, dict) else m.how,
            m.how if isinstance(m.how, dict) else {},
            m.batch,
            m.push,
            tuple(m.additive),
        ),
        accept_results=file.results.accept,
        cleanup=Cleanup(file.cleanup.auto, file.cleanup.retention_days, tuple(file.cleanup.caches)),
        sync=Sync(file.sync.how),
        docs=Docs(tuple(file.docs.paths), file.docs.auto),
        blog=Blog(file.blog.path or "", file.blog.auto),
        source=source,
        warnings=tuple(_unknown(file, source)),
    )
    named = {
        "session.agent": config.session.agent,
        **{
            f"session.kinds.{kind}.agent": launch.agent for kind, launch in config.session.kinds.items() if launch.agent
        },
    }
    strange = {key: name for key, name in named.items() if name not in config.agents}
    kinds = [
        f"session.kinds.{kind}: there is no kind called {kind!r}"
        for kind in config.session.kinds
        if kind not in config.branches
    ]
    if strange or kinds:
        lines = [*(f"{key}: there is no agent called {name!r}" for key, name in strange.items()), *kinds]
        near = [nearest(name, config.agents) for name in strange.values()]
        meant = "".join(f"did you mean {name}? " for name in near if name)
        raise BadInputError(
            f"{source} has {len(lines)} error{'s' if len(lines) > 1 else ''}:\n  " + "\n  ".join(lines),
            f"{meant}known are {', '.join(sorted(config.agents))}; others by [agents.NAME] command = [...]",
        )
    return config


def _agent(name: str, entry: Any) -> Agent:
    """Return the agent; one that only changes a preset's command is in all else as the preset is."""
    preset = PRESETS.get(name, Agent(name, ""))
    return replace(
        preset,
        command=_command(entry.command),
        model_args=preset.model_args if entry.model_args is None else tuple(entry.model_args),
        read_args=preset.read_args if entry.read_args is None else tuple(entry.read_args),
    )


def _command(value: str | list[str]) -> Command:
    return value if isinstance(value, str) else tuple(value)


def _unknown(table: BaseModel, source: str, path: str = "") -> list[str]:
    """Return a warning for each key that the schema does not have, with the nearest one that it has."""
    from pydantic import BaseModel

    found: list[str] = []
    known = [f.alias or name for name, f in type(table).model_fields.items()]
    for key in table.model_extra or {}:
        near = nearest(key, known)
        found.append(f"{source}: unknown key {path}{key}" + (f" (did you mean {path}{near}?)" if near else ""))
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            found += _unknown(value, source, f"{path}{name}.")
        elif isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(entry, BaseModel):
                    found += _unknown(entry, source, f"{path}{name}.{key}.")
    return found

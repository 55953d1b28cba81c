"""The configuration: ``loki-hooks.toml`` at the root, or ``[tool.loki-hooks]`` in ``pyproject.toml``.

Two readings matter. What people and sessions use comes from the main worktree's files. What gates a merge
comes from the integration branch's *commit*, so that no stream can change the gate it is measured by.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from loki_hooks.domain.config import Config, Gate
from loki_hooks.domain.names import DEFAULT_BRANCHES, nearest
from loki_hooks.domain.sessions.agents import PRESETS, Agent, Launch
from loki_hooks.errors import BadInputError
from loki_hooks.system.config.approved import brought_by_a_stream, changed_tables, with_former
from loki_hooks.system.config.cache import remembered
from loki_hooks.system.config.trust import approved
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git
from loki_hooks.system.site import Site
from loki_hooks.system.store.integration import recorded

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FILE = "loki-hooks.toml"
PYPROJECT = "pyproject.toml"
_IN_TOML = {
    "dataclass_type": "Input should be a table",
    "dict_type": "Input should be a table",
    "mapping_type": "Input should be a table",
    "json_invalid": "arrays or tables are nested too deep",
    "too_short": "Array should have at least 1 item",
}
"""pydantic's words for these are Python's, or JSON's."""
_IGNORED = "ignored_branches"
_REQUIRED = {"command"}
"""The keys that have no default."""


@dataclass(frozen=True)
class Effective:
    """``working`` from the main worktree's files; ``in_force`` from the integration branch's commit."""

    working: Config
    in_force: Config
    integration: str
    """The integration branch's short name."""
    elsewhere: str = ""
    """Which branch git would name now, where that is not the one that was recorded, and none is configured."""
    held: tuple[str, ...] = ()
    """The tables that a stream changed on the integration branch; the former ones are in force until a person approves."""
    former: str = ""
    """The commit that those are from, '' where none is held."""
    landed: Config | None = None
    """What the integration branch says while some of it is held."""
    files: str = ""
    """A hash of the integration branch's configuration as it is now."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return, as sentences, what somebody tried to change of what is gated, and what helps."""
        said = []
        if self.elsewhere:
            said.append(
                f"git names {self.elsewhere} as the remote's branch now; {self.integration}, recorded at install, stays "
                "the integration branch: set integration_branch in loki-hooks.toml, or `loki-hooks install` again, if "
                "that is meant"
            )
        if self.held:
            said.append(
                f"a stream changed {' and '.join(self.held)} on {self.integration}: not in force until you approve with "
                f"`loki-hooks trust`; see `git diff {self.former[:9]} {self.integration} -- {FILE} {PYPROJECT}`"
            )
        return tuple(said)

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
    elsewhere = ""
    integration = working.integration_branch or default_integration(git)
    known = None if working.integration_branch else recorded(site)
    if known is not None and known.branch != integration and git.commit_id(f"refs/heads/{known.branch}"):
        integration, elsewhere = known.branch, integration
    return _with_what_is_approved(site, git, working, integration, elsewhere)


def _with_what_is_approved(site: Site, git: Git, working: Config, integration: str, elsewhere: str) -> Effective:
    ref = f"refs/heads/{integration}"
    seen = hashlib.sha256()

    def read(name: str) -> bytes | None:
        raw = git.show_file(ref, name)
        seen.update(b"-" if raw is None else hashlib.sha256(raw).digest())
        return raw

    current = _choose(site, read, f"{integration}:")
    files = seen.hexdigest()
    known = approved(site) if site.enabled else None
    if known is not None and known.files != files and git.commit_id(known.commit) is not None:
        before = read_commit(site, git, known.commit)
        held = changed_tables(before, current)
        if held and (known.held or brought_by_a_stream(site, git, known.commit, ref, (FILE, PYPROJECT), current)):
            return Effective(
                with_former(working, current, before),
                with_former(current, current, before),
                integration,
                elsewhere,
                held,
                known.commit,
                current,
                files,
            )
    return Effective(working, current, integration, elsewhere, files=files)


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
    """Return the integration branch where none is configured: the remote's HEAD, else main, else master, else HEAD's.

    The remote is ``origin``, else the only one whose HEAD is known.
    """
    remote = git.maybe("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD") or _only_remote_head(git)
    heads = git.refs("refs/heads/main", "refs/heads/master")
    if remote:
        return remote.removeprefix("refs/remotes/").partition("/")[2]
    for name in ("main", "master"):
        if f"refs/heads/{name}" in heads:
            return name
    unborn = git.maybe("symbolic-ref", "--quiet", "--short", "HEAD")
    return unborn if unborn and not heads and not git.ok("rev-parse", "-q", "--verify", "HEAD") else "main"


def _only_remote_head(git: Git) -> str:
    listed = git.maybe("for-each-ref", "--format=%(symref)", "refs/remotes/*/HEAD") or ""
    heads = listed.split()
    return heads[0] if len(heads) == 1 else ""


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
    warnings: list[str] = []
    value, ignored = _ignored_apart(value)
    known = _known(value, Config, f"{source}: unknown key ", "", warnings)
    config = _validated({**known, **ignored} if isinstance(known, dict) else known, {**value, **ignored}, source)
    config = replace(
        config,
        branches={**DEFAULT_BRANCHES, **config.branches},
        agents={**PRESETS, **config.agents},
        source=source,
        warnings=tuple(warnings),
    )
    _require_names(config, source)
    return config


def _ignored_apart(value: Any) -> tuple[Any, dict[str, Any]]:
    """Return the value without ``branches.ignore``, which is no kind's template, and that under its field's name."""
    branches = value.get("branches") if isinstance(value, dict) else None
    if not isinstance(branches, dict) or "ignore" not in branches:
        return value, {}
    kinds = {kind: template for kind, template in branches.items() if kind != "ignore"}
    return {**value, "branches": kinds}, {_IGNORED: branches["ignore"]}


def _validated(known: object, value: object, source: str) -> Config:
    """Return ``known`` as a configuration. Raises ``BadInputError`` with every error, each with its path in ``value``."""
    import json

    from pydantic import ValidationError

    # JSON, since there a table may become a dataclass and an array a tuple while nothing else becomes what it is not.
    # A date, which JSON does not have, becomes what no key takes.
    text = json.dumps(known, default=lambda other: [[str(other)]])
    try:
        return _reader().validate_json(text, strict=True)
    except ValidationError as error:
        lines = []
        for found in error.errors(include_url=False):
            said = _IN_TOML.get(found["type"], found["msg"]).removeprefix("Value error, ")
            where = _where(found["loc"], value) or "the whole"
            lines.append(f"{where.replace(_IGNORED, 'branches.ignore')}: {said}")
        raise _errors(source, lines, "every key and its default is listed in the README") from error


@functools.cache
def _reader() -> TypeAdapter[Config]:
    from pydantic import TypeAdapter

    return TypeAdapter(Config)


def _errors(source: str, lines: Iterable[str], hint: str) -> BadInputError:
    unique = list(dict.fromkeys(lines))
    number = f"{len(unique)} error{'s' if len(unique) > 1 else ''}"
    return BadInputError(f"{source} has {number}:\n  " + "\n  ".join(unique), hint)


def _where(steps: Sequence[str | int], value: Any) -> str:
    """Return the path of keys. pydantic also names the branch of a union that failed; such a step is no key in ``value``."""
    path = []
    for number, step in enumerate(steps, 1):
        inside = isinstance(value, dict) and (step in value or (number == len(steps) and step in _REQUIRED))
        if inside or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            path.append(str(step))
            value = value.get(step) if isinstance(value, dict) else value[step]
    return ".".join(path)


def _known(value: Any, kind: Any, say: str, path: str, warnings: list[str]) -> Any:
    """Return the value with the keys that ``kind`` (a type of the configuration) has; each other one is a warning.

    A warning has the nearest key that there is. What has a name has the key that it stands under for it.
    """
    if not isinstance(value, dict):
        return value
    if not is_dataclass(kind):
        inner = get_args(kind)[1] if get_origin(kind) is Mapping else None
        return {
            key: _named(key, _known(part, inner, say, f"{path}{key}.", warnings), inner) for key, part in value.items()
        }
    types = get_type_hints(kind)
    keys = [f.name for f in fields(kind) if not f.metadata]
    for key in value:
        if key not in keys:
            near = nearest(key, keys)
            warnings.append(f"{say}{path}{key}" + (f" (did you mean {path}{near}?)" if near else ""))
    return {key: _known(value[key], types[key], say, f"{path}{key}.", warnings) for key in keys if key in value}


def _named(name: str, entry: Any, kind: Any) -> Any:
    """Return the table with its name; an agent that only changes a preset's command is in all else as the preset is."""
    if kind not in {Agent, Gate} or not isinstance(entry, dict):
        return entry
    preset = asdict(PRESETS[name]) if kind is Agent and name in PRESETS else {}
    return {**{key: part for key, part in preset.items() if key not in _REQUIRED}, **entry, "name": name}


def _require_names(config: Config, source: str) -> None:
    """Raise ``BadInputError`` where an agent or a kind is named that there is not."""
    named = {"session.agent": config.session.agent}
    named |= {f"session.kinds.{kind}.agent": k.agent for kind, k in config.session.kinds.items() if k.agent}
    strange = {key: name for key, name in named.items() if name not in config.agents}
    lines = [f"{key}: there is no agent called {name!r}" for key, name in strange.items()]
    lines += [
        f"session.kinds.{kind}: there is no kind called {kind!r}"
        for kind in config.session.kinds
        if kind not in config.branches
    ]
    if lines:
        near = [nearest(name, config.agents) for name in strange.values()]
        meant = "".join(f"did you mean {name}? " for name in near if name)
        known = ", ".join(sorted(config.agents))
        raise _errors(source, lines, f"{meant}known are {known}; others by [agents.NAME] command = [...]")

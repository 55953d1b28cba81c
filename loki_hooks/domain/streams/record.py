"""What is stored about a stream, and the whole state: only what git cannot know.

The JSON shapes are those of ``state/orchestrator.json`` (README, "Files"). They are read tolerantly: a
value of the wrong type counts as absent, an unknown key is carried along untouched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Self

from loki_hooks.domain.names import STANDARD_KINDS, stream_id
from loki_hooks.domain.streams import failures
from loki_hooks.domain.streams.failures import Failure
from loki_hooks.domain.streams.stages import is_order
from loki_hooks.domain.streams.status import STANDING, Status, move, parse_status

Time = str
"""UTC, ISO 8601 with ``Z``; '' means unknown, and is written as null."""
Origin = str
"""``spawned`` (we made the worktree) or ``adopted`` (found)."""


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same pid: pid and start time (opaque text)."""

    pid: int
    started: str

    def to_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "started": self.started}

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        if not isinstance(value, Mapping):
            return None
        pid, started = value.get("pid"), value.get("started")
        if type(pid) is not int or pid <= 0 or not isinstance(started, str):
            return None
        return cls(pid, started)


@dataclass(frozen=True)
class Task:
    """What a stream shall do. ``text`` is the raw task; the rendered prompt is made from it when the session starts."""

    id: str = ""
    text: str = ""
    files: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    """In which stages it is done, where that is not left to its kind."""
    plan: str = ""
    """The source of the plan that it is of, '' for none."""
    plan_items: tuple[str, ...] = ()
    """How that source calls what is in it: done when this has landed."""

    @property
    def title(self) -> str:
        """The first line, short enough for a table."""
        first = self.text.strip().splitlines()[0].strip() if self.text.strip() else ""
        return first if len(first) <= 72 else first[:71] + "…"

    def details(self) -> dict[str, Any]:
        """Return all of it but the text, which others read under a key of its own."""
        return {
            "id": self.id,
            "title": self.title,
            "files": list(self.files),
            "stages": list(self.stages),
            "plan": self.plan,
            "plan_items": list(self.plan_items),
        }

    @classmethod
    def from_json(cls, task: object, details: object = None) -> Self:
        """Return the task of which ``task`` is the text. Schema 1 had all of it there, as an object."""
        value = {**(details if isinstance(details, Mapping) else {}), "text": task} if isinstance(task, str) else task
        if not isinstance(value, Mapping):
            return cls()
        stages = value.get("stages")
        return cls(
            id=_text(value.get("id")),
            text=_text(value.get("text")) or _text(value.get("title")),
            files=_texts(value.get("files"), ()),
            stages=tuple(stages) if isinstance(stages, list) and is_order(stages) else (),
            plan=_text(value.get("plan")),
            plan_items=_texts(value.get("plan_items"), ()),
        )


@dataclass(frozen=True)
class StreamRecord:
    """One entry of ``worktrees``: a field is a key, and its type says how it is written. Commits are full object ids.

    ``session`` is the runner's process,
    ``agent_process`` the agent's (it leads a process group of its own), ``claim`` the process that is about to start
    the runner, with ``claim_token`` naming that attempt. ``tip`` is the branch's commit when it became ready; ``landed``
    the commit that brought it into the integration branch.
    """

    kind: str
    name: str
    status: Status
    path: str = ""
    branch: str = ""
    base: str = ""
    origin: Origin = "spawned"
    task: Task = field(default_factory=Task)
    agent: str = ""
    priority: int = 0
    after: tuple[str, ...] = ()
    created_at: Time = ""
    started_at: Time = ""
    ended_at: Time = ""
    last_run: Time = ""
    session: ProcessId | None = None
    agent_process: ProcessId | None = None
    claim: ProcessId | None = None
    claim_token: str = ""
    exit_code: int | None = None
    reason: str = ""
    tip: str = ""
    landed: str = ""
    rejections: int = 0
    copied: tuple[tuple[str, str], ...] = ()
    """What we put into the worktree: (path, sha256 of the content), or (path, ``link:`` and a symbolic link's target)."""
    explicit_base: bool = False
    wanted: str = ""
    """The commit that a person asked to merge: it lands also where merge.auto is off. Another tip is another question."""
    launch: bool = True
    """Whether a session shall start in it once its worktree is made."""
    tmux: bool = False
    """Whether its sessions are shown in a tmux session."""
    not_before: str = ""
    """A queued stream waits until then: its agent's provider turned it away."""
    turned_away: int = 0
    """How often in a row that happened."""
    before: str = ""
    """How the run before ended (status and reason), while another is asked for: its prompt says so."""
    again: str = ""
    """What a person asked for when the work was to go on (`resume --task`)."""
    stage: str = ""
    """The stage that its session is in, or the next one shall be in (`domain/streams/stages.py`); '': the first of its kind."""
    trouble: str = ""
    """What the run before came to grief on (`domain/sessions/ending.py`, Trouble): its prompt gets the hint for that."""
    items: tuple[str, ...] = ()
    """The items of its queue that its session was given: done once it has landed."""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    """What of it failed and is tried again later (`domain/streams/failures.py`)."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stream(self) -> str:
        return stream_id(self.kind, self.name)

    @property
    def standing(self) -> bool:
        return self.status in STANDING

    @property
    def waits_in_plan(self) -> bool:
        """Whether nothing of it was made yet: its worktree, and the commit that it begins at, come with its turn."""
        return self.status is Status.PLANNED and not self.base

    @property
    def resting(self) -> bool:
        """Whether it is only a name for now: a stream that rests, without a worktree."""
        return self.standing and not self.path

    def moved(self, status: Status, **changes: Any) -> Self:
        """Return the record in ``status``, with ``changes``. Raises ``IllegalMoveError`` off the table."""
        if self.status is Status.ESCALATED and status is not Status.ESCALATED:
            changes.setdefault("failures", {})  # somebody has seen to it: what failed is tried afresh
        return replace(self, status=move(self.stream, self.status, status), **changes)

    def to_json(self) -> dict[str, Any]:
        own = {name: write(getattr(self, name)) for name, (_, write, _) in _codecs().items()}
        own |= {
            "claude_pid": self.agent_process.pid if self.agent_process else None,
            "task": self.task.text,
            "task_details": self.task.details(),
        }
        return {**self.extra, **own}

    @classmethod
    def from_json(cls, stream: str, value: object) -> Self | None:
        """Return the record, or None when ``value`` is not an entry of ours or upstream's.

        What becomes a path or an argument of git may hold no NUL, and a branch not begin as an option does.
        """
        if not isinstance(value, Mapping):
            return None
        if any("\0" in _text(value.get(key)) for key in ("path", "branch", "base", "tip", "agent")) or (
            _text(value.get("branch")).startswith("-")
        ):
            return None
        own = {name: read(value.get(name), default) for name, (read, _, default) in _codecs().items()}
        if not own["kind"] or not own["name"]:  # an entry of upstream's: the id says kind and name
            head, _, tail = stream.partition("-")
            own["kind"], own["name"] = (head, tail) if tail and head in STANDARD_KINDS else (stream, stream)
        return cls(
            **own,
            task=Task.from_json(value.get("task"), value.get("task_details")),
            extra={key: value[key] for key in value if key not in _own_keys()},
        )


WAITS_TO_LAND = "waits to land: "
YOUR_WORD = "waits for your word"
SETUP_WAITS = "environment files and set-up: "
"""How the reasons begin, or what is in them, that a person's doing ends; why follows."""


def waits_for_person(record: StreamRecord) -> bool:
    """Return whether the stream goes on as soon as a person has done something in a worktree, or has said a word."""
    if YOUR_WORD in record.reason:
        return record.status in {Status.READY, Status.QUEUED, Status.OPEN}
    return record.status is Status.READY and record.reason.startswith(WAITS_TO_LAND)


# How a field is read and written, by its type. What is read of a wrong type is the field's default.
_Read = Callable[[object, Any], Any]
_Write = Callable[[Any], Any]


def _text(value: object, default: str = "") -> str:
    return value if isinstance(value, str) else default


def _plain(kind: type) -> _Read:
    return lambda value, default: value if type(value) is kind else default


def _texts(value: object, _default: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _pairs(value: object, _default: object) -> tuple[tuple[str, str], ...]:
    pairs = (item for item in (value if isinstance(value, list) else ()) if isinstance(item, list) and len(item) == 2)
    return tuple((path, said) for path, said in pairs if isinstance(path, str) and isinstance(said, str))


def _process(value: object, _default: object) -> ProcessId | None:
    return ProcessId.from_json(value)


def _same(value: Any) -> Any:
    return value


_BY_TYPE: Mapping[str, tuple[_Read, _Write]] = {
    "str": (_text, _same),
    "Time": (_text, lambda time: time or None),
    "bool": (_plain(bool), _same),
    "int": (_plain(int), _same),
    "int | None": (_plain(int), _same),
    "tuple[str, ...]": (_texts, list),
    "tuple[tuple[str, str], ...]": (_pairs, lambda pairs: [list(pair) for pair in pairs]),
    "Status": (lambda value, _: parse_status(value) or Status.OPEN, lambda status: status.value),
    "Origin": (lambda value, _: "spawned" if value == "spawned" else "adopted", _same),
    "ProcessId | None": (_process, lambda process: process.to_json() if process else None),
    "Mapping[str, Failure]": (lambda value, _: failures.from_json(value), failures.to_json),
}


@functools.cache
def _codecs() -> Mapping[str, tuple[_Read, _Write, Any]]:
    """Return how each field with a key of its own name is read and written, and its default."""
    listed = (entry for entry in fields(StreamRecord) if entry.name not in {"task", "extra"})
    return {
        entry.name: (*_BY_TYPE[str(entry.type)], "" if entry.default is MISSING else entry.default) for entry in listed
    }


@functools.cache
def _own_keys() -> frozenset[str]:
    return frozenset(StreamRecord("feature", "x", Status.OPEN).to_json())

"""What is stored about a stream, and the whole state: only what git cannot know.

The JSON shapes are those of ``state/orchestrator.json`` (README, "Files"). They are read tolerantly: a
value of the wrong type counts as absent, an unknown key is carried along untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from loki_hooks.domain.names import STANDARD_KINDS, stream_id
from loki_hooks.domain.streams import failures
from loki_hooks.domain.streams.failures import Failure
from loki_hooks.domain.streams.stages import is_order
from loki_hooks.domain.streams.status import STANDING, Status, move, parse_status


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

    @property
    def title(self) -> str:
        """The first line, short enough for a table."""
        first = self.text.strip().splitlines()[0].strip() if self.text.strip() else ""
        return first if len(first) <= 72 else first[:71] + "…"

    def details(self) -> dict[str, Any]:
        """Return all of it but the text, which others read under a key of its own."""
        return {"id": self.id, "title": self.title, "files": list(self.files), "stages": list(self.stages)}

    @classmethod
    def from_json(cls, task: object, details: object = None) -> Self:
        """Return the task of which ``task`` is the text. Schema 1 had all of it there, as an object."""
        value = {**(details if isinstance(details, Mapping) else {}), "text": task} if isinstance(task, str) else task
        if not isinstance(value, Mapping):
            return cls()
        files, stages = value.get("files"), value.get("stages")
        return cls(
            id=_text(value.get("id")),
            text=_text(value.get("text")) or _text(value.get("title")),
            files=tuple(f for f in files if isinstance(f, str)) if isinstance(files, list) else (),
            stages=tuple(stages) if isinstance(stages, list) and is_order(stages) else (),
        )


@dataclass(frozen=True)
class StreamRecord:
    """One entry of ``worktrees``. Times are UTC ISO 8601 with ``Z``; commits are full object ids; '' means unknown.

    ``origin`` is ``spawned`` (we made the worktree) or ``adopted`` (found). ``session`` is the runner's process,
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
    origin: str = "spawned"
    task: Task = field(default_factory=Task)
    agent: str = ""
    priority: int = 0
    after: tuple[str, ...] = ()
    created_at: str = ""
    started_at: str = ""
    ended_at: str = ""
    last_run: str = ""
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
    def resting(self) -> bool:
        """Whether it is only a name for now: a stream that rests, without a worktree."""
        return self.standing and not self.path

    def moved(self, status: Status, **changes: Any) -> Self:
        """Return the record in ``status``, with ``changes``. Raises ``IllegalMoveError`` off the table."""
        if self.status is Status.ESCALATED and status is not Status.ESCALATED:
            changes.setdefault("failures", {})  # somebody has seen to it: what failed is tried afresh
        return replace(self, status=move(self.stream, self.status, status), **changes)

    def to_json(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "path": self.path,
            "branch": self.branch,
            "kind": self.kind,
            "name": self.name,
            "status": self.status.value,
            "claude_pid": self.agent_process.pid if self.agent_process else None,
            "started_at": self.started_at or None,
            "task": self.task.text,
            "task_details": self.task.details(),
            "last_run": self.last_run or None,
            "base": self.base,
            "origin": self.origin,
            "agent": self.agent,
            "priority": self.priority,
            "after": list(self.after),
            "created_at": self.created_at or None,
            "ended_at": self.ended_at or None,
            "session": self.session.to_json() if self.session else None,
            "agent_process": self.agent_process.to_json() if self.agent_process else None,
            "claim": self.claim.to_json() if self.claim else None,
            "claim_token": self.claim_token,
            "exit_code": self.exit_code,
            "reason": self.reason,
            "tip": self.tip,
            "landed": self.landed,
            "rejections": self.rejections,
            "copied": [list(pair) for pair in self.copied],
            "explicit_base": self.explicit_base,
            "wanted": self.wanted,
            "launch": self.launch,
            "tmux": self.tmux,
            "not_before": self.not_before,
            "turned_away": self.turned_away,
            "before": self.before,
            "again": self.again,
            "stage": self.stage,
            "trouble": self.trouble,
            "items": list(self.items),
            "failures": failures.to_json(self.failures),
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
        kind = _text(value.get("kind"))
        name = _text(value.get("name"))
        if not kind or not name:  # an entry of upstream's: the id says kind and name
            head, _, tail = stream.partition("-")
            kind, name = (head, tail) if tail and head in STANDARD_KINDS else (stream, stream)
        task = Task.from_json(value.get("task"), value.get("task_details"))
        after = value.get("after")
        copied = value.get("copied")
        items = value.get("items")
        return cls(
            kind=kind,
            name=name,
            status=parse_status(value.get("status")) or Status.OPEN,
            path=_text(value.get("path")),
            branch=_text(value.get("branch")),
            base=_text(value.get("base")),
            origin="spawned" if value.get("origin") == "spawned" else "adopted",
            task=task,
            agent=_text(value.get("agent")),
            priority=_int(value.get("priority")) or 0,
            after=tuple(a for a in after if isinstance(a, str)) if isinstance(after, list) else (),
            created_at=_text(value.get("created_at")),
            started_at=_text(value.get("started_at")),
            ended_at=_text(value.get("ended_at")),
            last_run=_text(value.get("last_run")),
            session=ProcessId.from_json(value.get("session")),
            agent_process=ProcessId.from_json(value.get("agent_process")),
            claim=ProcessId.from_json(value.get("claim")),
            claim_token=_text(value.get("claim_token")),
            exit_code=_int(value.get("exit_code")),
            reason=_text(value.get("reason")),
            tip=_text(value.get("tip")),
            landed=_text(value.get("landed")),
            rejections=_int(value.get("rejections")) or 0,
            copied=tuple(
                (pair[0], pair[1])
                for pair in (copied if isinstance(copied, list) else ())
                if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
            ),
            explicit_base=value.get("explicit_base") is True,
            wanted=_text(value.get("wanted")),
            launch=value.get("launch") is not False,
            tmux=value.get("tmux") is True,
            not_before=_text(value.get("not_before")),
            turned_away=_int(value.get("turned_away")) or 0,
            before=_text(value.get("before")),
            again=_text(value.get("again")),
            stage=_text(value.get("stage")),
            trouble=_text(value.get("trouble")),
            items=tuple(i for i in items if isinstance(i, str)) if isinstance(items, list) else (),
            failures=failures.from_json(value.get("failures")),
            extra={key: value[key] for key in value if key not in _OWN_KEYS},
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


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _int(value: object) -> int | None:
    return value if type(value) is int else None


_OWN_KEYS = frozenset(StreamRecord("feature", "x", Status.OPEN).to_json())

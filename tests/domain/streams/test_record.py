"""State and records: what is written is read back, and what others wrote is carried along."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.names import is_name
from loki_hooks.domain.streams.record import ProcessId, StreamRecord, Task
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import IN_SESSION, Status
from loki_hooks.system.json import dump_json, parse_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
segments = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
names = st.lists(segments, min_size=1, max_size=2).map("/".join).filter(is_name)
processes = st.none() | st.builds(ProcessId, st.integers(min_value=1), st.text(max_size=12))
tasks = st.builds(
    Task, id=st.text(max_size=8), text=st.text(max_size=40), files=st.lists(st.text(max_size=8)).map(tuple)
)
_OWN = set(StreamRecord("feature", "x", Status.OPEN).to_json())
extras = st.dictionaries(st.text(max_size=8).filter(lambda k: k not in _OWN), json_values, max_size=3)
plain = st.text(max_size=12).filter(lambda text: "\0" not in text)  # becomes a path, or an argument
records = st.builds(
    StreamRecord,
    kind=st.sampled_from(["feature", "docs", "qa", "hotfix"]),
    name=names,
    status=st.sampled_from(Status),
    path=plain,
    branch=plain.filter(lambda branch: not branch.startswith("-")),
    base=plain,
    origin=st.sampled_from(["spawned", "adopted"]),
    task=tasks,
    agent=plain,
    priority=st.integers(),
    after=st.lists(st.text(max_size=8)).map(tuple),
    created_at=st.text(max_size=12),
    session=processes,
    claim=processes,
    exit_code=st.none() | st.integers(),
    reason=st.text(max_size=20),
    rejections=st.integers(),
    copied=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8))).map(tuple),
    explicit_base=st.booleans(),
    extra=extras,
)


def through_a_file(value: dict[str, Any]) -> Any:
    """Write ``value`` as a state file would be, and read it back."""
    return parse_json(dump_json(value).encode("utf-8"))


@given(records)
def test_a_record_comes_back_from_its_json_with_foreign_keys(record: StreamRecord) -> None:
    assert StreamRecord.from_json(record.stream, through_a_file(record.to_json())) == record


def test_every_field_of_a_record_is_stored() -> None:
    stored = set(StreamRecord("feature", "x", Status.OPEN).to_json())
    assert {f.name for f in fields(StreamRecord)} - {"extra"} <= stored


@given(json_values)
def test_any_json_as_an_entry_gives_a_record_or_none(value: Any) -> None:
    record = StreamRecord.from_json("feature-x", value)
    assert record is None or isinstance(record.to_json(), dict)


@given(
    st.lists(records, max_size=4),
    st.dictionaries(st.text(max_size=8), json_values, max_size=4),
    st.dictionaries(st.text(max_size=8), json_values, max_size=3),
    st.text(max_size=8),
)
def test_a_state_comes_back_with_everything_that_others_wrote(
    many: list[StreamRecord], foreign: dict[str, Any], strangers: dict[str, Any], product: str
) -> None:
    ours = {record.stream: record for record in many}
    written = {**foreign, "version": product, "worktrees": {**strangers, **{k: r.to_json() for k, r in ours.items()}}}
    state = State.from_json(through_a_file(written))
    assert {key: state.streams[key] for key in ours} == ours
    again = through_a_file(state.to_json(now="T", version=7))
    for key, value in foreign.items():
        if key not in {"worktrees", "pending_merges", "active_streams", "state_version", "schema", "version"}:
            assert again[key] == value
    assert again["version"] == product
    assert again["state_version"] == 7
    assert set(again["worktrees"]) == set(strangers) | set(ours)
    for key, entry in strangers.items():
        if key not in state.streams:
            assert again["worktrees"][key] == entry
    settled = State.from_json(again)
    assert settled.streams == state.streams
    assert through_a_file(settled.to_json(now="later", version=7)) == again


@given(json_values)
def test_any_json_is_some_state(value: Any) -> None:
    state = State.from_json(value)
    assert State.from_json(state.to_json(now="T", version=1)).streams == state.streams


@given(st.lists(records, max_size=5))
def test_the_lists_that_upstream_reads_follow_from_the_statuses(many: list[StreamRecord]) -> None:
    state = State()
    for record in many:
        state = state.with_stream(record)
    value = state.to_json(now="T", version=1)
    assert value["pending_merges"] == sorted(
        r.branch for r in state.streams.values() if r.status in {Status.PASSED, Status.MERGING}
    )
    assert value["active_streams"] == len([r for r in state.streams.values() if r.status in IN_SESSION])
    assert value["schema"] == 2
    for key, record in state.streams.items():
        entry = value["worktrees"][key]
        assert entry["task"] == record.task.text
        assert entry["claude_pid"] == (record.agent_process.pid if record.agent_process else None)


def test_names_that_would_leave_their_folder_are_never_streams() -> None:
    """A state file that somebody else wrote must not choose where we write logs."""
    bad = ["../../x", "feature-../../x", "feature-/x", "", "-rf", "feature-a\nb", "feature-" + "x" * 300]
    state = State.from_json({"worktrees": {key: {"status": "running", "path": "/x"} for key in bad}})
    assert state.streams == {}
    assert set(state.to_json(now="T", version=1)["worktrees"]) == set(bad)


def test_an_entry_of_upstreams_is_understood() -> None:
    value = {
        "worktrees": {
            "feature-auth": {"path": "/w", "branch": "feature/auth", "status": "active", "claude_pid": 7},
            "docs": {"path": "/d", "branch": "parallel-docs", "task": "write"},
        }
    }
    state = State.from_json(value)
    assert (state.streams["feature-auth"].kind, state.streams["feature-auth"].name) == ("feature", "auth")
    assert state.streams["feature-auth"].status is Status.OPEN
    assert state.streams["feature-auth"].session is None  # a pid without its start time is nobody
    assert state.streams["docs"].task.text == "write"


def test_the_state_of_schema_1_is_read() -> None:
    task = {"id": "auth", "title": "Log in", "text": "Log in\nby mail", "files": ["src/**"], "stages": ["build"]}
    old = {"kind": "feature", "name": "auth", "status": "running", "task": task, "claude_pid": 7}
    state = State.from_json(
        {"worktrees": {"feature-auth": old}, "active_streams": ["feature-auth"], "pending_merges": []}
    )
    read = state.streams["feature-auth"].task
    assert (read.id, read.text, read.files, read.stages) == ("auth", "Log in\nby mail", ("src/**",), ("build",))
    written = state.to_json(now="T", version=2)
    assert (written["schema"], written["active_streams"]) == (2, 1)
    assert written["worktrees"]["feature-auth"]["task"] == "Log in\nby mail"


def test_a_newer_schema_is_not_written_over() -> None:
    assert State.from_json({"schema": 3}).to_json(now="T", version=2)["schema"] == 3


def test_people_find_a_stream_by_id_name_or_branch() -> None:
    feature = StreamRecord("feature", "auth", Status.OPEN, branch="feature/auth")
    qa = StreamRecord("qa", "auth", Status.OPEN, branch="qa/auth")
    state = State().with_stream(qa).with_stream(feature)
    assert state.find("auth") == feature
    assert state.find("qa-auth") == qa
    assert state.find("qa/auth") == qa
    assert state.find("nobody") is None
    assert state.without("qa-auth").find("qa/auth") is None


@given(st.text(max_size=200))
def test_a_title_is_one_short_line(text: str) -> None:
    title = Task(text=text).title
    assert len(title) <= 72
    assert len(title.splitlines()) <= 1


def test_the_state_survives_names_that_are_no_utf8() -> None:
    record = StreamRecord("feature", "x", Status.OPEN, path="/w/\udcff")
    raw = dump_json(State().with_stream(record).to_json(now="T", version=1)).encode("utf-8")
    assert State.from_json(json.loads(raw)).streams["feature-x"].path == "/w/\udcff"

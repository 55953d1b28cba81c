"""The state file under many writers, killed writers, upstream's writers and vandals."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Repo

from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import IllegalMoveError, LokiError
from loki_hooks.system.locks import hold
from loki_hooks.system.site import Site, discover
from loki_hooks.system.store.state import StateStore

AUTH = StreamRecord("feature", "auth", Status.RUNNING, path="/w", branch="feature/auth")


@pytest.fixture
def store(repo: Repo) -> StateStore:
    return StateStore(discover(repo.path))


def put(record: StreamRecord) -> State:
    return State().with_stream(record)


def raw(store: StateStore) -> dict[str, object]:
    value = json.loads(store.path.read_text())
    assert isinstance(value, dict)
    return value


def python(site: Site, code: str, *words: str) -> subprocess.Popen[str]:
    head = (
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "from loki_hooks.domain.streams.status import Status\n"
        "from loki_hooks.domain.streams.record import StreamRecord\nfrom loki_hooks.system.site import discover\n"
        "from loki_hooks.system.store.state import StateStore\n"
        f"store = StateStore(discover(Path({str(site.root)!r})))\n"
        "def count(state, name):\n"
        "    old = state.streams.get(f'feature-{name}') or StreamRecord('feature', name, Status.OPEN)\n"
        "    return state.with_stream(replace(old, rejections=old.rejections + 1))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_an_absent_state_is_empty_and_reading_it_writes_nothing(store: StateStore) -> None:
    assert store.read() == State()
    assert not store.path.parent.exists()


def test_what_is_published_is_read_back_and_versions_count(store: StateStore) -> None:
    store.update(lambda s: s.with_stream(AUTH))
    first = raw(store)
    store.update(lambda s: s.with_stream(replace(AUTH, status=Status.READY)))
    assert store.read().streams["feature-auth"].status is Status.READY
    assert (first["state_version"], raw(store)["state_version"]) == (1, 2)
    assert raw(store)["startedAt"] == first["startedAt"]


def test_a_change_that_changes_nothing_writes_nothing(store: StateStore) -> None:
    store.update(lambda s: s.with_stream(AUTH))
    before = store.path.stat()
    store.update(lambda s: s.with_stream(AUTH))
    assert store.path.stat().st_ino == before.st_ino


def test_an_illegal_move_raises_and_leaves_the_state(store: StateStore) -> None:
    store.update(lambda s: s.with_stream(AUTH))
    with pytest.raises(IllegalMoveError):
        store.update(lambda s: s.with_stream(s.streams["feature-auth"].moved(Status.MERGING)))
    assert store.read().streams["feature-auth"] == AUTH
    store.update(lambda s: s.without("feature-auth"))


def test_16_processes_with_25_updates_each_lose_none(store: StateStore) -> None:
    code = (
        "sys.stdin.readline()\nmine = sys.argv[1]\n"
        "for _ in range(25): store.update(lambda s: count(count(s, mine), 'shared'))\n"
    )
    writers = [python(store.site, code, f"w{n}") for n in range(16)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    counts = {r.name: r.rejections for r in store.read().streams.values()}
    assert counts == {"shared": 16 * 25, **{f"w{n}": 25 for n in range(16)}}
    assert raw(store)["state_version"] == 16 * 25


def test_a_killed_writer_leaves_a_readable_state_and_no_lock(store: StateStore) -> None:
    """24 writers, each killed at a moment of its own; what each said it had published is there."""
    store.update(lambda s: s.with_stream(StreamRecord("feature", "n", Status.OPEN)))
    chance = random.Random(7)
    code = "while True:\n    print(store.update(lambda s: count(s, 'n')).streams['feature-n'].rejections, flush=True)\n"
    published = 0

    def one_dot_more(state: State) -> State:
        record = state.streams["feature-n"]
        return state.with_stream(replace(record, path=f"{record.path}."))

    for _ in range(12):
        pair = [python(store.site, code) for _ in range(2)]
        for writer in pair:
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.03))
        for writer in pair:
            writer.kill()
        said = [
            int(word)
            for writer in pair
            for word in writer.communicate(timeout=20)[0].splitlines(keepends=True)
            if word.endswith("\n")
        ]
        published = max([published, *said])
        json.loads(store.path.read_text())
        begun = time.monotonic()
        now = store.update(one_dot_more)
        assert time.monotonic() - begun < 5, "a lock outlived its owner"
        assert now.streams["feature-n"].rejections >= published
    assert now.streams["feature-n"].path == "." * 12
    assert not list(store.path.parent.glob("*.json.lock")), "upstream waits for a file with such a name"
    assert not list(store.path.parent.glob("*corrupt*"))


@pytest.mark.parametrize(
    "content",
    [b"", b'{"worktrees": {"feature-a', b"[]", b"\xff\xfe", b'{"a": 1e999}', b"[" * 50_000],
    ids=lambda content: repr(content[:12]),
)
def test_what_cannot_be_read_is_kept_aside_and_the_state_begins_anew(store: StateStore, content: bytes) -> None:
    store.site.folder("state")
    store.path.write_bytes(content)
    store.update(lambda s: s.with_stream(AUTH))
    assert store.read().streams == {"feature-auth": AUTH}
    (aside,) = store.path.parent.glob("orchestrator.json.corrupt-*")
    assert aside.read_bytes() == content


def test_reading_what_cannot_be_read_moves_nothing(store: StateStore) -> None:
    store.site.folder("state")
    store.path.write_bytes(b'{"half": ')
    assert store.read() == State()
    assert store.path.read_bytes() == b'{"half": '


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "fifo", "huge"])
def test_a_thing_that_is_no_file_is_moved_aside_unfollowed(store: StateStore, kind: str, tmp_path: Path) -> None:
    store.site.folder("state")
    outside = tmp_path / "outside.json"
    outside.write_text('{"version": "theirs"}')
    if kind == "folder":
        store.path.mkdir()
        (store.path / "kept").write_text("work")
    elif kind == "fifo":
        os.mkfifo(store.path)
    elif kind == "huge":
        with store.path.open("wb") as file:
            file.truncate(17 * 1024 * 1024)
    else:
        store.path.symlink_to(outside if kind == "link" else tmp_path / "nowhere")
    store.update(lambda s: s.with_stream(AUTH))
    assert store.path.is_file()
    assert not store.path.is_symlink()
    assert outside.read_text() == '{"version": "theirs"}'
    assert not (tmp_path / "nowhere").exists()
    (aside,) = store.path.parent.glob("orchestrator.json.corrupt-*")
    if kind == "folder":
        assert (aside / "kept").read_text() == "work"


def test_a_state_folder_that_is_a_link_is_refused(store: StateStore, tmp_path: Path) -> None:
    store.site.folder()
    (tmp_path / "elsewhere").mkdir()
    (store.site.loki / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LokiError, match="not a folder"):
        store.update(lambda s: s.with_stream(AUTH))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_writer_that_truncates_in_place_is_waited_for(store: StateStore) -> None:
    """Upstream's way: empty the file, write a little later. Its keys and our streams both survive."""
    store.update(lambda s: s.with_stream(AUTH))
    value = raw(store)
    stop = threading.Event()

    def upstream() -> None:
        turn = 0
        while not stop.is_set():
            with store.path.open("w") as file:
                time.sleep(0.05)
                turn += 1
                json.dump({**value, "turn": turn}, file)
            time.sleep(0.02)

    writer = threading.Thread(target=upstream)
    writer.start()
    try:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            assert "feature-auth" in store.read().streams
    finally:
        stop.set()
        writer.join()
    store.update(lambda s: s.with_stream(replace(AUTH, reason="seen")))
    assert "turn" in raw(store)
    assert not list(store.path.parent.glob("*corrupt*"))


def test_a_change_that_upstream_made_meanwhile_is_not_overwritten(store: StateStore) -> None:
    """Upstream never counts `state_version` up, so the bytes are compared."""
    store.update(lambda s: s.with_stream(AUTH))
    rounds: list[int] = []

    def change(state: State) -> State:
        if not rounds:
            store.path.write_text(json.dumps({**raw(store), "metrics": {"tokens": 5}}))
        rounds.append(1)
        return state.with_stream(replace(AUTH, reason="ours"))

    store.update(change)
    assert raw(store)["metrics"] == {"tokens": 5}
    assert store.read().streams["feature-auth"].reason == "ours"
    assert len(rounds) == 2


def test_foreign_keys_and_upstreams_version_survive(store: StateStore) -> None:
    store.site.folder("state")
    theirs = {
        "version": "5.8.3",
        "currentPhase": "QA",
        "startedAt": "then",
        "agents": {"a": 1},
        "metrics": {"m": [1]},
        "theirs": {"deep": [1, {"x": None}]},
        "worktrees": {"odd thing": 7, "feature-b": {"path": "/b", "own": 1}},
    }
    store.path.write_text(json.dumps(theirs))
    store.update(lambda s: s.with_stream(AUTH))
    now = raw(store)
    worktrees = now["worktrees"]
    assert isinstance(worktrees, dict)
    assert {k: now[k] for k in theirs if k != "worktrees"} == {k: v for k, v in theirs.items() if k != "worktrees"}
    assert worktrees["odd thing"] == 7
    assert worktrees["feature-b"]["own"] == 1
    assert set(worktrees) == {"odd thing", "feature-b", "feature-auth"}


def test_a_path_that_is_no_utf8_does_not_spoil_the_state(store: StateStore) -> None:
    store.update(lambda s: s.with_stream(replace(AUTH, path=os.fsdecode(b"/w/\xff"))))
    assert store.read().streams["feature-auth"].path == "/w/\udcff"
    store.path.read_text(encoding="utf-8")


def test_what_cannot_be_read_is_moved_aside_only_with_the_lock(store: StateStore) -> None:
    """Without it, what another has just published in its place would be moved aside, and lost."""
    store.update(lambda _: put(AUTH))
    store.path.write_text("{ broken")
    late = StreamRecord("feature", "late", Status.OPEN)
    with hold(store.path.parent / ".orchestrator.lock"):
        writing = threading.Thread(target=store.update, args=(lambda state: state.with_stream(late),))
        writing.start()
        time.sleep(1.5)  # longer than it waits for the file to become whole
        assert store.path.read_text() == "{ broken"
        store.path.write_text(json.dumps(put(AUTH).to_json(now="", version=7)))
    writing.join()
    assert sorted(store.read().streams) == ["feature-auth", "feature-late"]
    assert not list(store.path.parent.glob("*corrupt*"))

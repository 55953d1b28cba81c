"""What an agent could plant in ``.loki/``: nothing is followed out of it, blocks us, or drives a terminal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo, call
from support.scripted import Yard, snapshot, yard

from loki_hooks.cli.console import printable

COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("run", "--once"),
    ("cleanup",),
    ("signal", "list"),
    ("signal", "emit", "FEATURE_READY_auth"),
    ("signal", "clear", "FEATURE_READY_auth"),
    ("queue", "list", "docs"),
    ("queue", "claim", "docs"),
    ("logs", "auth"),
    ("cap",),
    ("doctor",),
)


@pytest.fixture
def place(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setenv("LOKI_TRUST", "1")
    made = yard(repo, gate=False)
    made.open("auth")
    made.quiet()
    return made


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder outside, with files of the names that we use."""
    outside = tmp_path / "trap"
    for name in (
        "orchestrator.json",
        "events.jsonl",
        "session-feature-auth.log",
        "hooks.log",
        "FEATURE_READY_auth",
        "resources.json",
        "runner.log",
        "checkout-feature-auth",
    ):
        path = outside / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"secret": "of somebody else"}\n')
    return outside


def replace(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


def run_all(place: Yard, commands: tuple[tuple[str, ...], ...] = COMMANDS) -> dict[str, str]:
    """Run the commands; none may hang, nor be a bug of ours. Return what each printed."""
    said = {}
    for words in commands:
        done = place.repo.loki(*words, timeout=180)
        assert done.code in ({0, 1, 2} if words[0] == "logs" else {0, 1}), (words, done)  # 2: no such stream
        said[" ".join(words)] = done.out + done.err
    place.quiet()
    return said


@pytest.mark.parametrize(
    "folders",
    [
        (".",),
        ("state",),
        ("signals", "queue", "logs", "archive"),
        ("queue/docs", "state/notices", "state/gate-runs", "state/gate-runners", "state/prompts"),
    ],
    ids=" ".join,
)
def test_a_folder_that_is_a_link_is_never_followed(place: Yard, trap: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        replace(place.loki_dir / folder, lambda path: path.symlink_to(trap))
    before = snapshot(trap)
    said = run_all(place)
    assert snapshot(trap) == before
    assert not any("somebody else" in text for text in said.values())
    spawned = place.repo.loki("spawn", "--no-launch", "api")
    assert spawned.code in {0, 1}, spawned.err
    assert "not a folder" in spawned.err or "is a link" in spawned.err or spawned.code == 0
    assert snapshot(trap) == before


FILES = (
    "state/orchestrator.json",
    "state/events.jsonl",
    "state/resources.json",
    "state/test-results.json",
    "state/.orchestrator.lock",
    "logs/session-feature-auth.log",
    "logs/hooks.log",
    "logs/runner.log",
    "logs/setup-feature-auth.log",
    "signals/FEATURE_READY_auth",
    "signals/TESTS_PASSED",
    "queue/docs/.lock",
    "state/prompts/feature-auth.md",
    "state/notices/checkout-feature-auth",
    "state/gate-runners/x.json",
    "state/gate-runs/unit.json",
    "CONTINUITY.md",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder"])
def test_a_file_that_is_something_else_is_never_written_through(place: Yard, trap: Path, kind: str) -> None:
    aim = trap / "orchestrator.json" if kind != "dangling" else trap / "made-by-following"
    before = snapshot(trap)
    for name in FILES:
        replace(
            place.loki_dir / name,
            lambda path: (
                os.mkfifo(path) if kind == "fifo" else path.mkdir() if kind == "folder" else path.symlink_to(aim)
            ),
        )
    said = run_all(place)
    assert snapshot(trap) == before
    assert not any("somebody else" in text for text in said.values())
    for name in ("state/.orchestrator.lock", "queue/docs/.lock"):  # a lock that cannot be one is named, not removed
        if (place.loki_dir / name).is_dir() or (place.loki_dir / name).is_symlink():
            replace(place.loki_dir / name, lambda path: None)
    run_all(place, (("run", "--once"),))
    assert isinstance(json.loads((place.loki_dir / "state" / "orchestrator.json").read_text()), dict)
    assert place.events("adopted")
    assert snapshot(trap) == before


def test_a_whole_session_beside_planted_logs(place: Yard, trap: Path) -> None:
    before = snapshot(trap)
    logs = place.loki_dir / "logs"
    for name, make in (
        ("runner.log", os.mkfifo),
        ("session-feature-api.log", lambda p: p.symlink_to(trap / "runner.log")),
        ("setup-feature-api.log", os.mkfifo),
        ("session-feature-api.1.log", Path.mkdir),
    ):
        replace(logs / name, make)
    replace(place.loki_dir / "state" / "prompts" / "feature-api.md", lambda p: p.symlink_to(trap / "runner.log"))
    place.spawn("api")
    place.wait_for("api", "ready")
    place.quiet()
    assert snapshot(trap) == before
    assert place.repo.loki("logs", "api").code == 0


def test_what_a_linked_worktree_brings(place: Yard, trap: Path) -> None:
    """Its own ``.loki/`` is the agent's to fill, or a branch's."""
    before = snapshot(trap)
    own = place.tree_of("auth") / ".loki"
    replace(own / "signals", lambda path: path.symlink_to(place.loki_dir / "signals"))
    replace(own / "CONTINUITY.md", lambda path: path.symlink_to(trap / "made-by-following"))
    run_all(place, (("run", "--once"), ("status",), ("cleanup", "--dry-run")))
    replace(own / "signals", lambda path: path.symlink_to(trap))
    run_all(place, (("run", "--once"), ("status",)))
    assert place.status("auth") == "open"  # a signal through the link does not count
    shutil.rmtree(own)
    own.symlink_to(trap)
    run_all(place, (("run", "--once"), ("status",), ("cleanup",)))
    assert snapshot(trap) == before
    tree = place.path.parent / "hers"
    place.repo.git("worktree", "add", "-q", str(tree), "-b", "side")
    (tree / ".loki").symlink_to(trap)
    place.repo.git("add", "-f", ".loki", cwd=tree)
    place.repo.git("commit", "-qm", "Bring a link", cwd=tree)
    done = place.repo.loki("spawn", "--no-launch", "lured", "--base", "side")
    assert done.code in {0, 1}, done.err
    assert snapshot(trap) == before


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"pid": ' + "9" * 5000 + "}",
        '{"worktrees": ' + "[" * 90 + "]" * 90 + "}",
        '{"usage": NaN, "x": 1e999}',
        "\x00\xff",
        '{"worktrees": {"feature-auth": {"path": "\\u0000", "branch": {"x": []}}}}',
        "",
    ],
    ids=["deep", "deeper", "digits", "nested", "nan", "bytes", "nul", "empty"],
)
def test_huge_deep_and_hostile_json(place: Yard, text: str) -> None:
    for name in (
        "state/orchestrator.json",
        "state/resources.json",
        "state/test-results.json",
        "state/gate-runners/x.json",
        "signals/FEATURE_READY_auth",
        "signals/MERGE_REQUESTED_feature-auth",
        "queue/docs/0123456789abcdef.json",
        "loki.pid",
    ):
        path = place.loki_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")
    run_all(
        place,
        (
            ("status", "--json"),
            ("run", "--once"),
            ("signal", "list"),
            ("queue", "list", "docs"),
        ),
    )


def test_a_file_beyond_the_limit_is_not_read(place: Yard) -> None:
    for name in ("state/resources.json", "signals/DOCS_NEEDED"):
        path = place.loki_dir / name
        with path.open("wb") as file:
            file.truncate(1 << 34)  # 16 GiB, none of it on the disk
    run_all(place, (("status",), ("signal", "list", "--json"), ("cap",)))


def test_fifos_as_signals_and_items_block_nobody(place: Yard) -> None:
    for name in ("signals/FEATURE_READY_auth", "signals/DOCS_NEEDED", "queue/docs/0123456789abcdef.json", "loki.pid"):
        replace(place.loki_dir / name, os.mkfifo)
    os.mkfifo(place.tree_of("auth") / ".loki" / "signals" / "FEATURE_READY_auth")
    run_all(place)
    assert place.status("auth") == "open"


EVIL = "evil\x1b]0;title\x07\x1b[2J\u009b31m\u202egnp\r\nFAKE line\tx"


def test_control_characters_are_shown_escaped_and_written_escaped(place: Yard) -> None:
    """In a file name, a branch's task, a signal, an item: neither the table nor the log drives a terminal."""
    tree = place.tree_of("auth")
    (tree / EVIL.replace("/", "_")).write_text("x")
    place.repo.git("config", "core.quotePath", "false")
    (place.loki_dir / "signals" / "TESTS_PASSED").write_text(
        json.dumps({"stream": EVIL, "commit": EVIL, "timestamp": EVIL})
    )
    (place.loki_dir / "queue" / "docs" / "0123456789abcdef.json").write_text(
        json.dumps({"id": "0123456789abcdef", "trigger": EVIL, "file": EVIL, "docs": []})
    )
    place.repo.loki("spawn", "--no-launch", "api", "--task", EVIL)
    said = run_all(
        place,
        (
            ("status",),
            ("status", "--json"),
            ("signal", "list"),
            ("signal", "list", "--json"),
            ("queue", "list", "docs"),
            ("queue", "list", "docs", "--json"),
            ("cleanup", "--dry-run"),
            ("cleanup", "--json"),
            ("doctor",),
        ),
    )
    for command, text in said.items():
        assert printable(text) == text, command
        assert "\nFAKE" not in text, command
    assert "evil" in said["cleanup --dry-run"]
    for path in (place.loki_dir / "state").glob("*.json*"):
        text = path.read_text()
        assert printable(text) == text, path


def test_the_checkout_notice_of_a_planted_folder_is_not_shown(place: Yard, trap: Path) -> None:
    replace(place.loki_dir / "state" / "notices", lambda path: path.symlink_to(trap))
    done = place.repo.loki("hook", "post-checkout", "a", "b", "1", cwd=place.tree_of("auth"))
    assert (done.code, done.err) == (0, "")
    replace(place.loki_dir / "state" / "notices", Path.mkdir)
    (place.loki_dir / "state" / "notices" / "checkout-feature-auth").write_text("far \x1b[31mbehind\nmore\n")
    done = place.repo.loki("hook", "post-checkout", "a", "b", "1", cwd=place.tree_of("auth"))
    assert done.err == "loki-hooks: far \\x1b[31mbehind\n"
    place.quiet()


def test_a_crash_of_a_hook_is_not_logged_through_a_link(place: Yard, trap: Path) -> None:
    before = snapshot(trap)
    replace(place.loki_dir / "logs", lambda path: path.symlink_to(trap))
    (place.path / "loki-hooks.toml").write_text("[")
    done = call(["git", "-c", "core.hooksPath=/dev/null", "status"], place.path)
    assert done.code == 0
    place.repo.loki("hook", "pre-push", "origin", "x")
    assert snapshot(trap) == before

"""Hostile and corrupt input: a clear message, exit 1 or 2, and nothing written outside ``.loki/`` and the worktrees."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.scripted import Yard, snapshot, yard

from loki_hooks.actions.streams.plan import Request, plan_streams
from loki_hooks.errors import BadInputError

if TYPE_CHECKING:
    from conftest import Done, Repo


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


@pytest.fixture
def made(repo: Repo) -> Yard:
    return yard(repo)


def said(done: Done, *codes: int) -> None:
    """It ended with one of these codes and a message of ours: no traceback, no control character of the input."""
    assert done.code in codes, done
    assert "Traceback" not in done.err
    assert "bug in loki-hooks" not in done.err
    assert all(c.isprintable() or c in "\n\t" for c in done.err)
    if done.code:
        assert done.err.startswith(("loki-hooks: ", "Usage"))


NAMES = [
    "-rf",
    "--help=",
    "a/../../b",
    "../up",
    "/etc",
    "x;touch y",
    "$(touch y)",
    "`touch y`",
    "x" * 300,
    "🦊",
    "a\nb",
    "a\x1b[2Jb",
    "",
    " ",
    ".",
    "..",
    ".git",
    "a.lock",
    "a..b",
    "a/",
    "/a",
    "a//b",
    "a\\b",
    "a:b",
    "a~1",
    "@{-1}",
    "HEAD^",
    "a b",
    "é",
    "*",
    "a/.hidden",
    "con\tx",
    "refs/heads/../x",
]


def test_names_that_no_stream_can_have(made: Yard) -> None:
    repo = made.repo
    before = snapshot(repo.path.parent), repo.git("for-each-ref"), repo.git("worktree", "list")
    for name in NAMES[:8]:
        done = repo.loki("spawn", "--no-launch", "--", name)
        said(done, 2)
        assert done.out == ""
    for name in NAMES[8:]:
        with pytest.raises(BadInputError):
            plan_streams(made.context(), Request((name,)))
    assert (snapshot(repo.path.parent), repo.git("for-each-ref"), repo.git("worktree", "list")) == before
    for command in (["logs"], ["stop"], ["test"], ["signal", "emit"], ["signal", "clear"]):
        for name in ("-rf", "a/../../b"):
            said(repo.loki(*command, "--", name), 1, 2)
    assert (snapshot(repo.path.parent), repo.git("for-each-ref"), repo.git("worktree", "list")) == before


def test_a_name_that_differs_only_by_case_clashes(made: Yard) -> None:
    made.open("Auth")
    done = made.repo.loki("spawn", "auth", "--no-launch")
    said(done, 1)
    assert "clashes with the stream feature-Auth" in done.err
    assert not made.tree_of("auth").exists()


def test_words_that_git_could_take_for_options(made: Yard) -> None:
    repo = made.repo
    before = repo.git("for-each-ref")
    for words in (
        ["--base", "--output=/tmp/x"],
        ["--base", "-h"],
        ["--branch", "--force"],
        ["--kind", "-x"],
        ["--after", "--all"],
    ):
        option, value = words
        said(repo.loki("spawn", "x", "--no-launch", f"{option}={value}"), 1, 2)
    assert repo.git("for-each-ref") == before


COMMANDS: list[list[str]] = [["status", "--json"], ["cleanup", "--json"], ["run", "--once", "--json"]]


def all_commands(made: Yard, *codes: int) -> None:
    for words in COMMANDS:
        done = made.repo.loki(*words)
        said(done, *(codes or (0,)))
        if "--json" in words and done.code == 0:
            json.loads(done.out)


Damage = Callable[[Path], object]


def folder(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("x")


DAMAGES: dict[str, Damage] = {
    "half a line": lambda p: p.write_text('{"version": "loki-mode", "worktrees": {"feature-x"'),
    "empty": lambda p: p.write_text(""),
    "binary": lambda p: p.write_bytes(bytes(range(256)) * 10),
    "no object": lambda p: p.write_text("[1, 2]"),
    "deep": lambda p: p.write_text("[" * 50_000),
    "NaN": lambda p: p.write_text('{"state_version": NaN}'),
    "folder": folder,
    "fifo": os.mkfifo,
    "link": lambda p: p.symlink_to(p.parent.parent.parent.parent.parent / "target.json"),
    "dangling": lambda p: p.symlink_to("/nowhere/at/all"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_kept_aside_and_rebuilt(made: Yard, damage: str, tmp_path: Path) -> None:
    repo = made.repo
    (tmp_path / "target.json").write_text("{}")
    made.open("x")
    path = made.loki_dir / "state" / "orchestrator.json"
    path.unlink()
    DAMAGES[damage](path)
    parent = {p.name for p in repo.path.parent.iterdir()}
    all_commands(made)
    assert made.status("x") == "open", "found again by git"
    if damage != "link":
        assert list(path.parent.glob("orchestrator.json.corrupt-*"))
    assert (tmp_path / "target.json").read_text() == "{}"
    assert {p.name for p in repo.path.parent.iterdir()} == parent
    assert repo.git("rev-parse", "refs/loki/base/feature-x") == repo.git("rev-parse", "main")


@pytest.mark.parametrize("damage", DAMAGES)
def test_other_damaged_files_stop_nothing(
    made: Yard, damage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "target.json").write_text("{}")
    monkeypatch.setenv("LOKI_DYNAMIC_CONCURRENCY", "1")
    made.streams({"x": {"x.txt": "x"}})
    for name in ("resources.json", "test-results.json", "events.jsonl", "fetched", "gate-runners"):
        path = made.loki_dir / "state" / name
        path.unlink(missing_ok=True)
        DAMAGES[damage](path)
    said(made.repo.loki("run"), 0)
    said(made.repo.loki("cap", "--json"), 0)
    assert made.landed() == ["x"]
    assert (tmp_path / "target.json").read_text() == "{}"


WRONG: list[Any] = [None, -1, "../../etc", "\x1b[2J", ["x"], {"pid": 1, "started": 5}, 10**40]


@pytest.mark.slow
def test_a_state_with_wrong_types_everywhere_is_read_and_harms_nobody(made: Yard) -> None:
    repo = made.repo
    made.open("x", "y")
    path = made.loki_dir / "state" / "orchestrator.json"
    good = json.loads(path.read_text())
    keys = sorted(good["worktrees"]["feature-x"])
    parent = snapshot(repo.path.parent)
    main = repo.git("rev-parse", "main")
    for round_, wrong in enumerate(WRONG):
        state = json.loads(json.dumps(good))
        for number, key in enumerate(keys):
            state["worktrees"][f"feature-n{number}"] = {
                **good["worktrees"]["feature-x"],
                "name": f"n{number}",
                "branch": f"feature/n{number}",
                "path": str(made.tree_of(f"n{number}")),
                key: wrong,
            }
        state |= {
            "pending_merges": wrong,
            "active_streams": wrong,
            "state_version": wrong,
            "startedAt": wrong,
            "mine": wrong,
        }
        state["worktrees"] |= {"strange": wrong, "feature-../x": good["worktrees"]["feature-x"]}
        path.write_text(json.dumps(state))
        said(repo.loki("status", "--json"), 0)
        said(repo.loki("run", "--once", "--json"), 0)
        after = json.loads(path.read_text())
        assert after["mine"] == wrong or round_ == 0
        assert made.status("y") == "open"
    assert repo.git("rev-parse", "main") == main
    assert snapshot(repo.path.parent) == parent


def test_a_state_that_is_something_else(made: Yard) -> None:
    made.once()
    several: tuple[Any, ...] = ("x", None, {"worktrees": []}, {"worktrees": {"": {}}}, {"worktrees": None, "agents": 5})
    for whole in several:
        (made.loki_dir / "state" / "orchestrator.json").write_text(json.dumps(whole))
        said(made.repo.loki("status", "--json"), 0)
        said(made.repo.loki("run", "--once", "--json"), 0)


def test_a_state_that_names_the_integration_branch_never_costs_it(made: Yard) -> None:
    """Not even where no worktree holds it."""
    repo = made.repo
    made.open("x")
    path = made.loki_dir / "state" / "orchestrator.json"
    first = repo.git("rev-list", "--max-parents=0", "main")
    repo.git("switch", "-q", "-c", "mine")
    state = json.loads(path.read_text())
    for status in ("merged", "ready", "open", "failed", "kept"):
        state["worktrees"]["feature-x"] |= {
            "status": status,
            "branch": "main",
            "base": first,
            "tip": repo.git("rev-parse", "main"),
            "path": str(repo.path.parent / "gone"),
            "origin": "spawned",
        }
        path.write_text(json.dumps(state))
        said(repo.loki("cleanup", "--json"), 0)  # makes a pass, too
        assert repo.try_git("rev-parse", "--verify", "-q", "refs/heads/main").code == 0, status


def test_planted_signals_are_no_signals(made: Yard, tmp_path: Path) -> None:
    repo = made.repo
    target = tmp_path / "target"
    target.write_text("precious\n")
    made.streams({"x": {"x.txt": "x"}, "y": {"y.txt": "y"}})
    for place in (repo.signals, made.tree_of("y") / ".loki" / "signals"):
        os.mkfifo(place / "FEATURE_READY_nobody")
        (place / "FEATURE_READY_z").symlink_to(target)
        (place / "TESTS_PASSED_x").mkdir()
        (place / "TESTS_PASSED_x" / "inside").write_text("x")
        (place / "MERGE_REQUESTED_feature-x.ack").write_text("x")
        (place / "WHATEVER").write_text("x")
        (place / "FEATURE_READY_..").write_text("x")
        (place / "FEATURE_READY_-rf").write_text("x")
        (place / "TESTS_FAILED_big").write_bytes(b"x" * 20_000_000)
    all_commands(made)
    said(repo.loki("run"), 0)
    assert "y" in made.landed()
    assert target.read_text() == "precious\n"
    assert (repo.signals / "TESTS_PASSED_x" / "inside").exists()
    assert (repo.signals / "MERGE_REQUESTED_feature-x.ack").exists()
    assert (repo.signals / "WHATEVER").exists()


def test_a_signal_in_a_worktree_speaks_only_of_its_own_stream(made: Yard) -> None:
    made.open("x", "y")
    made.repo.commit("Work", {"y.txt": "y"}, cwd=made.tree_of("y"))
    for name in ("FEATURE_READY_y", "MERGE_REQUESTED_feature-y"):
        (made.tree_of("x") / ".loki" / "signals" / name).touch()
    made.run()
    assert made.status("y") == "open"
    assert made.landed() == []


def test_a_forged_gate_result_does_not_pass(made: Yard) -> None:
    """Anyone can push a ref; a result speaks only for the tree and the gate that it names."""
    repo = made.repo
    made.streams({"good": {"good.txt": "x"}})
    made.run()
    (ref,) = [
        r
        for r in repo.git("for-each-ref", "--format=%(refname)", "refs/loki/gates/").split()
        if repo.git("rev-parse", "main^{tree}") in r
    ]
    blob = repo.git("rev-parse", ref)
    made.streams({"x": {"bad-x": "x"}})
    tree = repo.git("merge-tree", "--write-tree", "main", "feature/x")
    repo.git("update-ref", f"refs/loki/gates/{tree}/{ref.rsplit('/', 1)[1]}", blob)
    made.run()
    assert made.landed() == ["good"]
    assert made.status("x") == "rejected"


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (".loki", "link"),
        (".loki/state", "link"),
        (".loki/signals", "link"),
        (".loki/logs", "link"),
        (".loki/archive", "link"),
        (".loki/queue", "link"),
        (".loki", "file"),
        (".loki/state", "file"),
    ],
)
def test_a_folder_of_ours_that_is_a_link_or_a_file_is_refused(
    made: Yard, place: str, what: str, tmp_path: Path
) -> None:
    repo = made.repo
    target = tmp_path / "elsewhere"
    target.mkdir()
    path = repo.path / place
    path.parent.mkdir(exist_ok=True)
    if what == "link":
        path.symlink_to(target)
    else:
        path.write_text("mine\n")
    done = repo.loki("run", "--once")
    said(done, 1)
    assert "not a folder" in done.err
    said(repo.loki("spawn", "x", "--no-launch"), 1)
    assert list(target.iterdir()) == []
    assert not made.tree_of("x").exists()
    assert what == "link" or path.read_text() == "mine\n"


def test_a_broken_configuration_names_every_error_at_once_and_does_nothing(made: Yard) -> None:
    repo = made.repo
    before = repo.git("for-each-ref"), {p.name for p in repo.path.parent.iterdir()}
    repo.write(
        "loki-hooks.toml",
        """\
integration_branch = 5
sesion = 1
[session]
max = 0
commit = "some"
[gates.unit]
timeout = -1
[gates."a/b"]
command = []
[worktrees]
path = "../{projct}"
[environment]
set = { "1A" = "x" }
ports = "many"
""",
    )
    for words in (["status"], ["spawn", "x"], ["run", "--once"], ["cap"]):
        done = repo.loki(*words)
        said(done, 2) if words != ["cap"] else said(done, 0, 2)
        if words == ["cap"]:
            continue
        for part in (
            "integration_branch",
            "session.max",
            "session.commit",
            "gates.unit.command",
            "gates.unit.timeout",
            "worktrees.path",
            "{project}",
            "environment.ports",
            "environment.set",
        ):
            assert part in done.err, (words, part, done.err)
    assert (repo.git("for-each-ref"), {p.name for p in repo.path.parent.iterdir()}) == before
    repo.write("loki-hooks.toml", "[gates.unit\n")
    done = repo.loki("status")
    said(done, 2)
    assert "loki-hooks.toml" in done.err
    repo.write("loki-hooks.toml", "[sesion]\nmax = 3\n[session]\nagnet = 'x'\n")
    done = repo.loki("status")
    said(done, 0)


def test_a_template_that_leads_two_streams_to_one_place_or_into_the_repository(made: Yard) -> None:
    repo = made.repo
    text = (repo.path / "loki-hooks.toml").read_text()
    repo.write("loki-hooks.toml", text + '[worktrees]\npath = "../{project}-all"\n')
    said(repo.loki("spawn", "x", "y", "--no-launch"), 2)
    for path in (".", "", ".git/x", "app.py"):
        repo.write("loki-hooks.toml", text + f'[worktrees]\npath = "{path}"\n')
        before = repo.git("for-each-ref"), repo.git("worktree", "list"), snapshot(repo.path)
        said(repo.loki("spawn", "x", "--no-launch"), 1, 2)
        assert (repo.git("for-each-ref"), repo.git("worktree", "list"), snapshot(repo.path)) == before, path


def test_git_clean_closes_no_gate_and_loses_no_stream(made: Yard) -> None:
    repo = made.repo
    made.streams({"good": {"good.txt": "x"}, "worse": {"bad-x": "x"}})
    repo.git("clean", "-q", "-xdf")
    assert not made.loki_dir.exists()
    made.run()
    assert made.landed() == ["good"]
    assert made.status("worse") == "rejected"
    assert made.record("good") == {} or made.status("good") in {"merged", "archived"}


def test_a_task_of_any_text_is_data(made: Yard) -> None:
    repo = made.repo
    made.agent("x", f"printf %s \"$2\" > '{made.outside}/task'; echo x > x.txt")
    task = "{{ 7*7 }} {name} $(touch y) `id` ; rm -rf / \\ '\" %s {% raw %} 🦊 \n second line --flag"
    made.spawn("x", "--task", task)
    made.run()
    assert (made.outside / "task").read_text() == task
    assert made.landed() == ["x"]
    assert repo.git("log", "-1", "--format=%s", "main^2") == task.splitlines()[0].strip()

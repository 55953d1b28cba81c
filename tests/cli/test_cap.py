"""`loki-hooks cap` from outside: one integer on stdout; with the dynamic cap off nothing is started or read."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Done, Repo, call

ON = {"LOKI_DYNAMIC_CONCURRENCY": "1"}
KEYS = {"cap", "dynamic", "ceiling", "reason", "cpu", "memory", "warnings"}

WATCHED = """
import os, sys
touched = []
def watch(event, args):
    if event.startswith(("subprocess.", "os.fork", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "pty.")):
        touched.append((event, str(args)))
    elif event in {"open", "os.listdir", "os.scandir"} and ".loki" in str(args[0]):
        touched.append((event, str(args)))
sys.addaudithook(watch)
from loki_hooks.__main__ import main
sys.argv = ["loki-hooks", *sys.argv[1:]]
try:
    code = main()
except SystemExit as end:
    code = end.code
heavy = {"psutil", "pydantic", "pygit2", "jinja2", "rich", "ruamel", "ruamel.yaml", "platformdirs"} & set(sys.modules)
print(touched, heavy, file=sys.stderr)
sys.exit(code)
"""


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def snapshot(repo: Repo, value: Any) -> Path:
    """Write ``resources.json``: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    return repo.write(".loki/state/resources.json", text)


def load(cpu: object, memory: object, status: str = "ok", age: float = 0) -> dict[str, Any]:
    return {
        "timestamp": ago(age),
        "cpu": {"usage_percent": cpu},
        "memory": {"usage_percent": memory},
        "overall_status": status,
    }


def integer(done: Done) -> int:
    assert done.code == 0, done.err
    assert done.out == f"{int(done.out)}\n"
    return int(done.out)


def answer(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    assert set(found) == KEYS
    return found


def test_plain_is_one_integer_and_nothing_else(repo: Repo) -> None:
    done = repo.loki("cap")
    assert (done.code, done.out, done.err) == (0, "3\n", "")
    assert repo.loki("cap", env={"LOKI_MAX_PARALLEL_SESSIONS": " 7 "}).out == "7\n"


def test_a_nonsense_knob_is_named_on_stderr_only(repo: Repo) -> None:
    done = repo.loki("cap", env={"LOKI_MAX_PARALLEL_SESSIONS": "many"})
    assert (done.code, done.out) == (0, "3\n")
    assert done.err.startswith("loki-hooks: LOKI_MAX_PARALLEL_SESSIONS='many'")
    assert len(done.err.splitlines()) == 1


def test_with_the_dynamic_cap_off_nothing_is_started_read_or_made(repo: Repo, tmp_path: Path) -> None:
    kept = snapshot(repo, load(99, 99, "warning"))
    empty = tmp_path / "empty"
    empty.mkdir()
    for env in ({}, {"LOKI_DYNAMIC_CONCURRENCY": ""}, {"LOKI_DYNAMIC_CONCURRENCY": "true"}):
        done = call([sys.executable, "-c", WATCHED, "cap"], repo.path, {"PATH": str(empty), **env})
        assert (done.code, done.out, done.err) == (0, "3\n", "[] set()\n")
    assert sorted(p.name for p in kept.parent.iterdir()) == ["resources.json"]
    assert sorted(p.name for p in (repo.path / ".loki").iterdir()) == ["state"]


def test_with_it_on_the_same_watch_sees_the_snapshot_read_and_no_process(repo: Repo, tmp_path: Path) -> None:
    snapshot(repo, load(96, 10))
    done = call([sys.executable, "-c", WATCHED, "cap"], repo.path, {"PATH": str(tmp_path), **ON})
    assert done.out == "1\n"
    assert "resources.json" in done.err and "subprocess" not in done.err
    assert done.err.endswith(" set()\n"), "a fresh snapshot needs no psutil"


def test_off_makes_no_loki_folder(repo: Repo) -> None:
    integer(repo.loki("cap"))
    assert not (repo.path / ".loki").exists()
    assert repo.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("cpu", "memory", "status", "expected"),
    [
        (10, 10, "ok", 9),
        (84.99, 84.99, "ok", 9),
        (85, 10, "ok", 4),
        (10, 94.99, "ok", 4),
        (95, 10, "ok", 1),
        (10, 10, "warning", 4),
    ],
)
def test_a_fresh_snapshot_decides(repo: Repo, cpu: float, memory: float, status: str, expected: int) -> None:
    file = snapshot(repo, load(cpu, memory, status))
    before = file.read_text()
    env = {**ON, "LOKI_MAX_PARALLEL_SESSIONS_CEILING": "9"}
    assert integer(repo.loki("cap", env=env)) == expected
    assert file.read_text() == before
    found = answer(repo.loki("cap", "--json", env=env))
    assert (found["cap"], found["dynamic"], found["ceiling"], found["cpu"], found["memory"]) == (
        expected,
        True,
        9,
        cpu,
        memory,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "5",
        '{"cpu": {"usage_percent": NaN}}',
        '{"cpu": {"usage_percent": "99"}}',
        '{"cpu": 99, "memory": [99]}',
        "[" * 5000,
        '{"cpu": {"usage_percent": 1e999}}',
        "\x00\xff",
    ],
)
def test_a_snapshot_that_says_nothing_is_the_ceiling(repo: Repo, text: str) -> None:
    file = snapshot(repo, text)
    before = file.read_bytes()
    done = repo.loki("cap", "--no-sample", env={**ON, "LOKI_MAX_PARALLEL_SESSIONS": "6"})
    assert (integer(done), done.err) == (6, "")
    assert file.read_bytes() == before


def test_no_sample_decides_from_the_file_as_it_is(repo: Repo) -> None:
    assert integer(repo.loki("cap", "--no-sample", env=ON)) == 3
    assert not (repo.path / ".loki").exists()
    file = snapshot(repo, load(99, 99, age=5000))
    before = file.read_text()
    assert integer(repo.loki("cap", "--no-sample", env=ON)) == 1
    assert file.read_text() == before


@pytest.mark.parametrize("old", [None, "not json", load(99, 99, age=61)])
def test_a_missing_or_old_snapshot_is_measured_anew(repo: Repo, old: Any) -> None:
    if old is not None:
        snapshot(repo, old)
    found = answer(repo.loki("cap", "--json", env={**ON, "LOKI_CONCURRENCY_MEM_THRESHOLD": "70"}))
    assert 1 <= found["cap"] <= found["ceiling"] == 3
    written = json.loads((repo.path / ".loki/state/resources.json").read_text())
    assert written["timestamp"] >= ago(60) and written["timestamp"].endswith("Z")
    assert (written["cpu"]["usage_percent"], written["memory"]["usage_percent"]) == (found["cpu"], found["memory"])
    assert (written["cpu"]["threshold_percent"], written["memory"]["threshold_percent"]) == (85, 70)
    assert repo.git("status", "--porcelain") == ""


def test_a_snapshot_that_cannot_be_written_is_a_warning(repo: Repo) -> None:
    inside = repo.write(".loki/state/resources.json/mine", "")
    done = repo.loki("cap", env=ON)
    assert 1 <= integer(done) <= 3
    assert "not refreshed" in done.err and "Traceback" not in done.err
    assert inside.exists()


def test_explain_says_why_on_stderr(repo: Repo) -> None:
    snapshot(repo, load(10, 96))
    done = repo.loki("cap", "--explain", env=ON)
    assert (integer(done), done.err) == (1, "loki-hooks: critical: memory 96 % is at or above 95 %\n")
    assert "LOKI_DYNAMIC_CONCURRENCY is not 1" in repo.loki("cap", "--explain").err


def test_json_says_the_same_with_the_dynamic_cap_off(repo: Repo) -> None:
    found = answer(repo.loki("cap", "--json", env={"LOKI_MAX_PARALLEL_SESSIONS": "x"}))
    assert (found["cap"], found["dynamic"], found["ceiling"]) == (3, False, 3)
    assert found["cpu"] is found["memory"] is None
    assert "LOKI_MAX_PARALLEL_SESSIONS" in found["warnings"][0]


def test_the_main_worktrees_configuration_counts_in_a_linked_one(repo: Repo, tmp_path: Path) -> None:
    repo.write("loki-hooks.toml", "[session]\nmax = 5\n")
    linked = tmp_path / "work" / "linked"
    repo.git("worktree", "add", "-q", str(linked), "-b", "feature/x")
    repo.write("loki-hooks.toml", "[session]\nmax = 50\n", cwd=linked)
    snapshot(repo, load(85, 10))
    below = linked / "deep" / "er"
    below.mkdir(parents=True)
    for folder in (repo.path, linked, below):
        assert integer(repo.loki("cap", cwd=folder)) == 5
        assert integer(repo.loki("cap", cwd=folder, env=ON)) == 2
    assert not (linked / ".loki").exists()


def test_an_unknown_key_is_named(repo: Repo) -> None:
    repo.write("loki-hooks.toml", "[session]\nmx = 5\n")
    done = repo.loki("cap")
    assert integer(done) == 3
    assert "session.mx" in done.err and "session.max" in done.err


def test_a_wrong_configuration_is_an_error_and_no_number(repo: Repo) -> None:
    repo.write("loki-hooks.toml", "[session]\nmax = 0\n")
    done = repo.loki("cap")
    assert (done.code, done.out) == (2, "")
    assert "session.max" in done.err and "Traceback" not in done.err


def test_a_bare_repository_keeps_the_snapshot_inside_itself(repo: Repo, tmp_path: Path) -> None:
    bare = tmp_path / "project.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    assert integer(repo.loki("cap", cwd=bare)) == 3
    integer(repo.loki("cap", cwd=bare, env=ON))
    assert (bare / ".loki/state/resources.json").is_file()


def test_outside_a_repository_it_answers_with_the_defaults(repo: Repo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    assert integer(repo.loki("cap", cwd=outside)) == 3
    assert 1 <= integer(repo.loki("cap", cwd=outside, env=ON)) <= 3
    assert list(outside.iterdir()) == []

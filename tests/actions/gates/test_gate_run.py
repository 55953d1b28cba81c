"""A gate's run: in a worktree of its own, with an environment of its own, recorded as a fact about a tree."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, eventually
from support.scripted import Yard, group_is_gone, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def result_of(made: Yard, *words: str) -> dict[str, object]:
    done = made.repo.loki("test", "--json", *words)
    (entry,) = json.loads(done.out)
    return dict(entry)


def test_the_answer_has_what_others_build_on_and_is_known_the_second_time(repo: Repo) -> None:
    made = yard(repo)
    first = result_of(made)
    assert set(first) >= {"stream", "gate", "tree", "outcome", "cached", "seconds"}
    assert (first["gate"], first["outcome"], first["cached"]) == ("unit", "passed", False)
    assert first["tree"] == repo.git("rev-parse", "main^{tree}")
    assert result_of(made)["cached"] is True
    assert result_of(made, "--again")["cached"] is False
    assert made.runs() == [first["tree"]] * 2


def test_a_commit_with_the_same_tree_is_the_same_fact(repo: Repo) -> None:
    made = yard(repo)
    result_of(made)
    repo.git("commit", "-q", "--amend", "-m", "Other words")
    assert result_of(made)["cached"] is True


def test_another_command_is_another_fact(repo: Repo) -> None:
    made = yard(repo)
    result_of(made)
    text = (repo.path / "loki-hooks.toml").read_text().replace("gate.sh'\"", "gate.sh' # again\"")
    repo.commit("Other command", {"loki-hooks.toml": text})
    assert result_of(made)["cached"] is False


def test_the_users_worktree_is_neither_used_nor_touched(repo: Repo) -> None:
    made = yard(repo)
    repo.write("bad-mine", "uncommitted, would fail\n")
    repo.write("app.py", "unsaved\n")
    before = repo.git("status", "--porcelain"), repo.git("rev-parse", "HEAD")
    (made.outside / "gate.sh").write_text(f"pwd > '{made.outside}/where'; test ! -e bad-mine && grep -q hello app.py\n")
    assert result_of(made)["outcome"] == "passed"
    assert (made.outside / "where").read_text().strip() == str(repo.path.parent / "project-testing")
    assert (repo.git("status", "--porcelain"), repo.git("rev-parse", "HEAD")) == before


def test_it_rests_on_its_branch_at_the_tip_and_is_detached_while_it_runs(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate.sh").write_text(
        f"git symbolic-ref -q HEAD > '{made.outside}/head'; git rev-parse HEAD >> '{made.outside}/head'\n"
    )
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    testing = repo.path.parent / "project-testing"
    assert (made.outside / "head").read_text().split() == [repo.git("rev-parse", "main")]
    assert repo.git("symbolic-ref", "--short", "HEAD", cwd=testing) == "parallel-testing"
    assert repo.git("rev-parse", "parallel-testing") == repo.git("rev-parse", "main")
    assert repo.git("status", "--porcelain", cwd=testing) == ""


def test_commits_on_the_testing_branch_are_somebodys(repo: Repo) -> None:
    made = yard(repo)
    result_of(made)
    testing = repo.path.parent / "project-testing"
    own = repo.commit("Somebody's", {"own.txt": "x"}, cwd=testing)
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    assert made.landed() == ["x"]
    assert repo.git("rev-parse", "parallel-testing") == own
    repo.git("checkout", "-q", "--detach", cwd=testing)
    lonely = repo.commit("On no branch", {"lonely.txt": "x"}, cwd=testing)
    made.streams({"y": {"y.txt": "y"}})
    made.run()
    assert made.landed() == ["x", "y"]
    assert repo.git("rev-parse", "HEAD", cwd=testing) == lonely


def test_what_is_tested_is_the_gates_worktree_not_what_is_installed(repo: Repo) -> None:
    """A Python project's own sources lead, as if an editable install of the main worktree were not there."""
    made = yard(repo)
    repo.commit("A package", {"pyproject.toml": "[project]\nname = 'app'\nversion = '1'\n", "src/lib.py": "V = 1\n"})
    (made.outside / "gate.sh").write_text(
        f"python -c 'import lib; print(lib.__file__)' > '{made.outside}/seen'; env > '{made.outside}/env'\n"
    )
    env = {"PYTHONPATH": str(repo.path / "src"), "GIT_DIR": str(repo.path / ".git"), "GIT_INDEX_FILE": "/nowhere"}
    assert repo.loki("test", env=env).code == 0
    assert (made.outside / "seen").read_text().strip() == str(repo.path.parent / "project-testing" / "src" / "lib.py")
    assert not [
        line
        for line in (made.outside / "env").read_text().splitlines()
        if line.startswith(("GIT_DIR", "GIT_INDEX", "GIT_WORK"))
    ]


def test_a_failing_gate_is_exit_1_with_its_output_and_a_flaky_one_is_flaky(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Bad", {"bad-x": "x"})
    done = repo.loki("test")
    assert done.code == 1
    assert "bad-x is bad" in done.err + done.out
    text = (repo.path / "loki-hooks.toml").read_text().replace("[gates.unit]", "[gates.unit]\nretries = 2")
    repo.commit("Retry", {"loki-hooks.toml": text})
    (made.outside / "gate.sh").write_text(
        f"test -e '{made.outside}/once' && exit 0; touch '{made.outside}/once'; exit 1\n"
    )
    done = repo.loki("test", "--json")
    assert json.loads(done.out)[0]["outcome"] == "flaky"
    assert done.code == 1


def test_two_gates_must_both_pass_and_run_side_by_side_where_they_may(repo: Repo) -> None:
    made = yard(repo, more="[gates.lint]\ncommand = ['sh', '-c', 'test ! -e ugly']\nworktree = 'lint'\n")
    made.streams({"a": {"a.txt": "a"}, "b": {"ugly": "b"}})
    made.run()
    assert made.landed() == ["a"]
    assert made.status("b") == "rejected"
    assert "lint" in made.record("b")["reason"]
    assert (repo.path.parent / "project-lint").is_dir()


def test_interrupted_by_a_person_it_has_no_result_and_leaves_nothing_running(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate.sh").write_text(f"echo $$ > '{made.outside}/pid'; sleep 300 & sleep 300\n")
    child = subprocess.Popen(
        [str(SCRIPTS / "loki-hooks"), "test"], cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    eventually((made.outside / "pid").exists)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == 130
    assert not repo.git("for-each-ref", "refs/loki/gates/")
    eventually(lambda: group_is_gone(int((made.outside / "pid").read_text())))


def test_what_it_was_started_to_ignore_changes_nothing_and_does_not_reach_the_gate(repo: Repo) -> None:
    """As after `nohup`, and in the background of a shell script."""
    made = yard(repo)
    (made.outside / "gate.sh").write_text(
        f"grep SigIgn /proc/$$/status > '{made.outside}/ignored'\nwhile [ ! -e '{made.outside}/go' ]; do sleep 0.05; done\n"
    )
    child = subprocess.Popen(
        ["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", str(SCRIPTS / "loki-hooks"), "test", "--json"],
        cwd=repo.path,
        stdout=subprocess.PIPE,
    )
    eventually((made.outside / "ignored").exists)
    for number in (signal.SIGHUP, signal.SIGINT):
        child.send_signal(number)
    (made.outside / "go").touch()
    said, _ = child.communicate(timeout=60)
    assert (child.returncode, json.loads(said)[0]["outcome"]) == (0, "passed")
    ignored = int((made.outside / "ignored").read_text().split()[1], 16)
    assert not ignored & (1 << signal.SIGINT - 1 | 1 << signal.SIGHUP - 1)


def test_one_who_asks_while_it_runs_waits_and_gets_the_same_result(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate-wait").write_text("1")
    children = [
        subprocess.Popen(
            [str(SCRIPTS / "loki-hooks"), "test", "--json"],
            cwd=repo.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    answers = [json.loads(child.communicate(timeout=60)[0])[0] for child in children]
    assert [a["outcome"] for a in answers] == ["passed"] * 3
    assert sorted(a["cached"] for a in answers) == [False, True, True]
    assert len(made.runs()) == 1


def test_the_output_is_kept_whole_shown_by_its_end_and_may_be_no_text(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate.sh").write_text(
        "yes 'a long line of output' | head -c 3000000; printf '\\377\\376\\033[2J last words\\n'; exit 1\n"
    )
    done = repo.loki("test", "--json")
    assert done.code == 1
    value = json.loads((made.loki_dir / "state" / "test-results.json").read_text())["main"]["gates"]["unit"]
    assert "last words" in value["tail"]
    assert len(value["tail"]) < 10_000
    assert (made.loki_dir / "logs" / "gate-unit.log").stat().st_size > 3_000_000


def test_a_program_that_cannot_be_started_could_not_run(repo: Repo) -> None:
    yard(repo)
    made = yard(repo, more="[gates.ghost]\ncommand = ['no-such-program-here']\n")
    answers = {a["gate"]: a for a in json.loads(repo.loki("test", "--json").out)}
    assert answers["ghost"]["outcome"] == "could-not-run"
    assert answers["unit"]["outcome"] == "passed"
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    assert made.landed() == []
    assert made.status("x") == "ready"


def test_something_that_stands_in_the_place_of_the_gates_worktree(repo: Repo) -> None:
    made = yard(repo)
    place = repo.path.parent / "project-testing"
    place.write_text("somebody's file\n")
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    assert made.landed() == ["x"]
    assert place.read_text() == "somebody's file\n"


def test_a_gate_worktree_that_was_deleted_is_made_again(repo: Repo) -> None:
    import shutil

    made = yard(repo)
    result_of(made)
    shutil.rmtree(repo.path.parent / "project-testing")
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    assert made.landed() == ["x"]


def test_a_git_init_in_a_test_leaves_the_repository_alone(repo: Repo) -> None:
    made = yard(repo)
    (made.outside / "gate.sh").write_text(
        'd=$(mktemp -d) && cd "$d" && git init -q && git config core.bare true && git commit -q --allow-empty -m x\n'
    )
    made.open("x")
    env = {
        "GIT_DIR": str(repo.path / ".git" / "worktrees" / "project-feature-x"),
        "GIT_INDEX_FILE": str(repo.path / ".git" / "index"),
    }
    done = repo.loki("test", cwd=made.tree_of("x"), env=env)
    assert done.code in {0, 1}, done.err
    assert repo.git("config", "core.bare") == "false"
    assert repo.git("status", "--porcelain") == ""
    assert Path(os.environ["HOME"]).is_dir()


def sleepers(number: int) -> list[int]:
    """Return the pids of who sleeps for so many seconds."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes().split(b"\0")[1:2] == [str(number).encode()]:
                found.append(int(entry.parent.name))
    return found


def test_what_a_killed_run_left_running_is_ended_by_the_next_one(repo: Repo) -> None:
    made, number = yard(repo), 10_000_000 + os.getpid()
    (made.outside / "gate.sh").write_text(
        f"env -i PATH=\"$PATH\" setsid -f sh -c 'cd /; exec sleep {number}'; touch '{made.outside}/begun'; sleep {number}\n"
    )
    child = subprocess.Popen([str(SCRIPTS / "loki-hooks"), "test"], cwd=repo.path, stderr=subprocess.DEVNULL)
    eventually((made.outside / "begun").exists)
    child.kill()
    child.wait()
    assert len(sleepers(number)) == 2
    testing = repo.path.parent / "project-testing"
    persons = subprocess.Popen(["sleep", "300"], cwd=testing)
    (made.outside / "gate.sh").write_text("exit 0\n")
    try:
        assert result_of(made)["outcome"] == "passed"
        assert sleepers(number) == []
        assert persons.poll() is None
    finally:
        persons.kill()
        persons.wait()


def test_neither_a_server_of_the_set_up_nor_a_lock_of_the_run_is_left(repo: Repo) -> None:
    made, number = yard(repo), 20_000_000 + os.getpid()
    text = (repo.path / "loki-hooks.toml").read_text()
    server = f"setup = 'env -i PATH=\"$PATH\" setsid -f sleep {number} >/dev/null 2>&1'"
    repo.commit("Set up", {"loki-hooks.toml": text.replace("setup = false", server)})
    (made.outside / "gate.sh").write_text('touch "$(git rev-parse --git-dir)/index.lock"; echo >>app.py\n')
    for again in ((), ("--again",)):
        assert result_of(made, *again)["outcome"] == "passed"
        assert sleepers(number) == []
    assert not (repo.path.parent / "project-testing-2").exists()


def test_a_socket_that_a_run_left_does_not_fail_the_next_one(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Folders", {"run/keep.txt": "", "other/a.txt": "", ".gitignore": "tmp/\n*.sock\n"})
    (made.outside / "gate.sh").write_text(
        "mkdir -p tmp new && exec python3 -c 'import os, socket\n"
        'for name in ("a.sock", "run/b", "tmp/c.sock", "new/d.sock"):\n'
        "    socket.socket(socket.AF_UNIX).bind(name)\n"
        'os.mkfifo("other/fifo")\'\n'
    )
    for again in ((), ("--again",)):
        assert result_of(made, *again)["outcome"] == "passed"
    tree = repo.path.parent / "project-testing"
    assert sorted(path.name for path in (tree / "run").iterdir()) == ["keep.txt"]
    assert sorted(path.name for path in (tree / "other").iterdir()) == ["a.txt"]

"""Sessions: how each way to end is told, and that nothing of a session outlives it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Repo, eventually
from support.scripted import Yard, group_is_gone, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def ended(made: Yard, name: str, script: str, *statuses: str) -> dict[str, object]:
    made.agent(name, script)
    made.spawn(name)
    made.wait_for(name, *statuses)
    made.quiet()
    return made.record(name)


def lock_of(repo: Repo, path: Path) -> str | None:
    for block in repo.git("worktree", "list", "--porcelain").split("\n\n"):
        lines = block.splitlines()
        if lines[0] == f"worktree {path}":
            return next((line.removeprefix("locked").strip() for line in lines if line.startswith("locked")), None)
    return None


COMMIT = "echo x > x.txt; git add x.txt; git commit -q -m Work\n"


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        (COMMIT + "echo to the log; echo to stderr >&2; exit 3\n", "failed", "exit status 3"),
        ("exit 0\n", "failed", "made no commit"),
        ("kill -SEGV $$\n", "failed", "signal 11"),
        (COMMIT + "git checkout -q -b elsewhere\n", "escalated", "elsewhere"),
        (COMMIT + "git checkout -q --detach\n", "escalated", "detached"),
        (COMMIT + "echo key > deploy.pem\n", "escalated", "deploy.pem"),
        (COMMIT + "mkdir -p deep; echo TOKEN=1 > deep/.env.local\n", "escalated", "deep/.env.local"),
        (COMMIT + "head -c 11000000 /dev/zero > huge.bin\n", "escalated", "huge.bin"),
    ],
)
def test_what_is_not_a_good_end_says_why_and_keeps_everything(
    repo: Repo, script: str, status: str, reason: str
) -> None:
    made = yard(repo)
    record = ended(made, "x", script, status)
    assert reason in str(record["reason"])
    assert made.tree_of("x").is_dir()
    assert (repo.signals / "WORKTREE_FAILED_feature-x").exists()
    assert not (repo.signals / "FEATURE_READY_x").exists()
    assert made.landed() == []
    assert lock_of(repo, made.tree_of("x")) is None
    tracked = repo.git("ls-tree", "-r", "--name-only", "feature/x").split()
    assert not {"deploy.pem", "deep/.env.local", "huge.bin"} & set(tracked)


def test_leftovers_are_committed_under_the_tasks_title_and_land(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", "echo changed > app.py; mkdir -p 'new dir'; echo n > 'new dir/ü \"q\".txt'; git rm -q README.md\n")
    made.spawn("x", "--task", "Teach it to greet\nMore words")
    made.run()
    assert made.landed() == ["x"]
    assert repo.git("log", "--format=%s", "-1", "main^2") == "Teach it to greet"
    files = repo.git("ls-tree", "-r", "-z", "--name-only", "main").split("\0")
    assert 'new dir/ü "q".txt' in files
    assert "README.md" not in files


def test_what_the_agent_has_staged_halfway_is_committed_as_it_is_on_disk(repo: Repo) -> None:
    made = yard(repo)
    ended(made, "x", "echo one > x.txt; git add x.txt; echo two > x.txt\n", "archived")
    assert repo.git("show", "main:x.txt") == "two"


def test_leftovers_stay_where_the_configuration_says_never(repo: Repo) -> None:
    made = yard(repo)
    repo.commit(
        "Never",
        {"loki-hooks.toml": (repo.path / "loki-hooks.toml").read_text().replace('commit = "all"', 'commit = "never"')},
    )
    record = ended(made, "x", COMMIT + "echo left > left.txt\n", "escalated")
    assert "left.txt" in str(record["reason"])
    assert (made.tree_of("x") / "left.txt").read_text() == "left\n"


def test_a_hook_of_the_user_that_refuses_the_commit_is_obeyed(repo: Repo) -> None:
    made = yard(repo)
    hook = repo.write(
        ".git/hooks/pre-commit", '#!/bin/sh\ntest "$LOKI_HOOKS_DISABLE" != 1 && exit 0\necho not so >&2; exit 1\n'
    )
    hook.chmod(0o755)
    record = ended(made, "x", "echo left > left.txt\n", "escalated", "failed")
    assert "not so" in str(record["reason"])
    assert (made.tree_of("x") / "left.txt").exists()


USERS_HOOK = """\
#!/bin/sh
env | grep -E '^GIT_[A-Z]+_PATHSPECS|^GIT_INDEX_FILE=.*next-index' >> %s
for f in $(git diff --cached --name-only --diff-filter=AM -- '*.py'); do
  ! grep -q FORBIDDEN "$f" || { echo "$f has FORBIDDEN"; exit 1; }
done
r=0
for f in $(git diff --cached --name-only --diff-filter=AM -- '*.md'); do
  ! grep -q ' $' "$f" || { sed -i 's/ *$//' "$f"; echo "$f was modified by this hook"; r=1; }
done
for f in $(git diff --cached --name-only --diff-filter=AM -- '*.txt'); do sed -i 's/ *$//' "$f"; git add "$f"; done
exit $r
"""


def test_the_users_hook_sees_leftovers_as_in_any_commit(repo: Repo) -> None:
    made = yard(repo, cap=5)
    told = made.outside / "told"
    repo.write(".git/hooks/pre-commit", USERS_HOOK % told).chmod(0o755)
    for name, script in {
        "forbidden": "echo FORBIDDEN > new.py\n",
        "twice": "printf 'words  \\n' > words.md\n",
        "partly": "printf 'text  \\n' > text.txt; echo N > n.dat; git add -N n.dat\n"
        "echo 1 > '*.dat'; git add '*.dat'; echo 2 > '*.dat'\n",
        "secret": "echo T=1 > prod.env; git add -f prod.env; echo work > work.dat\n",
        "clash": "echo 1 > app.py; git stash -q; echo 2 > app.py; git commit -qam 2; git stash pop -q || :\n",
    }.items():
        made.agent(name, script)
    made.spawn("forbidden", "twice", "partly", "secret", "clash")
    made.run()
    assert sorted(made.landed()) == ["partly", "twice"]
    assert not told.read_text(), "no variable that changes what a pathspec means, and no index of its own"
    shown = {f: repo.git("show", f"main:{f}") for f in ("words.md", "text.txt", "n.dat", "*.dat")}
    assert shown == {"words.md": "words", "text.txt": "text", "n.dat": "N", "*.dat": "2"}
    assert "new.py has FORBIDDEN" in made.record("forbidden")["reason"]
    assert "conflicts are not resolved in app.py" in made.record("clash")["reason"]
    assert "prod.env" in made.record("secret")["reason"]
    tree = made.tree_of("secret")
    assert repo.git("ls-tree", "--name-only", "HEAD", "work.dat", "prod.env", cwd=tree) == "work.dat"
    assert repo.git("status", "--porcelain", cwd=tree) == "A  prod.env", "as the agent had staged it"


def test_copied_environment_files_reach_the_agent_and_never_a_commit(repo: Repo) -> None:
    made = yard(repo)
    env = repo.write(".env", "SECRET=1\n")
    env.chmod(0o600)
    repo.write(".env.test", "T=1\n")
    ended(made, "x", f"cp .env '{made.outside}/seen'; stat -c %a .env > '{made.outside}/mode'; {COMMIT}", "archived")
    assert (made.outside / "seen").read_text() == "SECRET=1\n"
    assert (made.outside / "mode").read_text() == "600\n"
    assert not {".env", ".env.test"} & made.on_main()
    assert "SECRET" not in "".join(p.read_text(errors="replace") for p in made.loki_dir.rglob("*") if p.is_file())


def test_over_its_time_it_is_ended_with_all_its_processes(repo: Repo) -> None:
    made = yard(repo, timeout=1)
    record = ended(made, "x", f"echo $$ > '{made.outside}/pid'; {COMMIT} sleep 300 & sleep 300\n", "failed")
    assert "session.timeout" in str(record["reason"])
    eventually(lambda: group_is_gone(int((made.outside / "pid").read_text())))


def test_what_an_agent_leaves_running_ends_with_its_session(repo: Repo) -> None:
    made = yard(repo)
    ended(made, "x", f"sleep 300 & echo $! > '{made.outside}/pid'; {COMMIT}", "archived")
    pid = int((made.outside / "pid").read_text())
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_stop_ends_the_agent_keeps_its_work_and_says_so(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", f"echo $$ > '{made.outside}/pid'; {COMMIT} echo half > half.txt; sleep 300\n")
    made.spawn("x")
    eventually((made.outside / "pid").exists)
    eventually((made.tree_of("x") / "half.txt").exists)
    assert repo.loki("stop", "x").code == 0
    assert made.status("x") == "stopped"
    assert (made.tree_of("x") / "half.txt").exists()
    assert repo.git("log", "-1", "--format=%s", "feature/x") == "Work"
    eventually(lambda: group_is_gone(int((made.outside / "pid").read_text())))
    again = repo.loki("stop", "x")
    assert again.code == 1
    assert "no session" in again.err
    made.quiet()


def test_stop_takes_a_waiting_stream_out_of_the_queue(repo: Repo) -> None:
    made = yard(repo, cap=1)
    made.agent("a", f"echo at work; sleep 1; {COMMIT}")
    made.spawn("a", "b")
    assert repo.loki("stop", "b").code == 0
    made.run()
    assert made.status("b") == "stopped"
    assert made.landed() == ["a"]
    assert not list(repo.signals.glob("SPAWN_QUEUED_*")), "nobody waits any more"
    done = repo.loki("logs", "a")
    assert "archived" in done.err
    assert "at work" in done.out, "its log is still to be read"


def test_a_killed_runner_is_seen_the_agent_ended_and_the_place_free(repo: Repo) -> None:
    made = yard(repo, cap=1)
    made.agent("x", f"echo $$ > '{made.outside}/pid'; echo working; sleep 300\n")
    made.spawn("x", "y")
    eventually((made.outside / "pid").exists)
    made.wait_for("x", "running")
    assert "pid" in str(lock_of(repo, made.tree_of("x")))
    os.kill(int(made.record("x")["session"]["pid"]), signal.SIGKILL)
    made.run()
    assert made.status("x") == "failed"
    assert "runner died" in made.record("x")["reason"]
    assert lock_of(repo, made.tree_of("x")) is None
    group = int((made.outside / "pid").read_text())
    eventually(lambda: group_is_gone(group))
    assert made.landed() == ["y"]
    assert repo.loki("logs", "x").out.endswith("working\n")


def test_a_pid_that_another_process_has_now_is_no_session(repo: Repo) -> None:
    """The machine was restarted, and the pid is somebody else's: that one is not touched."""
    made = yard(repo)
    made.open("x")
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    path = made.loki_dir / "state" / "orchestrator.json"
    state = json.loads(path.read_text())
    wrong = {"pid": other.pid, "started": "an earlier life"}
    state["worktrees"]["feature-x"] |= {
        "status": "running",
        "session": wrong,
        "agent_process": wrong,
        "claude_pid": other.pid,
    }
    path.write_text(json.dumps(state))
    repo.git(
        "worktree",
        "lock",
        "--reason",
        f"loki-hooks: session of feature-x (pid {other.pid}, started an-earlier-life)",
        str(made.tree_of("x")),
    )
    made.run()
    assert made.status("x") == "failed"
    assert lock_of(repo, made.tree_of("x")) is None
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_lock_of_somebody_else_stays(repo: Repo) -> None:
    made = yard(repo)
    made.open("x")
    repo.git("worktree", "lock", "--reason", "on my USB stick", str(made.tree_of("x")))
    made.work("x", {"x.txt": "x"})
    made.run()
    assert made.landed() == ["x"]
    assert lock_of(repo, made.tree_of("x")) == "on my USB stick"
    assert "USB" in made.record("x")["reason"]


def test_the_agent_gets_its_own_environment_and_none_of_gits(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    made = yard(repo, more='[environment.set]\nDB = "{project}_{stream}_dev"\n'.replace("[environment.set]", "[x]"))
    text = (
        (repo.path / "loki-hooks.toml")
        .read_text()
        .replace("setup = false", 'setup = false\nset = { DB = "{project}_{stream}_dev" }')
    )
    repo.commit("Variables", {"loki-hooks.toml": text})
    made.agent("x", f"env > '{made.outside}/env'; pwd > '{made.outside}/cwd'; cat > '{made.outside}/stdin'; {COMMIT}")
    env = {
        "GIT_DIR": "/nowhere",
        "GIT_INDEX_FILE": "/nowhere/index",
        "GIT_WORK_TREE": "/nowhere",
        "VIRTUAL_ENV": "/somewhere/venv",
        "PRE_COMMIT": "1",
        "PYTHONPATH": "/somewhere",
    }
    done = repo.loki("spawn", "x", "--task", "Work", env=env)
    assert done.code == 0, done.err
    made.wait_for("x", "archived")
    seen = dict(line.partition("=")[::2] for line in (made.outside / "env").read_text().splitlines())
    assert seen["LOKI_STREAM"] == "feature-x"
    assert seen["LOKI_BRANCH"] == "feature/x"
    assert seen["LOKI_WORKTREE"] == str(made.tree_of("x"))
    assert seen["LOKI_MAIN"] == str(repo.path)
    assert seen["DB"] == "project_feature-x_dev"
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "PRE_COMMIT", "PYTHONPATH"} & set(seen)
    assert seen.get("VIRTUAL_ENV") != "/somewhere/venv"
    assert (made.outside / "cwd").read_text().strip() == str(made.tree_of("x"))
    assert (made.outside / "stdin").read_text() == ""
    assert made.landed() == ["x"]


def test_logs_of_streams_whose_names_look_like_old_logs_are_kept_apart(repo: Repo) -> None:
    """``a`` has an earlier log; ``a.1`` has its own."""
    made = yard(repo)
    ended(made, "a.1", "echo mine; exit 1\n", "failed")
    for text in ("one", "two"):
        made.agent("a", f"echo {text}; exit 1\n")
        if text == "one":
            made.spawn("a")
            made.wait_for("a", "failed")
            path = made.loki_dir / "state" / "orchestrator.json"
            made.quiet()
            state = json.loads(path.read_text())
            state["worktrees"]["feature-a"] |= {"status": "queued"}
            path.write_text(json.dumps(state))
            made.run()
    eventually(lambda: made.status("a") == "failed")
    assert repo.loki("logs", "a.1").out.endswith("mine\n")
    assert len(list((made.loki_dir / "logs").glob("session-feature-a.*"))) >= 3


def test_a_planted_link_in_the_logs_leads_nothing_out(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo)
    made.once()
    target = tmp_path / "target"
    target.write_text("precious\n")
    for name in ("session-feature-x.log", "setup-feature-x.log", "gate-unit.log", "runner.log"):
        (made.loki_dir / "logs" / name).unlink(missing_ok=True)
        (made.loki_dir / "logs" / name).symlink_to(target if name != "session-feature-x.log" else tmp_path / "new")
    made.spawn("x")
    made.run()
    assert made.landed() == ["x"]
    assert target.read_text() == "precious\n"
    assert not (tmp_path / "new").exists()


def test_a_stream_whose_worktree_is_away_waits_alone_and_one_whose_worktree_git_does_not_know_fails(repo: Repo) -> None:
    made = yard(repo, cap=1)
    made.agent("a", f"sleep 1.5; {COMMIT}")
    made.spawn("a", "away", "pruned", "c")
    shutil.rmtree(made.tree_of("pruned"))
    repo.git("worktree", "prune")
    tree = made.tree_of("away")
    tree.rename(tree.with_name("moved"))
    made.run()
    assert sorted(made.landed()) == ["a", "c"]
    assert (made.status("away"), made.status("pruned")) == ("queued", "failed")
    assert f"was moved to {tree.with_name('moved')}" in made.record("away")["reason"]
    assert "is no worktree" in made.record("pruned")["reason"]
    tree.with_name("moved").rename(tree)
    assert repo.loki("resume", "pruned").code == 0
    made.run()
    assert sorted(made.landed()) == ["a", "away", "c", "pruned"]


def test_an_agent_never_runs_in_the_users_own_worktree(repo: Repo) -> None:
    """Whatever a damaged state says."""
    made = yard(repo)
    made.open("x")
    path = made.loki_dir / "state" / "orchestrator.json"
    for place in ("", str(repo.path), str(repo.path.parent), "/"):
        state = json.loads(path.read_text())
        state["worktrees"]["feature-x"] |= {"status": "queued", "path": place, "claim": None, "session": None}
        path.write_text(json.dumps(state))
        before = (
            repo.git("rev-parse", "main"),
            repo.git("status", "--porcelain"),
            {p.name for p in repo.path.parent.iterdir()},
        )
        made.run()
        made.quiet()
        assert made.status("x") in {"failed", "escalated", ""}, place
        assert (
            repo.git("rev-parse", "main"),
            repo.git("status", "--porcelain"),
            {p.name for p in repo.path.parent.iterdir()},
        ) == before

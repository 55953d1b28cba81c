"""Sessions in depth: nothing of one outlives it, whoever was killed; what waits starts; what is seen is true."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Repo, eventually
from support.scripted import Yard, yard

from loki_hooks.actions.sessions.cap import current_cap
from loki_hooks.domain.secrets import looks_secret
from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.system.locks import hold
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.processes.ancestry import started_with
from loki_hooks.system.processes.run import SESSION_MARK, scrubbed
from loki_hooks.system.processes.session_log import Pump, tail
from loki_hooks.system.processes.session_tree import SessionTree, mark_of, send

COMMIT = "echo x > x.txt; git add x.txt; git commit -q -m Work\n"


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def pid_in(path: Path) -> int:
    eventually(lambda: path.exists() and path.read_text().strip(), what=f"{path} to be written")
    return int(path.read_text())


def gone(pid: int) -> None:
    eventually(lambda: identify(pid) is None, what=f"{pid} to be gone")


# The log --------------------------------------------------------------------------------------------------------


def test_each_line_of_the_log_begins_with_its_time(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", "echo one; printf two; sleep 0.2; echo ' still two'; printf 'a\\rb\\n\\377\\n'; exit 1\n")
    made.spawn("x")
    made.wait_for("x", "failed")
    raw = (made.loki_dir / "logs" / "session-feature-x.log").read_bytes()
    lines = raw.split(b"\n")
    assert [line[9:] for line in lines[:-1]] == [b"one", b"two still two", b"a\rb", b"\xff"]
    assert all(line[2:3] == b":" and line[8:9] == b" " for line in lines[:-1])


def test_chunks_of_any_size_are_stamped_alike(tmp_path: Path) -> None:
    text = b"\none\r\n\ntwo \xe2\x80\xa8 x\x0b\x0cy\nlast"
    expected = b"".join(b"T " + line for line in text.split(b"\n")[:-1] for line in [line + b"\n"]) + b"T last"
    for size in range(1, len(text) + 1):
        read, write = os.pipe()
        with os.fdopen(read, "rb") as pipe, (tmp_path / "log").open("wb") as sink, os.fdopen(write, "wb"):
            pump = Pump(pipe, sink)
            assert b"".join(pump.stamped(text[at : at + size], b"T ") for at in range(0, len(text), size)) == expected


def test_the_tail_of_what_is_no_log_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert [tail(tmp_path / name) for name in ("fifo", "link", "nothing", "")] == [""] * 4
    (tmp_path / "log").write_bytes(b"x" * 100 + b"end")
    assert tail(tmp_path / "log", 5) == "xxend"


# Nothing outlives its session -----------------------------------------------------------------------------------

ESCAPES = """\
setsid sh -c 'echo $$ > "%(o)s/own-session"; exec sleep 300' &
( setsid sh -c 'echo $$ > "%(o)s/orphan"; exec sleep 300' & )
sh -c 'trap "" TERM HUP INT; echo $$ > "%(o)s/stubborn"; while :; do sleep 0.2; done' &
env -i PATH="$PATH" setsid sh -c 'echo $$ > "%(o)s/unmarked"; exec sleep 300' &
for n in own-session orphan stubborn unmarked; do while [ ! -s "%(o)s/$n" ]; do sleep 0.1; done; done
"""
NAMES = ("own-session", "orphan", "stubborn", "unmarked")


def test_stop_ends_also_those_that_left_the_group(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", ESCAPES % {"o": made.outside} + "sleep 300\n")
    made.spawn("x")
    pids = [pid_in(made.outside / name) for name in NAMES]
    done = repo.loki("stop", "x")
    assert done.code == 0, done.err
    assert made.status("x") == "stopped"
    for pid in pids:
        gone(pid)
    made.quiet()


def test_what_an_agent_leaves_behind_ends_with_its_session_wherever_it_went(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.agent("x", ESCAPES % {"o": made.outside} + "sleep 1.5\n" + COMMIT)
    made.spawn("x")
    made.wait_for("x", "ready")
    for name in NAMES:
        gone(pid_in(made.outside / name))


def test_a_killed_runner_leaves_nothing_behind_also_where_its_agent_is_dead_already(repo: Repo) -> None:
    """The agent dies of its broken pipe; what it had started in another process group is ended by the next pass."""
    made = yard(repo, gate=False)
    made.agent(
        "x",
        f"setsid sh -c 'echo $$ > \"{made.outside}/away\"; exec sleep 300' & echo $$ > '{made.outside}/agent'\n"
        "while :; do echo tick; sleep 0.1; done\n",
    )
    made.spawn("x")
    away, agent = pid_in(made.outside / "away"), pid_in(made.outside / "agent")
    made.wait_for("x", "running")
    os.kill(int(made.record("x")["session"]["pid"]), signal.SIGKILL)
    gone(agent)
    assert identify(away) is not None
    made.run()
    gone(away)
    assert made.status("x") == "failed"
    assert "runner died" in made.record("x")["before"]


def test_a_runner_killed_before_its_agent_is_recorded_has_started_nothing(repo: Repo) -> None:
    """The agent takes off the mark by which it could be found: only its recorded pid would lead to it."""
    made = yard(repo, gate=False)
    command = f'["env", "-i", "sh", "-c", "echo $$ > {made.outside}/began; exec sleep 300"]'
    text = (repo.path / "loki-hooks.toml").read_text().replace("setup = false", f"setup = 'sh {made.outside}/setup.sh'")
    (made.outside / "setup.sh").write_text(f"while [ ! -e '{made.outside}/go' ]; do sleep 0.05; done\n")
    repo.commit("Unmarked", {"loki-hooks.toml": f"{text}\n[agents.unmarked]\ncommand = {command}\n"})
    made.spawn("x", "--agent", "unmarked")
    made.wait_for("x", "preparing")
    runner = ProcessId.from_json(made.record("x")["session"])
    assert runner is not None

    def waiting() -> list[int]:
        mark = f"{SESSION_MARK}={mark_of(runner)}".encode()
        return [pid for pid in psutil.pids() if pid != runner.pid and mark in started_with(pid) and launches(pid)]

    def launches(pid: int) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return any(word.endswith("/launch.py") for word in psutil.Process(pid).cmdline())
        return False

    with hold(made.loki_dir / "state" / ".orchestrator.lock"):  # the runner cannot record anything now
        (made.outside / "go").touch()
        eventually(waiting, what="the runner to have its agent's process")
        (child,) = waiting()
        os.kill(runner.pid, signal.SIGKILL)
        gone(child)
    assert not (made.outside / "began").exists()
    made.run()
    assert (made.status("x"), made.record("x")["agent_process"]) == ("failed", None)
    assert repo.loki("resume", "x").code == 0
    agent = pid_in(made.outside / "began")
    made.wait_for("x", "running")
    assert made.record("x")["agent_process"]["pid"] == agent
    os.kill(int(made.record("x")["session"]["pid"]), signal.SIGKILL)
    made.run()
    gone(agent)


def test_a_stream_that_the_agent_itself_spawned_goes_on_after_it(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.agent("x", f"cd '{made.path}' && loki-hooks spawn y --task Work && cd - && {COMMIT}")
    made.agent("y", f"sleep 2; echo y > y.txt; git add y.txt; git commit -q -m y; echo ok > '{made.outside}/y-done'\n")
    made.spawn("x")
    made.wait_for("x", "ready", "escalated", "failed", timeout=60)
    assert made.status("x") == "ready", made.record("x")["reason"]
    made.wait_for("y", "ready", timeout=60)
    assert (made.outside / "y-done").exists()
    made.quiet()


def test_only_the_marked_and_the_seen_are_signalled(tmp_path: Path) -> None:
    """A process with a pid that was the agent's once, and its group, are not touched: that agent was another process."""
    runner = ProcessId(2**22 - 7, "nobody")
    env = scrubbed()
    stranger = subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300"], start_new_session=True, env=env)
    marked = subprocess.Popen(["sleep", "300"], env={**env, SESSION_MARK: mark_of(runner)}, start_new_session=True)
    other = subprocess.Popen(["sleep", "300"], env={**env, SESSION_MARK: mark_of(ProcessId(1, "x"))})
    try:
        assert SessionTree(runner, ProcessId(stranger.pid, "an earlier life")).end(grace=0.5)
        assert stranger.poll() is None
        assert other.poll() is None
        assert marked.wait(5) == -signal.SIGTERM
        assert not send(ProcessId(stranger.pid, "an earlier life"), signal.SIGKILL)
        assert stranger.poll() is None
    finally:
        os.killpg(stranger.pid, signal.SIGKILL)
        for child in (stranger, marked, other):
            child.kill()
            child.wait()


# Turned away ----------------------------------------------------------------------------------------------------


def limited(repo: Repo, tries: int = 10, wait: float = 1) -> Yard:
    return yard(repo, more=f"[session.rate_limit]\nwait = {wait}\nlongest = {wait}\ntries = {tries}\n")


TURNED_AWAY = """\
count=$(cat '%(o)s/count' 2>/dev/null || echo 0); echo $((count + 1)) > '%(o)s/count'
cp "$LOKI_MAIN/.loki/state/prompts/$LOKI_STREAM.md" '%(o)s/prompt-'$count
if [ "$count" -lt %(times)d ]; then echo 'API Error: Request rejected (429) · This request would exceed your rate limit'; exit 1; fi
"""


def test_an_agent_that_was_turned_away_is_started_again_later_by_itself(repo: Repo) -> None:
    made = limited(repo, wait=2)
    made.agent("x", TURNED_AWAY % {"o": made.outside, "times": 1} + COMMIT)
    made.spawn("x")
    eventually(lambda: made.events("turned-away"))
    record = made.record("x")
    assert record["status"] == "queued"
    assert record["not_before"] > record["ended_at"]
    assert not (repo.signals / "WORKTREE_FAILED_feature-x").exists()
    assert made.status("x") in {"queued", "preparing", "running"}
    made.wait_for("x", "archived", timeout=60)
    assert made.landed() == ["x"]
    assert (made.outside / "count").read_text().strip() == "2"
    assert "turned it away" in (made.outside / "prompt-1").read_text()
    made.quiet()


def test_who_is_turned_away_too_often_is_failed_and_can_be_resumed(repo: Repo) -> None:
    made = limited(repo, tries=1, wait=0.3)
    made.agent("x", TURNED_AWAY % {"o": made.outside, "times": 2} + COMMIT)
    made.spawn("x")
    made.wait_for("x", "failed", timeout=60)
    made.quiet()
    assert len(made.events("turned-away")) == 1
    assert repo.loki("resume", "x").code == 0
    made.wait_for("x", "archived", timeout=60)


def test_a_person_may_stop_or_hurry_what_waits_for_its_provider(repo: Repo) -> None:
    made = limited(repo, wait=600)
    made.agent("x", TURNED_AWAY % {"o": made.outside, "times": 1} + COMMIT)
    made.spawn("x")
    eventually(lambda: made.events("turned-away"))
    eventually(lambda: any("turns" in words for words in made.ours()), what="a process to wait for the time")
    eventually(lambda: "turned it away" in made.record("x")["reason"])
    assert repo.loki("resume", "x").code == 0
    made.wait_for("x", "archived", timeout=60)
    made.quiet()
    made.agent("z", "echo 'Too Many Requests'; exit 1\n")
    made.spawn("z")
    eventually(lambda: len(made.events("turned-away")) == 2)
    assert repo.loki("stop", "z").code == 0
    assert made.status("z") == "stopped"
    made.quiet()


# tmux -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    folder = Path("/tmp") / f"loki-tmux-{os.getpid()}"  # a socket's path must be short
    folder.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("TMUX_TMPDIR", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def say(*words: str) -> str:
        done = subprocess.run(["tmux", *words], capture_output=True, text=True, timeout=20)
        return done.stdout if done.returncode == 0 else f"failed: {done.stderr}"

    yield say
    say("kill-server")
    shutil.rmtree(folder, ignore_errors=True)


PANE = "=loki-project-feature-x:"


def test_who_attaches_sees_the_agent_and_types_to_it_and_the_rest_stays_the_runners(repo: Repo, tmux: Any) -> None:
    made = yard(repo)
    made.agent(
        "x",
        "[ -t 0 ] && [ -t 1 ] && echo 'hello from a terminal'\nstty size; printf 'your name? '; read -r name\n"
        f'echo "I am told $name"; while [ "$(stty size)" != \'31 97\' ]; do sleep 0.05; done\n'
        f"stty size; while [ ! -e '{made.outside}/go' ]; do sleep 0.05; done\n"
        f"echo 'nobody looks any more'\n{COMMIT}",
    )
    made.spawn("x", "--tmux")
    eventually(lambda: "your name?" in tmux("capture-pane", "-p", "-t", PANE), what="the pane to show the agent")
    told = repo.loki("logs", "x")
    assert "tmux attach -t '=loki-project-feature-x'" in told.err
    assert "hello from a terminal" in told.out
    tmux("resize-window", "-t", PANE, "-x", "97", "-y", "31")
    eventually(lambda: tmux("display", "-p", "-t", PANE, "#{pane_width}").strip() == "97")
    tmux("send-keys", "-t", PANE, "Ada", "Enter")
    log = made.loki_dir / "logs" / "session-feature-x.log"
    eventually(lambda: "31 97" in log.read_text(), what="the agent to be told its terminal's size")
    assert "I am told Ada" in tmux("capture-pane", "-p", "-t", PANE)
    tmux("kill-server")
    assert made.status("x") == "running"
    (made.outside / "go").touch()
    made.wait_for("x", "archived")
    made.quiet()
    (log,) = (made.loki_dir / "archive").glob("feature-x-*/session-feature-x.log")
    lines = log.read_bytes().split(b"\n")
    assert [line[9:] for line in lines[:-1]] == [
        b"hello from a terminal",
        b"24 80",
        b"your name? Ada",
        b"I am told Ada",
        b"31 97",
        b"nobody looks any more",
    ]
    assert not list(Path(os.environ["TMPDIR"]).glob("loki-view-*"))


def test_the_tmux_session_closes_with_the_agent_that_was_interrupted_in_it(repo: Repo, tmux: Any) -> None:
    """And an agent whose terminal cannot be shown runs all the same, without one."""
    made = yard(repo, gate=False, timeout=60)
    made.agent("x", "echo at work; while :; do sleep 0.05; done\n")
    made.spawn("x", "--tmux")
    eventually(lambda: "at work" in tmux("capture-pane", "-p", "-t", PANE))
    agent = int(made.record("x")["agent_process"]["pid"])
    tmux("send-keys", "-t", PANE, "C-c")
    made.wait_for("x", "failed")
    made.quiet()
    gone(agent)
    assert made.record("x")["reason"] == "the agent was killed by signal 2"
    assert "feature-x" not in tmux("list-sessions")
    made.agent("x", f"[ -t 0 ] || echo alone; read -r line || echo 'and nobody types'; {COMMIT}")
    folder = made.outside / "bin"
    folder.mkdir()
    (folder / "tmux").write_text("#!/bin/sh\necho no server >&2; exit 1\n")
    (folder / "tmux").chmod(0o755)
    assert repo.loki("resume", "x", env={"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}).code == 0
    made.wait_for("x", "ready")
    assert "no server" in made.events("tmux-failed")[0]["detail"]
    assert [line[9:] for line in repo.loki("logs", "x").out.splitlines()] == ["alone", "and nobody types"]


# The cap --------------------------------------------------------------------------------------------------------


def test_waiting_streams_start_by_priority_then_first_come(repo: Repo) -> None:
    made = yard(repo, cap=1, gate=False)
    wait = f"while [ ! -e '{made.outside}/go' ]; do sleep 0.05; done\n{COMMIT}"
    made.agent("first", wait)
    made.spawn("first")
    for words in (["c"], ["b"], ["a", "--priority", "-1"], ["urgent", "--priority", "5"]):
        made.spawn(*words)
    (made.outside / "go").touch()
    for name in ("first", "a", "b", "c", "urgent"):
        made.wait_for(name, "ready", timeout=60)
    order = [event["stream"].removeprefix("feature-") for event in made.events("session-started")]
    assert order == ["first", "urgent", "c", "b", "a"]
    made.quiet()


def test_memory_lowers_the_dynamic_cap_and_only_that(repo: Repo) -> None:
    made = yard(repo, cap=64, gate=False)
    made.agent(
        "x", "python3 -c \"import time; held = b'x' * (64 << 20); print('held', flush=True); time.sleep(300)\"\n"
    )
    made.spawn("x")
    eventually(lambda: "held" in tail(made.loki_dir / "logs" / "session-feature-x.log"))
    config = made.context().config.working
    from dataclasses import replace

    site, knobs = (
        made.context().site,
        {
            "LOKI_DYNAMIC_CONCURRENCY": "1",
            "LOKI_MAX_PARALLEL_SESSIONS_CEILING": "1000000",
            "LOKI_CONCURRENCY_CRITICAL_THRESHOLD": "100",
            "LOKI_CONCURRENCY_CPU_THRESHOLD": "100",
            "LOKI_CONCURRENCY_MEM_THRESHOLD": "100",
        },
    )
    plain = current_cap(site, config, env=knobs)
    with_memory = replace(config, session=replace(config.session, memory=True))
    lowered = current_cap(site, with_memory, env=knobs)
    if plain.cap > 100_000:  # no machine holds so many; else its load has the last word
        assert 1 <= lowered.cap < plain.cap
        assert "fit in memory" in lowered.reason
    assert current_cap(site, with_memory, env={}).cap == 64
    assert repo.loki("stop", "x").code == 0


# Evidence -------------------------------------------------------------------------------------------------------


def test_status_shows_what_is_seen_of_a_session_and_what_is_inferred_from_it(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.agent("x", f"{COMMIT}echo thinking hard; echo draft > draft.txt; touch '{made.outside}/there'; sleep 300\n")
    made.spawn("x")
    eventually((made.outside / "there").exists)
    made.wait_for("x", "running")
    found = json.loads(repo.loki("status", "--json").out)["streams"][0]["session"]
    seen = found["evidence"]
    assert found["alive"] is True
    assert seen["runner_alive"] is True
    assert seen["processes"] >= 1
    assert 0 <= seen["cpu_percent"] < 1000
    assert seen["memory_bytes"] > 0
    assert seen["last_line"]["what"] == "thinking hard"
    assert seen["last_change"]["what"] == "draft.txt"
    assert seen["last_commit"]["what"].endswith("Work")
    assert all(0 <= seen[key]["age_seconds"] < 120 for key in ("last_line", "last_change", "last_commit"))
    assert seen["activity"]["state"] in {"working", "quiet"}
    assert any("process" in word for word in seen["activity"]["inferred_from"])
    assert f"{seen['activity']['state']}: " in repo.loki("status").out
    os.kill(int(made.record("x")["session"]["pid"]), signal.SIGKILL)
    eventually(
        lambda: (
            json.loads(repo.loki("status", "--json").out)["streams"][0]["session"]["evidence"]["activity"]
            == {"state": "gone", "inferred_from": ["its runner does not live"]}
        )
    )
    made.run()
    assert json.loads(repo.loki("status", "--json").out)["streams"][0]["session"]["evidence"] is None


# Leftovers ------------------------------------------------------------------------------------------------------

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\\nnot one\\n-----END OPENSSH PRIVATE KEY-----\\n"


def test_what_stays_uncommitted_escalates_with_the_whole_list(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.agent(
        "x",
        f"""\
mkdir -p a/b/.aws nested/.. nested deep/er
printf '%b' '{PRIVATE}' > a/b/notes.txt
echo k > a/b/.aws/config
echo T=1 > deep/er/prod.env
git init -q nested && (cd nested && git commit -q --allow-empty -m inner)
echo fine > fine.txt
""",
    )
    made.spawn("x")
    made.wait_for("x", "escalated")
    kept = {"a/b/notes.txt", "a/b/.aws/config", "deep/er/prod.env", "nested/"}
    made.quiet()
    assert set(json.loads((repo.signals / "WORKTREE_FAILED_feature-x").read_text())["left"]) == kept
    assert set(made.events("session-escalated")[0]["evidence"]["left"]) == kept
    tracked = set(repo.git("ls-tree", "-r", "--name-only", "feature/x").split())
    assert "fine.txt" in tracked
    assert not {path for path in tracked if path.startswith(("a/", "deep/", "nested"))}
    assert (made.tree_of("x") / "a/b/notes.txt").exists()


def test_a_refused_commit_says_the_failing_lines_and_keeps_all_in_a_log(repo: Repo) -> None:
    made = yard(repo)
    hook = 'echo "one.....Passed"; echo "lint....Failed"; echo "- hook id: lint"; echo "x.txt:1 is bad"; echo; mytool; exit 1'
    repo.write(".git/hooks/pre-commit", f"#!/bin/sh\n{hook}\n").chmod(0o755)
    tool = "mkdir -p .venv/bin; printf '#!/bin/sh\\necho from the worktree\\n' > .venv/bin/mytool; chmod +x .venv/bin/mytool\n"
    repo.write(".git/info/exclude", ".venv/\n")
    made.agent("x", f"{tool}echo x > x.txt\n")
    made.spawn("x")
    made.wait_for("x", "escalated")
    reason = made.record("x")["reason"]
    assert "lint: x.txt:1 is bad from the worktree" in reason
    assert "one" in (made.loki_dir / "logs" / "commit-feature-x.log").read_text()
    assert "logs/commit-feature-x.log" in reason


def test_a_branch_that_its_agent_renames_is_followed(repo: Repo) -> None:
    made = yard(repo, more="[merge]\nauto = false\n")
    made.agent("x", f"{COMMIT}git branch -m feature/better\n")
    made.spawn("x")
    made.wait_for("x", "passed")
    assert made.record("x")["branch"] == "feature/better"


def test_never_more_than_a_documented_size_is_committed_at_once(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.agent("x", "for i in 1 2 3 4 5 6; do head -c 9000000 /dev/zero > part$i.bin; done\n")
    made.spawn("x")
    made.wait_for("x", "escalated")
    assert "50" in made.record("x")["reason"]
    assert repo.git("rev-parse", "feature/x") == made.record("x")["base"]


@pytest.mark.parametrize(
    "path", [".env", "a/.env", "a/b/.env.local", "x/.ssh/anything", "deploy/id_ed25519", "certs/server.key"]
)
def test_secrets_are_told_by_name_at_any_depth(path: str) -> None:
    assert looks_secret(path)


def test_waiting_for_nothing_ends_at_once(repo: Repo) -> None:
    from loki_hooks.workers.turns import wait_for_turns

    made = yard(repo)
    made.once()
    wait_for_turns(made.context().site, threading.Event())
    assert made.ours() == []

"""What a session may not do, however it hides that it is one; a person beside it may."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, eventually
from support.finishing import begun
from support.scripted import Yard, end, turn_on, yard

from loki_hooks.system.processes.alive import identify
from loki_hooks.system.processes.ancestry import ancestors, own_pid
from loki_hooks.system.processes.detach import LINUX

LOKI = str(SCRIPTS / "loki-hooks")
BARE = 'env -i HOME="$HOME" PATH="$PATH" GIT_CONFIG_GLOBAL="$GIT_CONFIG_GLOBAL" GIT_CONFIG_NOSYSTEM=1'


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def told(made: Yard, name: str) -> str:
    path = made.outside / name
    return path.read_text() if path.exists() else ""


@pytest.mark.skipif(not LINUX, reason="proc(5), prctl(2)")
def test_a_session_that_hides_lands_nothing_ungated_and_trusts_nothing(repo: Repo) -> None:
    made = begun(repo, "red")
    main, out = shlex.quote(str(repo.path)), shlex.quote(str(made.outside))
    ask = f"{LOKI} finish red --merge --ungated"
    forged = f"LOKI_STREAM=feature-red LOKI_MAIN={main} {LOKI} finish red --abandon"
    deep = made.outside / "deep.sh"
    deep.write_text(f'[ "$1" = 0 ] && {{ {ask}; exit $?; }}\nsh {deep} $(($1 - 1))\nexit $?\n')
    hook = repo.path / ".git" / "hooks" / "pre-auto-gc"
    hook.write_text(f"#!/bin/sh\ncd {main}\n{BARE} {ask} >{out}/hook 2>&1\n")
    hook.chmod(0o755)
    forms = {
        "unset": f"env -u LOKI_STREAM {ask}",
        "bare": f"{BARE} {ask}",
        "trust": f"{BARE} {LOKI} trust",
        "stop": f"{BARE} {LOKI} stop red",
        "cleanup": f"{BARE} {LOKI} cleanup",
        "off": f"{BARE} {LOKI} uninstall",
        "own": forged,
        "forged": f"{BARE} {forged}",
        "deep": f"{BARE} sh {deep} 40",
    }
    lines = [f"cd {main}"]
    lines += [f"{command} >{out}/{name} 2>&1; echo $? >>{out}/{name}" for name, command in forms.items()]
    lines += ["git -c hook.x.command= hook run pre-auto-gc || sh .git/hooks/pre-auto-gc"]
    orphan = f"sleep 0.3; {BARE} {ask} >{out}/orphan 2>&1; echo over >>{out}/orphan"
    lines += [f"(setsid {BARE} sh -c {shlex.quote(orphan)} </dev/null >/dev/null 2>&1 &)"]
    lines += [f"for i in $(seq 600); do grep -qs over {out}/orphan && break; sleep 0.1; done"]
    made.agent("evil", "\n".join([*lines, f'cd "$LOKI_WORKTREE"; echo x >x.txt; echo done >{out}/done']))
    made.spawn("evil")
    eventually(lambda: told(made, "done"), 180)
    for name in (*forms, "orphan", "hook"):
        assert "a session cannot" in told(made, name), f"{name}: {told(made, name)}"
    made.wait_for("evil", "ready", "failed", "escalated", "testing", "passed", "merged", "archived", timeout=90)
    made.quiet(90)
    assert made.tree_of("red").is_dir()
    assert "red" not in made.landed()
    assert {e["stream"] for e in made.events("refused-to-session")} == {"feature-evil"}
    assert not made.events("landed-ungated")


@pytest.mark.skipif(not LINUX, reason="prctl(2)")
def test_what_a_session_leaves_without_its_marks_ends_with_it(repo: Repo) -> None:
    """Started just before the agent's end: nobody has seen it as the agent's child. What a tmux server is stays."""
    made = yard(repo)
    pids = made.outside / "pids"
    left = f"{BARE} sh -c 'echo $$ >>{pids}; exec sleep 300'"
    ours = f"env -u LOKI_SESSION LOKI_WORK=1 sh -c 'echo $$ >{made.outside}/kept; exec sleep 300'"
    made.agent(
        "a",
        f"(setsid {left} </dev/null >/dev/null 2>&1 &)\n(setsid {ours} </dev/null >/dev/null 2>&1 &)\n"
        f"while [ ! -s {pids} ] || [ ! -s {made.outside}/kept ]; do :; done\necho w >w; git add w; git commit -qm w\n",
    )
    made.spawn("a")
    made.wait_for("a", "ready", "testing", "passed", "merged", "archived", timeout=90)
    made.quiet(90)
    (lost,) = (int(word) for word in pids.read_text().split())
    kept = int((made.outside / "kept").read_text())
    try:
        assert identify(lost) is None
        assert identify(kept) is not None
    finally:
        end([kept, lost])


def test_a_person_beside_a_living_session_decides(repo: Repo) -> None:
    """From the main worktree without a terminal, from the session's worktree with one; without one there: refused."""
    made = begun(repo, "good")
    made.agent("long", f"echo x >x; while [ ! -e {made.outside}/over ]; do sleep 0.1; done")
    made.spawn("long")
    made.wait_for("long", "running", timeout=90)
    tree = made.tree_of("long")
    words = ["finish", "good", "--merge", "--ungated"]
    refused = repo.loki(*words, cwd=tree)
    assert (refused.code, "a session cannot" in refused.err) == (1, LINUX), refused.err
    assert _on_terminal([LOKI, "trust"], tree) == 0
    done = repo.loki(*words)
    assert done.code == 0, done.err
    assert made.landed() == ["good"]
    assert repo.loki("stop", "long").code == 0
    (made.outside / "over").touch()


@pytest.mark.skipif(not LINUX, reason="proc(5)")
def test_a_hook_that_an_agent_wrote_has_no_users_word_where_we_run_it(repo: Repo) -> None:
    """The runner commits what the agent left, with the user's hooks on; the daemon that the hook leaves outlives it."""
    made = begun(repo, "red")
    ask = f"cd {repo.path}; {BARE} {LOKI} finish red --merge --ungated"
    hook = f"#!/bin/sh\nunset LOKI_STREAM LOKI_WORK\n({ask}) >{made.outside}/out 2>&1\nexit 0\n"
    path = repo.path / ".git" / "hooks" / "pre-commit"
    made.agent("evil", f"cat >{path} <<'H'\n{hook}H\nchmod +x {path}\necho x >x")
    made.spawn("evil")
    made.wait_for("evil", "ready", "testing", "passed", "merged", "archived", timeout=90)
    made.quiet(90)
    assert "a session cannot" in told(made, "out")
    assert "red" not in made.landed()


def _on_terminal(argv: list[str], cwd: Path) -> int:
    code = f"import os, pty, sys; os.chdir({str(cwd)!r}); sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    assert pty
    return subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, timeout=60, check=False).returncode


def test_a_session_may_finish_its_own_stream(repo: Repo) -> None:
    made = yard(repo, more="[merge]\nauto = false\n")
    made.agent("a", f"echo w >w; git add w; git commit -qm w; {LOKI} finish a --keep >{made.outside}/out 2>&1; true")
    made.spawn("a")
    made.wait_for("a", "ready", "passed", "failed", "escalated", timeout=90)
    made.quiet(90)
    assert "a session cannot" not in told(made, "out")
    assert made.tree_of("a").is_dir()


def test_trust_by_environment_is_not_carried_out_of_a_session(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook's worker is nobody's child, so the hook itself leaves the variable behind."""
    turn_on(repo)
    session = {"LOKI_STREAM": "feature-x", "LOKI_MAIN": str(repo.path)}
    probe = repo.path.parent / "probe"
    worker = repo.path.parent / "python"
    worker.write_text(f'#!/bin/sh\necho "[$LOKI_TRUST]" >>{probe}\n')
    worker.chmod(0o755)
    code = f"import sys; sys.executable = {str(worker)!r}; from loki_hooks.hooks.trigger import trigger; trigger('post-commit')"
    for env in ({}, session):
        subprocess.run(
            ["sh", "-c", f"env -u LOKI_STREAM LOKI_TRUST=1 {sys.executable} -c {shlex.quote(code)}; true"],
            cwd=repo.path,
            env={**os.environ, **env},
            check=True,
        )
        eventually(lambda: probe.exists() and probe.read_text().endswith("\n"))
        if not env:
            assert probe.read_text() == "[1]\n"
    eventually(lambda: len(probe.read_text().splitlines()) == 2)
    assert probe.read_text() == ("[1]\n[]\n" if LINUX else "[1]\n[1]\n")


def test_ancestors_are_proven_up_to_the_first(repo: Repo) -> None:
    chain, whole = ancestors(own_pid())
    assert whole
    assert chain[0][0] == os.getpid()
    assert chain[1][0] == os.getppid()
    assert len({pid for pid, _ in chain}) == len(chain)
    assert ancestors(2**22 + 1) == ([], False)

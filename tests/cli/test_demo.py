"""`loki-hooks demo`: its story is true (seen from outside), it leaves nothing behind, and it can fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from conftest import SCRIPTS, Done, Repo, call, eventually

LOKI = str(SCRIPTS / "loki-hooks")

pytestmark = pytest.mark.slow


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """The folder for temporary files: its name needs quoting, and looks like a template."""
    folder = tmp_path / "a temp {name} 'folder' é"
    folder.mkdir()
    return folder


def play(temp: Path, *words: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
    return call([LOKI, "demo", *words], cwd or temp.parent, {"TMPDIR": str(temp), **(env or {})})


def processes_in(folder: Path) -> list[str]:
    """Return the processes that work below the folder, or carry it in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.status() != psutil.STATUS_ZOMBIE
                and (
                    f"{process.cwd()}/".startswith(f"{folder}/")
                    or process.environ().get("LOKI_HOOKS_SCRATCH", "").startswith(str(folder))
                )
            ):
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


def promises(done: Done, word: str) -> list[str]:
    """Return the promises that were said to be kept (``yes``) or not (``NO``)."""
    return [line[6:].strip() for line in done.out.splitlines() if line[:6] == f"  {word:<4}"]


def fake_git(folder: Path, body: str) -> dict[str, str]:
    """Return an environment in which git is the real one behind a script with ``body``.

    Not in hooks and what they start: git puts the folder of its own programs first on their PATH.
    """
    real = shutil.which("git")
    folder.mkdir()
    script = folder / "git"
    script.write_text(f'#!/bin/sh\ngit={real}\n{body}\nexec "$git" "$@"\n')
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_the_story_is_true(temp: Path) -> None:
    done = play(temp, "--keep")
    assert (done.code, promises(done, "NO")) == (0, []), done.out + done.err
    (scratch,) = temp.iterdir()
    assert done.err == f"loki-hooks: kept: {scratch}\n"
    repo = Repo(scratch / "project")

    # What landed: two merge commits on the first parent's line, each of one commit of an agent's.
    assert repo.git("log", "--first-parent", "--merges", "--format=%P", "main").count(" ") == 2
    landed = repo.git("log", "--no-merges", "--format=%s", "main").splitlines()
    assert sorted(landed) == [
        "Add share(), which part of a text a word is",
        "Count words",
        "Let count_words() ignore case",
    ]
    assert "def share(text, word)" in repo.git("show", "main:share.py")
    assert "def count_words(text, ignore_case=False)" in repo.git("show", "main:tally.py")
    assert call([sys.executable, "-m", "unittest", "discover", "-s", "tests"], repo.path).code == 0
    assert repo.git("status", "--porcelain") == ""

    # What did not: its branch and worktree stay, the report is in its signal.
    assert repo.try_git("merge-base", "--is-ancestor", "feature/speed", "main").code == 1
    listed = repo.git("worktree", "list", "--porcelain").splitlines()
    worktrees = sorted(line.rpartition("/")[2] for line in listed if line.startswith("worktree "))
    assert {w for w in worktrees if not w.startswith("project-testing-")} == {  # a second one to test in
        *("project", "project-feature-speed", "project-testing")
    }
    assert sorted(p.name for p in scratch.iterdir() if p.is_dir()) == [*worktrees, "remote.git", "state"]
    signals = {path.name for path in repo.signals.iterdir()}
    assert signals == {"TESTS_PASSED", "TESTS_PASSED_share", "TESTS_PASSED_case", "TESTS_FAILED_speed", "DOCS_NEEDED"}
    report = json.loads((repo.signals / "TESTS_FAILED_speed").read_text())["report"]
    assert "test_punctuation_is_no_word" in report[0]["tail"]

    # Refs: results by tree, removed work pinned, branches of what landed gone.
    refs = repo.git("for-each-ref", "--format=%(refname)").splitlines()
    heads = [r.removeprefix("refs/heads/") for r in refs if r.startswith("refs/heads/")]
    assert heads == ["feature/speed", "main", "parallel-testing"]
    assert any(r.startswith(f"refs/loki/gates/{repo.git('rev-parse', 'main^{tree}')}/") for r in refs)
    pinned = sorted(r.split("/")[3] for r in refs if r.startswith("refs/loki/trash/"))
    assert pinned == ["feature-case", "feature-share"]

    # The remote has what passed, and the real hook goes on refusing what did not.
    remote = repo.git("ls-remote", "--heads", "origin").splitlines()
    assert remote == [f"{repo.git('rev-parse', 'main')}\trefs/heads/main"]
    refused = repo.try_git("push", "origin", "feature/speed")
    assert refused.code == 1
    assert "test_punctuation_is_no_word" in refused.err
    assert "feature/speed is refused" in refused.err

    # Docs, as `queue list` says them.
    items = json.loads(repo.loki("queue", "list", "docs", "--json").out)
    (changed,) = [item for item in items if item["symbol"] == "count_words"]
    assert {place["path"] for place in changed["docs"]} == {"README.md"}
    assert "public-changed count_words (tally.py:8): README.md:" in done.out

    assert processes_in(scratch) == []


def test_nothing_is_left_whatever_the_user_has_set(temp: Path, tmp_path: Path, sealed_home: Path, repo: Repo) -> None:
    """Global hooks, signing, templates, no identity, knobs of ours, a hook framework around it, a terminal that knows ASCII
    only: none of it matters."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "pre-push", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "template").mkdir()
    shutil.copytree(hooks, tmp_path / "template" / "hooks")
    (sealed_home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {hooks}\n[commit]\n\tgpgsign = true\n[push]\n\tdefault = nothing\n"
        f"[init]\n\ttemplateDir = {tmp_path}/template\n\tdefaultBranch = trunk\n[user]\n\tuseConfigOnly = true\n"
    )
    before = (_files(sealed_home), _files(repo.path))
    done = play(
        temp,
        cwd=repo.path,
        env={
            "LOKI_DYNAMIC_CONCURRENCY": "1",
            "LOKI_MAX_PARALLEL_SESSIONS": "nonsense",
            "LOKI_AGENT": "codex",
            "LOKI_STREAM": "mine",
            "LOKI_HOOKS_DISABLE": "1",
            "LOKI_TRUST": "0",
            "PRE_COMMIT": "1",
            "GIT_DIR": str(repo.path / ".git"),
            "GIT_INDEX_FILE": "x",
            "PYTHONIOENCODING": "ascii",
        },
    )
    assert (done.code, promises(done, "NO"), done.err) == (0, [], ""), done.out
    assert "a temp {name} 'folder' \\xe9/loki-hooks-demo-" in done.out
    assert list(temp.iterdir()) == []
    assert (_files(sealed_home), _files(repo.path)) == before, "neither the user's home nor the repository around it"
    assert not (tmp_path / "ran").exists()
    assert processes_in(temp) == []


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("ending", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.extra)]
)
def test_interrupted_it_stops_the_sessions_and_leaves_nothing(
    temp: Path, tmp_path: Path, ending: signal.Signals, code: int
) -> None:
    env = fake_git(tmp_path / "bin", 'if [ "$1" = commit ] && [ -n "$LOKI_STREAM" ]; then sleep 300; fi')
    child = subprocess.Popen(
        [LOKI, "demo"],
        cwd=tmp_path,
        env={**os.environ, **env, "TMPDIR": str(temp)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: sum("agent.py" in words for words in processes_in(temp)) == 3, what="three agents at work")
    child.send_signal(ending)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code, said
    assert list(temp.iterdir()) == []
    assert processes_in(temp) == []


@pytest.mark.extra
def test_who_reads_only_the_beginning_leaves_nothing_behind(temp: Path) -> None:
    done = call(["sh", "-c", f"'{LOKI}' demo | head -n 3"], temp.parent, {"TMPDIR": str(temp)})
    assert "A project" in done.out
    eventually(lambda: not list(temp.iterdir()) and not processes_in(temp), what="the end of the demo")


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        # The hook is passed by: what is broken gets through.
        ('if [ "$1" = push ]; then shift; set -- push --no-verify "$@"; fi', ["the push of speed was refused"]),
        # Something is staged where main is checked out: nothing may land.
        (
            'if [ "$1" = commit ] && [ -z "$LOKI_STREAM" ]; then "$git" "$@"; echo x >mine; exec "$git" add mine; fi',
            ["share and case landed on main", "the project's own worktree is clean"],
        ),
    ],
    ids=["unguarded", "staged"],
)
def test_it_fails_where_a_promise_is_not_kept(temp: Path, tmp_path: Path, body: str, broken: Iterable[str]) -> None:
    done = play(temp, env=fake_git(tmp_path / "bin", body))
    assert done.code == 1, done.out + done.err
    for promise in broken:
        assert any(said.startswith(promise) for said in promises(done, "NO")), done.out
    assert "NOT as it should be" in done.out
    assert list(temp.iterdir()) == []
    assert processes_in(temp) == []


def test_without_git_it_says_so(temp: Path) -> None:
    done = play(temp, env={"PATH": str(temp)})
    assert (done.code, done.out) == (1, "")
    assert done.err == "loki-hooks: git is not on PATH\nhint: install git: everything here is done by it\n"
    assert list(temp.iterdir()) == []

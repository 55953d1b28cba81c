"""What people type wrongly at `spawn` and `resume`: a clear message, exit 1 or 2, and nothing made anywhere."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from conftest import Repo, call
from support.scripted import Yard, snapshot, yard

from loki_hooks.cli.main import run_cli

NAMES = (
    "-rf",
    "a/../../b",
    "x;touch y",
    "n" * 300,
    "\N{PILE OF POO}",
    "a\nb",
    "../x",
    "/etc",
    "a..b",
    "a.lock",
    "",
    " ",
    "a\tb",
    "$(id)",
    "`id`",
    "a~1",
    "a^",
    "a:b",
    "a\\b",
    "@{-1}",
    ".hidden",
    "-",
    "a//b",
    "a/",
)


@pytest.fixture
def made(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setenv("LOKI_TRUST", "1")
    monkeypatch.chdir(repo.path)
    return yard(
        repo,
        more="[agents.ghost]\ncommand = ['no-such-program', '{prompt}']\n[agents.plain]\ncommand = ['sh', '-c', 'true']\n"
        "[session.kinds.docs]\nagent = 'plain'\nmodel = 'm'\n",
    )


def look(made: Yard) -> tuple[object, ...]:
    """Return everything that a command could have made: files of the project and beside it, refs, worktrees, state."""
    state = made.loki_dir / "state" / "orchestrator.json"
    return (
        snapshot(made.path),
        sorted(p.name for p in made.path.parent.iterdir()),
        made.repo.git("for-each-ref"),
        made.repo.git("worktree", "list", "--porcelain"),
        state.read_bytes() if state.exists() else b"",
        sorted(p.name for p in made.path.parent.parent.iterdir()),
    )


def refused(made: Yard, capfd: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """Run the command line in this process; return what it said on stderr."""
    before = look(made)
    capfd.readouterr()
    ended = run_cli(list(words))
    said = capfd.readouterr()
    assert ended == code, (words, ended, said.err)
    assert look(made) == before, words
    assert said.out == ""
    assert said.err.startswith("loki-hooks: ")
    assert "hint: " in said.err
    assert "Traceback" not in said.err
    assert all(c.isprintable() or c == "\n" for c in said.err), "nothing drives the reader's terminal"
    return said.err


def test_names(made: Yard, capfd: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        refused(made, capfd, "spawn", "--", name)
        refused(made, capfd, "spawn", "--dry-run", "--", "fine", name)
        refused(made, capfd, "resume", "--", name)


def test_names_that_clash(made: Yard, capfd: pytest.CaptureFixture[str]) -> None:
    made.open("auth")
    assert "clashes" in refused(made, capfd, "spawn", "Auth", code=1)
    assert "already" in refused(made, capfd, "spawn", "auth", code=1)
    refused(made, capfd, "spawn", "one", "ONE", code=1)
    refused(made, capfd, "spawn", "a/b", "a-b", code=1)


def test_prompt_files(made: Yard, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)) * 16)
    zeros = tmp_path / "zeros"
    zeros.write_bytes(b"text\0text")
    large = tmp_path / "large"
    large.write_bytes(b"a word\n" * 1_500_000)
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    os.mkfifo(tmp_path / "fifo")
    expected = {
        "binary": "not UTF-8",
        "zeros": "binary",
        "large": "larger than",
        "empty": "is empty",
        "fifo": "no file",
        "missing": "no file",
        "": "no file",
        "\x1b]0;x\x07": "no file",
        "x" * 5000: "cannot be read",
    }
    for command in ("spawn", "resume"):
        for name, words in expected.items():
            said = refused(made, capfd, command, "x", "--prompt-file", f"{tmp_path}/{name}" if name else str(tmp_path))
            assert words in said, name
        assert "exclude" in refused(made, capfd, command, "x", "--task", "a", "--prompt-file", str(binary))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"a\0b", "binary"),
        (b"", "empty"),
        (b"x" * (1 << 20) + b"y", "larger than"),
    ],
)
def test_standard_input(made: Yard, tmp_path: Path, given: bytes, words: str) -> None:
    file = tmp_path / "given"
    file.write_bytes(given)
    before = look(made)
    done = call(["sh", "-c", 'exec loki-hooks spawn x --prompt-file - < "$1"', "sh", str(file)], made.path)
    assert (done.code, words in done.err) == (2, True), done
    assert look(made) == before


def test_agents(made: Yard, capfd: pytest.CaptureFixture[str]) -> None:
    assert "did you mean claude?" in refused(made, capfd, "spawn", "x", "--agent", "cluade")
    assert "no agent called" in refused(made, capfd, "spawn", "x", "--agent", "\x1b[31m")
    said = refused(made, capfd, "spawn", "x", "--task", "t", "--agent", "ghost", code=1)
    assert "no-such-program, which is not on PATH" in said
    assert "plain is given the model" in refused(made, capfd, "spawn", "x", "--kind", "docs")
    assert "no kind" in refused(made, capfd, "spawn", "x", "--kind", "feture")


def test_bases(made: Yard, capfd: pytest.CaptureFixture[str]) -> None:
    repo = made.repo
    tree = repo.git("rev-parse", "HEAD^{tree}")
    for base in (
        "nowhere",
        "-x",
        "--help",
        "main..HEAD",
        "HEAD~9999",
        ":/none such",
        tree,
        "a\nb",
        "HEAD@{99}",
        "\N{SNOWMAN}",
        " ",
    ):
        assert "no commit here" in refused(made, capfd, "spawn", "x", f"--base={base}"), base
    blob = repo.git("rev-parse", "HEAD:README.md")
    assert "no commit here" in refused(made, capfd, "spawn", "x", "--base", blob)
    many = "".join(f"commit refs/many\ncommitter T <t@t> {n} +0000\ndata 1\nx\n" for n in range(1, 3000))
    assert call(["git", "fast-import", "--quiet"], repo.path, stdin=many).code == 0
    ids = sorted(repo.git("rev-list", "refs/many").split())
    twice = next(one[:4] for one, other in itertools.pairwise(ids) if one[:4] == other[:4])
    assert "ambiguous" in refused(made, capfd, "spawn", "x", "--base", twice)


def test_branches(made: Yard, capfd: pytest.CaptureFixture[str]) -> None:
    for branch in ("nowhere", "-x", "a..b", "refs/heads/main", "HEAD", "@", "a b", "x\ny", "../main", "\x1b[0m"):
        assert "no branch" in refused(made, capfd, "spawn", "x", f"--branch={branch}"), branch
    assert "integration branch" in refused(made, capfd, "spawn", "x", "--branch", "main", code=1)
    made.repo.git("branch", "mine")
    refused(made, capfd, "spawn", "x", "y", "--branch", "mine")
    made.repo.git("worktree", "add", "-q", "../held", "mine")
    assert "checked out" in refused(made, capfd, "spawn", "x", "--branch", "mine", code=1)
    made.repo.git("branch", "feature/there")
    assert "exists already" in refused(made, capfd, "spawn", "there", code=1)
    (made.path.parent / "project-feature-full").mkdir()
    (made.path.parent / "project-feature-full" / "file").touch()
    assert "exists already" in refused(made, capfd, "spawn", "full", code=1)


def test_others(made: Yard, capfd: pytest.CaptureFixture[str]) -> None:
    assert "no stream" in refused(made, capfd, "spawn", "x", "--after", "nobody")
    refused(made, capfd, "spawn", "x", "--priority", "high")
    refused(made, capfd, "spawn")
    refused(made, capfd, "spawn", "x", "--tsk", "y")


def test_an_unborn_integration_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    repo = Repo(tmp_path / "empty")
    repo.path.mkdir()
    repo.git("init", "-q")
    done = repo.loki("spawn", "x")
    assert done.code in {1, 2}
    assert "no commit yet" in done.err
    assert not (tmp_path / "empty-feature-x").exists()
    done = repo.loki("spawn", "x", "--base", "HEAD")
    assert (done.code, "no commit" in done.err) == (2, True), done.err


def test_without_tmux_that_is_said_before_anything_is_made(
    made: Yard, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh"):
        path = next(p for folder in os.environ["PATH"].split(":") if (p := Path(folder, name)).exists())
        (programs / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(programs))
    assert "tmux" in refused(made, capfd, "spawn", "x", "--tmux", code=1)

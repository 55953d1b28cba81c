"""The light way through pre-push: taken where all is known to have passed, and never further than the whole way goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Done, Repo, call
from support.scripted import Yard, yard

import loki_hooks

MAIN = Path(loki_hooks.__file__).with_name("__main__.py")


@pytest.fixture
def made(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """Two pushes of main have been asked for: the whole way has kept what is in force."""
    monkeypatch.setenv("LOKI_TRUST", "1")
    made = yard(repo, more="[push]\nbudget = 0\n")
    assert repo.loki("test").code == 0
    assert push(repo) == (0, False)
    assert push(repo) == (0, True)
    return made


def ask(repo: Repo, line: str) -> Done:
    words = [sys.executable, "-I", "-X", "importtime", str(MAIN), "hook", "pre-push", "origin", "x"]
    return call(words, repo.path, stdin=line)


def push(repo: Repo, *revisions: str) -> tuple[int, bool]:
    """Ask as git would for main at each revision; return the exit status, and whether it was found out the light way."""
    oids = [repo.git("rev-parse", revision) for revision in revisions or ("main",)]
    done = ask(repo, "".join(f"refs/heads/x {oid} refs/heads/main {'0' * 40}\n" for oid in oids))
    return done.code, "loki_hooks.actions.gates.guard" not in done.err


def test_what_passed_goes_lightly_whatever_the_commit_and_loads_next_to_nothing(made: Yard, repo: Repo) -> None:
    repo.commit("More", {"more.txt": "x"})
    assert push(repo) == (1, False), "there is no result of it yet"
    assert repo.loki("test").code == 0
    assert push(repo, "main", "main~1") == (0, True)
    zero = "0" * 40
    done = ask(repo, f"(delete) {zero} refs/heads/main {zero}\nrefs/tags/v {zero[:-1]}1 refs/tags/v {zero}\n")
    assert done.code == 0
    loaded = {text.rpartition("|")[2].strip() for text in done.err.splitlines()}
    assert loaded.isdisjoint(
        {"loki_hooks.actions.gates.guard", "subprocess", "pathlib", "dataclasses", "typing", "json", "re"}
    )
    assert len(made.runs()) == 2


def other_gate(made: Yard) -> None:
    text = (made.path / "loki-hooks.toml").read_text()
    made.repo.commit("Another gate", {"loki-hooks.toml": text + '[gates.more]\ncommand = "false"\n'})


def fails_again(made: Yard) -> None:
    (made.outside / "gate-code").write_text("1")
    assert made.repo.loki("test", "--again").code == 1


def result_is_gone(made: Yard) -> None:
    for ref in made.repo.git("for-each-ref", "--format=%(refname)", "refs/loki/gates").splitlines():
        made.repo.git("update-ref", "-d", ref)


def another_integration_branch(made: Yard) -> None:
    """Another branch's configuration is in force now, and main is not gated any more."""
    made.repo.git("switch", "-q", "-c", "trunk")
    other_gate(made)
    made.repo.git("switch", "-q", "main")
    text = (made.path / "loki-hooks.toml").read_text()
    (made.path / "loki-hooks.toml").write_text('integration_branch = "trunk"\n' + text)


def planted(made: Yard) -> None:
    """A red tree is said to have passed: by the code of another result, and by a made-up one."""
    passed = next((made.path / ".git" / "loki" / "passed").iterdir())
    made.repo.commit("Break", {"bad-x": "x"})
    assert made.repo.loki("test").code == 1
    tree = made.repo.git("rev-parse", "main^{tree}")
    gate = passed.name.partition("-")[2]
    blob = made.repo.git("rev-parse", f"refs/loki/gates/{tree}/{gate}")
    _, code = passed.read_text().split()
    passed.with_name(f"{tree}-{gate}").write_text(f"{blob} {code}")


def emptied(made: Yard) -> None:
    """No gate is said to be in force, and what is pushed is red."""
    made.repo.commit("Break", {"bad-x": "x"})
    path = made.path / ".git" / "loki" / "in-force"
    path.write_text("\n".join(path.read_text().splitlines()[:3]) + "\n")


def other_key(made: Yard) -> None:
    """All was made in another clone."""
    (made.path / ".git" / "loki" / "key").write_text("0" * 64)


def replaced(made: Yard) -> None:
    """git shows what passed in the place of a red commit; what is pushed is the commit itself."""
    made.repo.commit("Break", {"bad-x": "x"})
    made.repo.git("replace", "main", "main~1")


@pytest.mark.parametrize(
    "change",
    [other_gate, fails_again, result_is_gone, another_integration_branch, planted, emptied, other_key, replaced],
)
def test_where_anything_is_different_the_whole_way_decides(
    made: Yard, repo: Repo, change: Callable[[Yard], None]
) -> None:
    change(made)
    assert push(repo) == (0 if change is another_integration_branch else 1, False)


def test_what_is_damaged_only_costs_time(made: Yard, repo: Repo) -> None:
    private = repo.path / ".git" / "loki"
    for path in (private / "in-force", next((private / "passed").iterdir())):
        path.write_bytes(b"\xff\0\n\n")
        assert push(repo) == (0, False)
        path.unlink()
        path.mkdir()
        assert push(repo) == (0, False)
        path.rmdir()
    assert ask(repo, "nonsense\n").code == 1

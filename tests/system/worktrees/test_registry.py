"""Worktrees on disk: made all or not at all, locked by who lives, and nobody else's ever forgotten."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.git import operations
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.locks import hold
from loki_hooks.system.processes.alive import identify, myself
from loki_hooks.system.site import Site, discover
from loki_hooks.system.worktrees import registrations, registry
from loki_hooks.system.worktrees.registrations import forget_missing
from loki_hooks.system.worktrees.registry import add, lock, unlock

if TYPE_CHECKING:
    from conftest import Repo


@pytest.fixture
def site(repo: Repo) -> Site:
    return discover(repo.path)


def test_sixteen_threads_make_sixteen_worktrees(repo: Repo, site: Site) -> None:
    tip = repo.git("rev-parse", "main")
    failures: list[Exception] = []

    def make(number: int) -> None:
        try:
            registry.add(site, repo.path.parent / f"w{number}", f"b{number}", tip, new_branch=True)
        except LokiError as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert {w.branch for w in list_worktrees(Git(repo.path))} == {"main", *(f"b{n}" for n in range(16))}
    assert all((repo.path.parent / f"w{n}" / "app.py").exists() for n in range(16))


def test_what_is_in_use_is_refused_and_untouched(repo: Repo, site: Site) -> None:
    tip = repo.git("rev-parse", "main")
    place = repo.path.parent / "full"
    place.mkdir()
    (place / "mine").write_text("x")
    with pytest.raises(RefusedError):
        registry.add(site, place, "new", tip, new_branch=True)
    with pytest.raises(LokiError):
        registry.add(site, repo.path.parent / "other", "main", tip, new_branch=False)
    with pytest.raises(RefusedError):
        registry.add(site, repo.path.parent / "other", "main", tip, new_branch=True)
    assert repo.git("branch", "--format=%(refname:short)") == "main"
    assert [p.name for p in place.iterdir()] == ["mine"]
    assert not (repo.path.parent / "other").exists()


def test_one_that_fails_leaves_neither_branch_nor_folder_nor_entry(repo: Repo, site: Site) -> None:
    """A smudge filter that fails stops the checkout."""
    repo.commit("Filtered", {".gitattributes": "*.bin filter=broken\n", "a.bin": "x"})
    repo.git("config", "filter.broken.smudge", "false")
    repo.git("config", "filter.broken.required", "true")
    before = repo.git("for-each-ref"), repo.git("worktree", "list")
    with pytest.raises(LokiError):
        registry.add(site, repo.path.parent / "w", "b", repo.git("rev-parse", "main"), new_branch=True)
    assert (repo.git("for-each-ref"), repo.git("worktree", "list")) == before
    assert not (repo.path.parent / "w").exists()


def test_a_failure_takes_nobody_elses_missing_worktree(repo: Repo, site: Site) -> None:
    place = repo.path.parent / "usb"
    repo.git("worktree", "add", "-q", "--detach", str(place))
    place.rename(place.with_name("unplugged"))
    with pytest.raises(LokiError):
        registry.add(site, repo.path.parent / "w", "main/x", repo.git("rev-parse", "main"), new_branch=True)
    registrations.forget_missing(site, repo.path.parent / "other")
    place.with_name("unplugged").rename(place)
    assert repo.git("rev-parse", "HEAD", cwd=place) == repo.git("rev-parse", "main")


def test_a_missing_one_is_forgotten_only_when_nothing_speaks_for_it(repo: Repo, site: Site) -> None:
    for name in ("deleted", "locked", "moved", "staged"):
        place = repo.path.parent / name
        repo.git("worktree", "add", "-q", "-b", name, str(place))
        if name == "locked":
            repo.git("worktree", "lock", str(place))
        if name == "staged":
            repo.write("new.txt", "new\n", place)
            repo.git("add", "new.txt", cwd=place)
        if name == "moved":
            place.rename(place.with_name("elsewhere"))
        else:
            shutil.rmtree(place)
        if name == "deleted":
            registrations.forget_missing(site, place)
            (kept,) = (repo.path / ".git" / "loki" / "aside").iterdir()
            assert (kept / "HEAD").read_text() == "ref: refs/heads/deleted\n"
        else:
            with pytest.raises(RefusedError, match=name):
                registrations.forget_missing(site, place)
        assert any(w.path == place for w in list_worktrees(Git(repo.path))) == (name != "deleted")


def test_a_worktree_that_is_away_keeps_its_place(repo: Repo, site: Site) -> None:
    place = repo.path.parent / "w"
    tip = repo.git("rev-parse", "main")
    repo.git("worktree", "add", "-q", "--detach", str(place))
    place.rename(repo.path.parent.parent / "far")
    with pytest.raises(RefusedError, match="registered"):
        registry.add(site, place, "new", tip, new_branch=True)
    assert repo.git("branch", "--list", "new") == ""
    (repo.path.parent.parent / "far").rename(place)
    assert repo.git("rev-parse", "HEAD", cwd=place) == tip


def test_detached_and_on_an_existing_branch(repo: Repo, site: Site) -> None:
    tip = repo.git("rev-parse", "main")
    registry.add(site, repo.path.parent / "d", "", tip, new_branch=False)
    assert repo.try_git("symbolic-ref", "-q", "HEAD", cwd=repo.path.parent / "d").code == 1
    repo.git("branch", "there")
    registry.add(site, repo.path.parent / "t", "there", tip, new_branch=False)
    assert repo.git("symbolic-ref", "--short", "HEAD", cwd=repo.path.parent / "t") == "there"


def test_a_lock_is_broken_only_when_its_owner_is_proved_dead(repo: Repo, site: Site) -> None:
    place = repo.path.parent / "w"
    registry.add(site, place, "b", repo.git("rev-parse", "main"), new_branch=True)
    me, dead = myself(), ProcessId(2**22 + 5, "then")

    def reason() -> str | None:
        return next(w.locked for w in list_worktrees(Git(repo.path)) if w.path == place)

    registry.lock(site, place, "feature-x", me)
    assert str(me.pid) in str(reason())
    registry.unlock_dead(site, place)
    registry.unlock(site, place, dead)
    assert reason() is not None
    registry.unlock(site, place, me)
    assert reason() is None
    registry.lock(site, place, "feature-x", dead)
    registry.unlock_dead(site, place)
    assert reason() is None
    repo.git("worktree", "lock", "--reason", "mine (pid 999999, started never)", str(place))
    registry.unlock_dead(site, place)
    registry.lock(site, place, "feature-x", me)
    assert reason() == "mine (pid 999999, started never)"


def test_the_same_pid_with_another_start_is_dead() -> None:
    me = myself()
    assert not registry.lock_is_dead(registry.lock_reason("x", me))
    assert registry.lock_is_dead(registry.lock_reason("x", ProcessId(me.pid, "another")))
    assert not registry.lock_is_dead("any other words")


def test_a_branch_that_an_operation_holds(repo: Repo, site: Site) -> None:
    repo.git("branch", "side", "HEAD")
    assert operations.branch_held_by_operation(site, "main") == ""
    repo.commit("One", {"app.py": "1\n"})
    repo.git("worktree", "add", "-q", "../w", "side")
    place = repo.path.parent / "w"
    repo.commit("Two", {"app.py": "2\n"}, cwd=place)
    assert repo.try_git("rebase", "-q", "main", cwd=place).code == 1
    assert "rebase" in operations.branch_held_by_operation(site, "side")
    assert operations.branch_held_by_operation(site, "main") == ""
    assert operations.operation_in(operations.git_dir_of(place)) == "rebase"


def test_a_path_with_odd_characters(repo: Repo, site: Site) -> None:
    place = repo.path.parent / "a b é\n$x"
    registry.add(site, place, "odd", repo.git("rev-parse", "main"), new_branch=True)
    assert any(w.path == place for w in list_worktrees(Git(repo.path)))
    registry.remove(site, place)
    assert not place.exists()


def test_removal_is_never_forced(repo: Repo, site: Site) -> None:
    place = repo.path.parent / "w"
    registry.add(site, place, "b", repo.git("rev-parse", "main"), new_branch=True)
    (place / "mine").write_text("x")
    with pytest.raises(LokiError):
        registry.remove(site, place)
    assert (place / "mine").read_text() == "x"


def test_git_dir_of_relative_pointers(repo: Repo, tmp_path: Path) -> None:
    place = repo.path.parent / "w"
    repo.git("worktree", "add", "-q", str(place))
    admin = repo.path / ".git" / "worktrees" / "w"
    assert operations.git_dir_of(place) == admin
    (place / ".git").write_text("gitdir: ../project/.git/worktrees/w\n")
    assert operations.git_dir_of(place) == admin
    assert operations.git_dir_of(repo.path) == repo.path / ".git"


_RACER = """
import os, sys
from pathlib import Path
from loki_hooks.system.locks import hold
from loki_hooks.system.processes.alive import myself
from loki_hooks.system.site import discover
from loki_hooks.system.worktrees.registry import lock, unlock
site, path, rounds = discover(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
locked = site.common / "worktrees" / path.name / "locked"
print("up", flush=True)
sys.stdin.readline()
for _ in range(rounds):
    proof = lock(site, path, "feature-x", myself())
    assert proof.ours, proof
    for _ in range(20):
        assert f"(pid {os.getpid()}," in locked.read_text(), "it is not locked by us"
    assert unlock(site, path, myself()), "somebody took our lock away"
"""


def test_many_that_lock_one_worktree_have_it_one_after_the_other(repo: Repo, site: Site) -> None:
    path = repo.path.parent / "w"
    add(site, path, "feature/x", repo.git("rev-parse", "HEAD"), new_branch=True)
    lock(site, path, "feature-x", ProcessId(2**22 - 1, "dead"))
    words = [sys.executable, "-c", _RACER, str(repo.path), str(path), "5"]
    racers = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    for racer in racers:  # all begin at once
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=300)[1] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 5, said


def test_a_session_that_cannot_lock_its_worktree_does_not_go_on(
    repo: Repo, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LOCK_PATIENCE", 0.1)
    path = repo.path.parent / "w"
    add(site, path, "feature/x", repo.git("rev-parse", "HEAD"), new_branch=True)
    assert lock(site, path, "feature-x", myself()).ours
    other = subprocess.Popen(["sleep", "60"])
    try:
        owner = identify(other.pid)
        assert owner is not None
        with pytest.raises(RefusedError, match=rf"is locked: .*pid {os.getpid()}"):
            lock(site, path, "feature-x", owner)
    finally:
        other.kill()
        other.wait()
    unlock(site, path, myself())
    repo.git("worktree", "lock", "--reason", "mine", str(path))
    assert not lock(site, path, "feature-x", myself()).ours
    with pytest.raises(LokiError):
        lock(site, repo.path.parent / "none", "feature-x", myself())


def test_what_is_being_made_is_not_forgotten_meanwhile(repo: Repo, site: Site) -> None:
    path = repo.path.parent / "w"
    add(site, path, "feature/x", repo.git("rev-parse", "HEAD"), new_branch=True)
    shutil.rmtree(path)  # as it is for a moment while somebody else of ours makes it
    with hold(site.private / "worktrees.lock"):
        forgetting = threading.Thread(target=forget_missing, args=(site, path))
        forgetting.start()
        time.sleep(0.2)
        assert (site.common / "worktrees" / "w").is_dir()
    forgetting.join()
    assert not (site.common / "worktrees" / "w").exists()


def test_a_name_that_is_too_long_is_no_worktree_and_no_error(repo: Repo, site: Site) -> None:
    """One such registration, planted or left, must not end the pass of all streams."""
    assert not registrations.is_here(site, repo.path.parent / ("x" * 300))

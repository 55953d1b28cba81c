"""Safe snapshots: a worktree that somebody took away comes back as it was, uncommitted work included."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Done, Repo, eventually
from support.finishing import begun, listed
from support.scripted import Yard, end, yard

from loki_hooks.actions.safe.keeper import Keeper
from loki_hooks.domain.worktrees.safe import LONG, SETTLE, WAIT, Trust, fitting, judge, pause

WAITING = """\
touch '%(outside)s/begun'
while [ ! -f '%(outside)s/over' ]; do sleep 0.1; done
"""


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def at_work(repo: Repo, *names: str) -> Yard:
    """Streams whose agents wait, on a repository with some files."""
    made = yard(repo)
    repo.commit("Files", {f"{name}.txt": f"{name}\n" for name in ("kept", "staged", "edited", "both", "old", "gone")})
    for name in names:
        made.agent(name, WAITING % {"outside": made.outside})
    made.spawn(*names)
    for name in names:
        made.wait_for(name, "running", timeout=120)
    return made


def edit_all_ways(repo: Repo, tree: Path) -> None:
    """Stage, change, rename, delete, link, make executable, add, and leave untracked."""
    repo.commit("A commit of its own", {"own.txt": "own\n"}, cwd=tree)
    repo.write("staged.txt", "staged anew\n", tree)
    repo.write("both.txt", "staged\n", tree)
    repo.write("new-staged.txt", "new\n", tree)
    repo.git("add", "staged.txt", "both.txt", "new-staged.txt", cwd=tree)
    repo.git("mv", "old.txt", "renamed.txt", cwd=tree)
    repo.write("both.txt", "staged\nand more\n", tree)
    repo.write("edited.txt", "edited\n", tree)
    (tree / "gone.txt").unlink()
    (tree / "kept.txt").chmod(0o755)
    repo.write("deep/er/untracked.sh", "echo\n", tree).chmod(0o755)
    (tree / "link").symlink_to("deep/er")
    (tree / "deep" / "odd\nname \xe9").write_bytes(b"\0\1")
    os.link(tree / "edited.txt", tree / "hard")


def listing(tree: Path, repo: Repo) -> dict[str, Any]:
    """Return everything that has to come back: files with modes, what is staged, branch and commit."""
    files = {}
    for base, folders, names in os.walk(tree):
        folders[:] = [f for f in folders if f not in {".git", ".loki"} and not Path(base, f).is_symlink()]
        for path in (
            Path(base, name)
            for name in (*names, *(p.name for p in Path(base).iterdir()))
            if name not in {".git", ".loki"}
        ):
            if path.is_symlink():
                files[str(path.relative_to(tree))] = f"-> {path.readlink()}"
            elif path.is_file():
                files[str(path.relative_to(tree))] = f"{path.stat().st_mode & 0o111:o} {path.read_bytes().hex()}"
    return {
        "files": files,
        "status": repo.git("status", "--porcelain=v1", "-z", "--untracked-files=all", cwd=tree),
        "staged": repo.git("ls-files", "--stage", cwd=tree),
        "head": repo.git("rev-parse", "HEAD", cwd=tree),
        "branch": repo.git("rev-parse", "--symbolic-full-name", "HEAD", cwd=tree),
    }


def safe_files(repo: Repo, name: str) -> dict[str, str]:
    """Return the newest snapshot of the feature: path → blob ({} when there is none)."""
    done = repo.try_git("ls-tree", "-r", "-z", f"refs/loki/safe/feature-{name}")
    entries = [line.split("\t") for line in done.out.split("\0") if line] if done.code == 0 else []
    return {path: facts.split()[2] for facts, path in entries}


def until_safe(repo: Repo, name: str, file: str, text: str) -> None:
    blob = repo.git("hash-object", "-w", str(repo.write("blob.tmp", text, repo.path.parent)))
    eventually(lambda: safe_files(repo, name).get(file) == blob, 180, f"{file} to be in the snapshot of {name}")


def until_whole(made: Yard, name: str) -> None:
    """Wait until a snapshot has everything that is in the worktree now."""
    tree = made.tree_of(name)
    made.repo.write("last.txt", f"{name}\n", tree)
    until_safe(made.repo, name, "last.txt", f"{name}\n")


def restored(repo: Repo, name: str) -> Done:
    done = repo.loki("restore", name)
    assert done.code == 0, done.err
    return done


# In a session -----------------------------------------------------------------------------------------------


def test_what_rm_took_in_the_middle_of_a_session_comes_back_as_it_was(repo: Repo) -> None:
    made = at_work(repo, "a", "b")
    before = {}
    for name in ("a", "b"):
        edit_all_ways(repo, made.tree_of(name))
        repo.write("whose.txt", f"{name}\n", made.tree_of(name))
        repo.write(".env.local", "TOKEN=1\n", made.tree_of(name))
    for name in ("a", "b"):
        until_whole(made, name)
        assert ".env.local" not in safe_files(repo, name)
        (made.tree_of(name) / ".env.local").unlink()
        before[name] = listing(made.tree_of(name), repo)
        repo.write(".env.local", "TOKEN=1\n", made.tree_of(name))
    index = repo.git("ls-files", "--stage", "--debug", cwd=made.tree_of("b"))
    # One goes by hand, of the other the branch goes, too.
    shutil.rmtree(made.tree_of("a"))
    repo.git("worktree", "remove", "--force", "--force", str(made.tree_of("b")))
    repo.git("branch", "-D", "feature/b")
    assert index
    names = {entry["name"]: entry for entry in listed(made)}
    assert set(names) == {"a", "b"}
    assert names["a"]["ref"] == "refs/loki/safe/feature-a"
    assert names["a"]["uncommitted"]
    for name in ("b", "a"):
        done = restored(repo, name)
        assert listing(made.tree_of(name), repo) == before[name]
        assert "seconds ago" in done.err or "minutes ago" in done.err
        assert ".env.local (it looks like a secret" in done.err
        assert made.status(name) == "stopped"
    again = repo.loki("restore", "a")
    assert (again.code, "is here" in again.err) == (1, True)
    assert listed(made) == []
    (made.outside / "over").touch()
    assert repo.loki("resume", "a").code == 0
    made.wait_for("a", "ready", "failed", "escalated", "testing", "passed", "merged", "archived", timeout=120)


def test_what_goes_after_its_runner_was_killed_comes_back(repo: Repo) -> None:
    made = at_work(repo, "a")
    tree = made.tree_of("a")
    edit_all_ways(repo, tree)
    until_whole(made, "a")
    before = listing(tree, repo)
    record = made.record("a")
    end([record["session"]["pid"]])
    shutil.rmtree(tree)
    repo.git("worktree", "prune", "--expire", "now")
    repo.git("update-ref", "-d", "refs/heads/feature/a")
    made.once()
    assert made.status("a") == "failed", "the stream is not forgotten"
    shown = repo.loki("status", "--json")
    assert any(o["command"] == "loki-hooks restore a" for o in json.loads(shown.out)["orphans"])
    restored(repo, "a")
    assert listing(tree, repo) == before
    (made.outside / "over").touch()


def test_a_worktree_that_is_half_deleted_does_not_take_the_place_of_the_whole_one(repo: Repo) -> None:
    made = at_work(repo, "a")
    tree = made.tree_of("a")
    edit_all_ways(repo, tree)
    until_whole(made, "a")
    before = listing(tree, repo)
    for path in [p for p in tree.iterdir() if p.name not in {".git", "edited.txt", "kept.txt"}]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    repo.write("edited.txt", "edited while it went\n", tree)  # a look that sees something new in what is left
    until_safe(repo, "a", "edited.txt", "edited while it went\n")
    shutil.rmtree(tree)
    done = restored(repo, "a")
    assert "had just gone" in done.err
    after = listing(tree, repo)
    assert {**after["files"], "edited.txt": "", "hard": ""} == {**before["files"], "edited.txt": "", "hard": ""}
    assert (tree / "edited.txt").read_text() == "edited while it went\n"
    (made.outside / "over").touch()


def test_whoever_deletes_while_a_snapshot_is_made_takes_nothing_from_it(repo: Repo) -> None:
    """Looks follow each other without a pause while the worktree goes, file by file, its `.git` last."""
    made = begun(repo)
    made.open("a")
    tree = made.tree_of("a")
    context = made.context()
    keeper = Keeper(context)
    for number in range(40):
        repo.write(f"d{number % 7}/f{number}.txt", f"{number}\n", tree)
    repo.git("add", "d1", "d2", cwd=tree)
    keeper.renew_quietly("feature-a")
    whole = safe_files(repo, "a")
    assert len(whole) > 40
    over = threading.Event()

    def look_again_and_again() -> None:
        while not over.is_set():
            keeper.renew_quietly("feature-a")

    looking = threading.Thread(target=look_again_and_again)
    looking.start()
    entries = sorted(tree.rglob("*"), key=lambda p: (p.name == ".git", hashlib.sha256(p.name.encode()).digest()))
    for path in entries:
        if path.is_file():
            path.unlink()
            time.sleep(0.02)
    shutil.rmtree(tree)
    over.set()
    looking.join()
    keeper.renew_quietly("feature-a")
    assert safe_files(repo, "a") == whole
    restored(repo, "a")
    assert len(listing(tree, repo)["files"]) == len(whole)


def test_the_end_of_a_session_is_in_the_snapshot(repo: Repo) -> None:
    made = yard(repo)
    made.agent("a", "echo left > left.txt; exit 3")
    made.spawn("a")
    made.wait_for("a", "failed", timeout=120)
    made.quiet(timeout=120)
    shutil.rmtree(made.tree_of("a"))
    restored(repo, "a")
    assert (made.tree_of("a") / "left.txt").read_text() == "left\n"
    assert made.status("a") == "failed"


# Without a session ------------------------------------------------------------------------------------------


def open_with(repo: Repo, *names: str) -> Yard:
    """Open streams, each with a commit and untracked work, which a pass has seen."""
    made = begun(repo, *names)
    for name in names:
        repo.write("untracked.txt", f"{name}\n", made.tree_of(name))
    made.once()
    return made


def test_passes_keep_what_has_no_session(repo: Repo) -> None:
    made = open_with(repo, "a")
    repo.git("worktree", "add", "-q", "-b", "feature/adopted", "../elsewhere")
    tree = repo.path.parent / "elsewhere"
    repo.commit("Begin", {"x.txt": "x\n"}, cwd=tree)
    repo.write("untracked.txt", "adopted\n", tree)
    made.once()
    before = {"a": listing(made.tree_of("a"), repo), "adopted": listing(tree, repo)}
    for name, path in (("a", made.tree_of("a")), ("adopted", tree)):
        shutil.rmtree(path)
        repo.git("worktree", "prune")
        repo.git("branch", "-D", f"feature/{name}")
        made.once()
        restored(repo, name)
        assert listing(path, repo) == before[name]
        assert made.status(name) == "open"


def test_nothing_new_makes_no_object(repo: Repo) -> None:
    made = open_with(repo, "a")
    first = repo.git("rev-parse", "refs/loki/safe/feature-a")
    (made.path / ".git" / "loki" / "safe.json").unlink()
    objects = repo.git("count-objects")
    made.once()
    assert (repo.git("rev-parse", "refs/loki/safe/feature-a"), repo.git("count-objects")) == (first, objects)
    assert not (made.path / ".git" / "logs" / "refs" / "loki" / "safe").exists()


def test_after_git_clean_in_the_main_worktree(repo: Repo) -> None:
    made = begun(repo, more='[cleanup]\nauto = false\n[worktrees]\npath = ".worktrees/{stream}"\n')
    made.open("a")
    tree = repo.path / ".worktrees" / "feature-a"
    repo.write("untracked.txt", "x\n", tree)
    made.once()
    before = listing(tree, repo)
    repo.git("clean", "-q", "-xdff")
    assert not tree.exists()
    repo.git("worktree", "prune")
    repo.git("branch", "-D", "feature/a")
    assert [entry["name"] for entry in listed(made)] == ["a"]
    restored(repo, f"feature-a/{listed(made)[0]['time']}")
    assert listing(tree, repo) == before


def test_what_is_there_stays(repo: Repo) -> None:
    made = open_with(repo, "a", "b", "c")
    trees = {name: made.tree_of(name) for name in ("a", "b", "c")}
    shutil.rmtree(trees["a"])
    repo.write("somebody.txt", "mine\n", trees["a"])
    done = repo.loki("restore", "a")
    assert (done.code, [p.name for p in trees["a"].iterdir()]) == (1, ["somebody.txt"]), done.err
    # Its branch went on: what was uncommitted comes on top.
    shutil.rmtree(trees["b"])
    repo.git("worktree", "prune")
    repo.git("worktree", "add", "-q", "../other", "feature/b")
    on = repo.commit("On", {"on.txt": "on\n"}, cwd=repo.path.parent / "other")
    repo.git("worktree", "remove", "--force", "../other")
    restored(repo, "b")
    assert repo.git("rev-parse", "HEAD", "feature/b", cwd=trees["b"]).split() == [on, on]
    assert repo.git("status", "--porcelain", cwd=trees["b"]) == "?? untracked.txt"
    # Its branch is somewhere else: another name.
    shutil.rmtree(trees["c"])
    repo.git("worktree", "prune")
    tip = repo.git("rev-parse", "feature/c")
    repo.git("branch", "-f", "feature/c", repo.git("commit-tree", "main^{tree}", "-p", "main", "-m", "Other"))
    other = repo.git("rev-parse", "feature/c")
    done = restored(repo, "c")
    assert "feature/c-restored" in done.err
    assert repo.git("rev-parse", "feature/c") == other
    assert repo.git("rev-parse", "HEAD", "feature/c-restored", cwd=trees["c"]).split() == [tip, tip]
    assert (trees["c"] / "untracked.txt").read_text() == "c\n"


def test_a_merge_or_rebase_in_progress_is_said_and_nothing_of_it_lost(repo: Repo) -> None:
    made = begun(repo, "a", "b")
    for name in ("a", "b"):
        repo.commit("Theirs", {"README.md": f"{name}\n"}, cwd=made.tree_of(name))
    repo.commit("Ours", {"README.md": "ours\n"})
    assert repo.try_git("merge", "main", cwd=made.tree_of("a")).code == 1
    assert repo.try_git("rebase", "main", cwd=made.tree_of("b")).code == 1
    made.once()
    heads = {name: repo.git("rev-parse", "HEAD", f"feature/{name}", cwd=made.tree_of(name)) for name in ("a", "b")}
    texts = {name: (made.tree_of(name) / "README.md").read_text() for name in ("a", "b")}
    for name, what in (("a", "merge"), ("b", "rebase")):
        shutil.rmtree(made.tree_of(name))
        repo.git("worktree", "prune")
        repo.git("branch", "-D", f"feature/{name}")
        done = restored(repo, name)
        assert f"a {what} was in progress" in done.err
        assert repo.git("rev-parse", "HEAD", f"feature/{name}", cwd=made.tree_of(name)) == heads[name]
        assert (made.tree_of(name) / "README.md").read_text() == texts[name]
        assert "<<<<<<<" in texts[name]


def test_no_secret_gets_into_a_snapshot(repo: Repo) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    repo.write(".env", "TOKEN=1\n", tree)
    repo.write("note.txt", "-----BEGIN PRIVATE KEY-----\nx\n", tree)
    repo.git("add", "-f", ".env", cwd=tree)
    repo.write("key.pem", "x\n", tree)
    repo.write("plain.txt", "x\n", tree)
    (tree / "dir").mkdir()
    (tree / "dir" / "x.log").write_text("ignored\n")
    made.once()
    ref = "refs/loki/safe/feature-a"
    assert "plain.txt" in safe_files(repo, "a")
    assert not {".env", "note.txt", "key.pem", "dir/x.log"} & set(safe_files(repo, "a"))
    every = repo.git("log", "--format=", "--name-only", "-m", ref, "^main").split()
    assert not {".env", "note.txt", "key.pem"} & set(every)
    assert repo.git("diff", "--cached", "--name-only", cwd=tree) == ".env", "the user's own index is as it was"
    shutil.rmtree(tree)
    done = restored(repo, "a")
    assert all(name in done.err for name in (".env", "note.txt", "key.pem")), done.err


def test_a_planted_ref_does_no_harm(repo: Repo) -> None:
    made = open_with(repo, "a")
    tree = made.tree_of("a")
    evil = repo.git("commit-tree", "main^{tree}", "-p", "main", "-m", "Planted")
    said = f"x\n\nLoki-Branch: main\nLoki-Tip: {evil}\nLoki-Time: 2026-01-01T00:00:00Z\n"
    planted = repo.git("commit-tree", "main^{tree}", "-p", evil, "-m", said)
    main = repo.git("rev-parse", "main")
    for stream, oid in (("feature-x", planted), ("feature-y", evil), ("feature-z", "main^{tree}")):
        repo.git("update-ref", f"refs/loki/safe/{stream}", repo.git("rev-parse", oid))
    for name in ("x", "y", "z"):
        assert repo.loki("restore", name).code in {1, 2}
    assert repo.git("rev-parse", "main") == main
    assert not made.tree_of("x").exists()
    repo.git("update-ref", "refs/loki/safe/feature-a", evil)
    made.once()
    shutil.rmtree(tree)
    restored(repo, "a")
    assert repo.git("rev-parse", "HEAD", cwd=tree) == repo.git("rev-parse", "feature/a")


def test_however_the_worktree_stands_nothing_is_lost(repo: Repo) -> None:
    """Detached, on another branch, on one without a commit; a link in a folder's place; a file that nobody can read."""
    made = begun(repo, "a", "b", "c")
    a, b, c = (made.tree_of(name) for name in ("a", "b", "c"))
    repo.git("switch", "-q", "--detach", cwd=a)
    repo.commit("Nowhere else", {"lonely.txt": "x\n"}, cwd=a)
    repo.write("lonely.txt", "changed\n", a)
    repo.git("switch", "-q", "-c", "side", cwd=b)
    repo.commit("Folder", {"folder/x": "x\n"}, cwd=b)
    shutil.rmtree(b / "folder")
    (b / "folder").symlink_to("/nowhere")
    os.mkfifo(b / "pipe")
    (b / "repository").mkdir()
    repo.git("init", "-q", cwd=b / "repository")
    repo.write("hidden/.gitignore", "*\n", b)
    repo.git("switch", "-q", "--orphan", "fresh", cwd=c)
    repo.write("fresh.txt", "fresh\n", c)
    made.once()
    time.sleep(SETTLE)  # what is missing is believed then
    made.once()
    assert safe_files(repo, "b")
    shown = []
    before = [listing(a, repo), listing(b, repo)]
    for name in ("a", "b", "c"):
        shutil.rmtree(made.tree_of(name))
        repo.git("worktree", "prune")
        repo.git("branch", "-D", f"feature/{name}")
        shown.append(restored(repo, name).err)
    assert "it was detached: HEAD is at" in shown[0]
    assert {**listing(a, repo)} == before[0]
    after = listing(b, repo)
    assert "'side' was checked out" in shown[1]
    assert "repository/ (it is a repository of its own)" in shown[1]
    assert after["head"] == before[1]["head"]
    assert after["files"]["folder"] == "-> /nowhere"
    assert "'fresh' was checked out, which had no commit" in shown[2]
    assert {p.name for p in c.iterdir()} == {".git", ".loki", "fresh.txt"}
    assert repo.git("rev-parse", "--verify", "feature/c")


# How long it is kept ----------------------------------------------------------------------------------------


def test_what_was_uncommitted_outlives_the_end_of_its_stream(repo: Repo) -> None:
    """Its worktree is taken away, then its commits land: what was not committed is still to be had."""
    made = begun(repo, "a", more="")
    repo.write("untracked.txt", "a\n", made.tree_of("a"))
    made.once()
    shutil.rmtree(made.tree_of("a"))
    repo.git("merge", "-q", "--no-edit", "feature/a")
    made.run()
    assert made.status("a") == "merged"
    assert "moved, unplugged or deleted" in made.record("a")["reason"], "only a person knows"
    repo.git("worktree", "prune")
    made.run()
    assert made.status("a") == "archived"
    assert repo.try_git("rev-parse", "--verify", "-q", "refs/loki/safe/feature-a").code == 1
    restored(repo, "a")
    assert (made.tree_of("a") / "untracked.txt").read_text() == "a\n"


def test_a_snapshot_that_does_not_fit_the_branch_any_more_is_pinned_when_its_stream_goes(repo: Repo) -> None:
    made = open_with(repo, "a")
    tree = made.tree_of("a")
    repo.git("commit", "-q", "--amend", "-m", "Amended", cwd=tree)
    made.once()
    shutil.rmtree(tree)
    repo.git("worktree", "prune")
    snapshot = repo.git("rev-parse", "refs/loki/safe/feature-a")
    repo.git("branch", "-f", "feature/a", repo.git("commit-tree", "main^{tree}", "-p", "main", "-m", "Other"))
    assert repo.loki("finish", "a", "--abandon").code == 0
    assert repo.git("for-each-ref", "refs/loki/safe/") == ""
    kept = repo.git("for-each-ref", "--format=%(refname)", "--contains", snapshot)
    assert kept.startswith("refs/loki/past/feature-a/")


def test_a_stream_that_is_given_up_or_lands_has_no_snapshot_any_more(repo: Repo) -> None:
    made = open_with(repo, "a", "b")
    assert repo.loki("finish", "a", "--abandon").code == 0
    shutil.rmtree(made.tree_of("b"))
    assert repo.loki("finish", "b", "--abandon").code == 0
    assert repo.git("for-each-ref", "refs/loki/safe/") == ""
    for name in ("a", "b"):
        restored(repo, name)
        assert (made.tree_of(name) / "untracked.txt").read_text() == f"{name}\n"


# What is decided --------------------------------------------------------------------------------------------


def test_what_is_missing_is_believed_in_its_time() -> None:
    trust, doubt = judge(None, {"a"}, 10, 0)
    assert trust is Trust.NOT_YET
    assert judge(doubt, {"a"}, 10, SETTLE - 1)[0] is Trust.NOT_YET
    assert judge(doubt, {"a"}, 10, SETTLE) == (Trust.WHOLE, None)
    assert judge(doubt, set(), 10, 1) == (Trust.WHOLE, None)
    assert judge(doubt, {"a", "b"}, 10, SETTLE)[0] is Trust.NOT_YET, "more is missing: it goes on"
    assert judge(doubt, {"a", "b"}, 10, WAIT)[0] is Trust.BUT_FOR_MISSING
    most = {str(n) for n in range(6)}
    doubt = judge(None, most, 10, 0)[1]
    assert judge(doubt, most, 10, LONG - 1)[0] is Trust.BUT_FOR_MISSING
    assert judge(doubt, most, 10, LONG)[0] is Trust.WHOLE
    assert judge(doubt, most, 10, -5)[0] is Trust.NOT_YET, "the clock was put back"


def test_a_dump_of_files_does_not_cost_the_others() -> None:
    dump = [f"node_modules/{n}" for n in range(50)]
    assert fitting([*dump, "src/a", "b"], 10) == ("src/a", "b")
    assert fitting([str(n) for n in range(50)], 10) == tuple(str(n) for n in range(10))
    assert fitting(["src/a"], 10) == ("src/a",)
    assert pause(0, 0, 0) < pause(2, 0, 0) < pause(0, 0, 10**9)
    assert pause(0.1, 3, 0) == pause(0, 0, 0), "the machine was busy"

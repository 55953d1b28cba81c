"""What a gate runs in is what a fresh checkout of the tree would be: its submodules, and every file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Repo
from support.scripted import Yard, yard

LIST = "find . -name .git -prune -o -path ./.loki -prune -o -type f -print | LC_ALL=C sort | xargs -d '\\n' sha1sum"
SPOIL = """\
for d in lib vendor/lib; do
    [ -e "$d/.git" ] || continue
    echo spoilt >>"$d/lib.py"; echo left >"$d/left"; git -C "$d" add left
    [ ! -e "$d/inner/.git" ] || git -C "$d/inner" commit -q --allow-empty -m Spoilt
    git -C "$d" commit -q -a -m Spoilt
done
"""


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def begun(path: Path, files: dict[str, str]) -> Repo:
    path.mkdir()
    made = Repo(path)
    made.git("init", "-q")
    made.commit("Begin", files)
    return made


@pytest.fixture
def inner(tmp_path: Path) -> Repo:
    return begun(tmp_path / "inner", {"inner.txt": "1\n"})


@pytest.fixture
def library(tmp_path: Path, inner: Repo) -> Repo:
    """A repository to be a submodule, with a submodule of its own."""
    made = begun(tmp_path / "library", {"lib.py": "1\n"})
    made.git("submodule", "--quiet", "add", str(inner.path), "inner")
    made.commit("With inner")
    return made


@pytest.fixture
def made(repo: Repo, library: Repo) -> Yard:
    """A repository with the library as the submodule ``lib``, and a gate that lists all files, then spoils what it can."""
    repo.git("submodule", "--quiet", "add", str(library.path), "lib")
    repo.git("submodule", "--quiet", "update", "--init", "--recursive")
    made = yard(repo)
    (made.outside / "gate.sh").write_text(f"{LIST} >'{made.outside}/seen'\n{SPOIL}")
    return made


def outcome_of(made: Yard, *words: str) -> dict[str, object]:
    (made.outside / "seen").unlink(missing_ok=True)
    (answer,) = json.loads(made.repo.loki("test", "--json", *words).out)
    return dict(answer)


def seen(made: Yard) -> str:
    return (made.outside / "seen").read_text()


def in_a_fresh_clone(made: Yard, tmp_path: Path) -> str:
    fresh = tmp_path / "fresh"
    made.repo.git("clone", "-q", "--recurse-submodules", str(made.path), str(fresh))
    listed = made.repo.git("-c", f"alias.list=!{LIST}", "list", cwd=fresh)
    shutil.rmtree(fresh)
    return listed + "\n"


def gate_worktrees(made: Yard) -> list[str]:
    return sorted(p.name for p in made.path.parent.iterdir() if p.name.startswith("project-testing"))


def test_submodules_follow_the_tree_whatever_became_of_them(
    made: Yard, library: Repo, inner: Repo, tmp_path: Path
) -> None:
    repo, path = made.repo, made.path

    def passes() -> None:
        assert outcome_of(made)["outcome"] == "passed"
        assert seen(made) == in_a_fresh_clone(made, tmp_path)

    passes()
    two = inner.commit("Two", {"inner.txt": "2\n"})
    library.git("fetch", "-q", cwd=library.path / "inner")
    library.git("checkout", "-q", two, cwd=library.path / "inner")
    bumped = library.commit("Bump inner", {"lib.py": "2\n"})
    repo.git("fetch", "-q", cwd=path / "lib")
    repo.git("checkout", "-q", bumped, cwd=path / "lib")
    repo.commit("Bump lib")  # its inner one stays behind in the main worktree
    passes()
    repo.git("submodule", "--quiet", "update", "--init", "--recursive")
    (path / "vendor").mkdir()
    repo.git("mv", "lib", "vendor/lib")
    repo.commit("Move it")
    passes()
    repo.git("rm", "-q", "-f", "vendor/lib")
    repo.commit("A file in its place", {"vendor/lib": "a file\n"})
    passes()
    (path / "vendor" / "lib").unlink()
    repo.commit("A folder in its place", {"vendor/lib/lib.py": "a folder\n"})
    passes()
    repo.git("rm", "-q", "-r", "vendor/lib")
    other = begun(tmp_path / "other", {"lib.py": "other\n"})
    shutil.rmtree(path / ".git" / "modules")
    repo.git("config", "--remove-section", "submodule.lib")
    repo.git("submodule", "--quiet", "add", "--name", "lib", str(other.path), "lib")
    repo.commit("Another repository, by the same name")
    passes()
    repo.git("rm", "-q", "-f", "lib")
    repo.commit("Without it")
    passes()
    assert gate_worktrees(made) == ["project-testing"]


def test_commits_that_only_a_streams_clone_has(made: Yard, library: Repo) -> None:
    made.open("x")
    tree = made.tree_of("x")
    here = tree / "lib"
    made.repo.commit("Only here", {"inner.txt": "only here\n"}, cwd=here / "inner")
    local = made.repo.commit("Only here", {"lib.py": "only here\n"}, cwd=here)
    made.repo.git("clone", "-q", str(library.path), "new", cwd=tree)
    made.repo.git("submodule", "--quiet", "add", "https://nowhere.invalid/new.git", "new", cwd=tree)
    made.repo.commit("Pin it", cwd=tree)
    config = (made.path / ".git" / "config").read_text()
    (made.outside / "gate.sh").write_text(
        f"git -C lib rev-parse HEAD >'{made.outside}/seen'; grep -q only lib/inner/*\n"
    )
    assert outcome_of(made, "x")["outcome"] == "passed"
    assert seen(made).strip() == local
    assert (made.path / ".git" / "config").read_text() == config
    shutil.rmtree(made.path.parent / "project-testing")
    assert outcome_of(made, "x", "--again")["outcome"] == "passed"


def test_a_commit_that_nobody_has_could_not_run_and_is_named(made: Yard, library: Repo) -> None:
    made.open("x", "y")
    nowhere = "1" * 40
    made.repo.git("update-index", "--cacheinfo", f"160000,{nowhere},lib", cwd=made.tree_of("x"))
    made.repo.git("commit", "-q", "-m", "To nowhere", cwd=made.tree_of("x"))
    answer = outcome_of(made, "x")
    assert answer["outcome"] == "could-not-run"
    assert f"the submodule lib cannot be checked out at {nowhere[:12]}" in str(answer["reason"])
    made.repo.git("rm", "-q", "--cached", "lib", cwd=made.tree_of("y"))
    (made.tree_of("y") / ".gitmodules").write_text(f'[submodule "new"]\n\tpath = new\n\turl = {library.path}\n')
    head = library.git("rev-parse", "HEAD")
    made.repo.git("update-index", "--add", "--cacheinfo", f"160000,{head},new", cwd=made.tree_of("y"))
    made.repo.git("add", ".gitmodules", cwd=made.tree_of("y"))
    made.repo.git("commit", "-q", "-m", "A new one", cwd=made.tree_of("y"))
    made.repo.git("config", "--global", "protocol.file.allow", "never")
    assert "protocol.file.allow" in str(outcome_of(made, "y")["reason"])
    made.repo.git("config", "--global", "protocol.file.allow", "always")
    assert outcome_of(made, "y", "--again")["outcome"] == "passed"
    assert outcome_of(made)["outcome"] == "passed"


def test_work_in_a_submodule_of_the_gates_worktree_is_somebodys(made: Yard) -> None:
    assert outcome_of(made)["outcome"] == "passed"
    there = made.path.parent / "project-testing" / "lib"
    (there / "lib.py").write_text("somebody's\n")
    assert outcome_of(made, "--again")["outcome"] == "passed"
    assert (there / "lib.py").read_text() == "somebody's\n"
    assert "project-testing-2" in gate_worktrees(made)


def test_what_sync_brings_moves_the_submodules_too(made: Yard, library: Repo) -> None:
    made.open("x")
    made.repo.commit("Work", {"x.txt": "x"}, cwd=made.tree_of("x"))
    bumped = library.commit("Two", {"lib.py": "2\n"})
    made.repo.git("fetch", "-q", cwd=made.path / "lib")
    made.repo.git("checkout", "-q", bumped, cwd=made.path / "lib")
    made.repo.commit("Bump lib")
    done = made.repo.loki("sync", "x")
    assert done.code == 0, done.err
    assert (made.tree_of("x") / "lib" / "lib.py").read_text() == "2\n"
    made.repo.git("rm", "-q", "lib")
    made.repo.commit("Without lib")
    assert made.repo.loki("sync", "x").code == 0
    assert made.repo.git("status", "--porcelain", cwd=made.tree_of("x")) == ""
    assert not (made.tree_of("x") / "lib").exists()


@pytest.mark.parametrize("how", ["--detach", "-Bmine"])
def test_a_landing_moves_the_submodules_that_hold_nothing_else(made: Yard, library: Repo, how: str) -> None:
    made.open("x")
    before, bumped = library.git("rev-parse", "HEAD"), library.commit("Two", {"lib.py": "2\n"})
    tree = made.tree_of("x")
    made.repo.git("submodule", "--quiet", "update", "--init", cwd=tree)
    made.repo.git("fetch", "-q", cwd=tree / "lib")
    made.repo.git("checkout", "-q", bumped, cwd=tree / "lib")
    made.repo.commit("Bump lib", cwd=tree)
    made.repo.git("checkout", "-q", how, before, cwd=made.path / "lib")
    done = made.repo.loki("finish", "x", "--merge", "--ungated")
    assert done.code == 0, done.err
    assert made.repo.git("rev-parse", "main:lib") == bumped
    assert made.repo.git("rev-parse", "HEAD", cwd=made.path / "lib") == (before if how == "-Bmine" else bumped)


@pytest.mark.parametrize("how", ["cone", "patterns", "sparse index", "shared configuration"])
def test_a_gates_worktree_is_never_sparse(repo: Repo, how: str) -> None:
    repo.commit("Files", {"in/a": "a\n", "out/b": "b\n", "out/deep/c": "c\n"})
    made = yard(repo)
    leave_out = "git sparse-checkout set --no-cone '/*' '!/out/' '!/in/' || exit 1\n"
    (made.outside / "gate.sh").write_text(f"cat out/b out/deep/c in/a || exit 1\n{leave_out}")
    if how == "shared configuration":
        repo.git("config", "core.sparseCheckout", "true")
        repo.write(".git/info/sparse-checkout", "/*\n!/out/\n")
        repo.git("read-tree", "-mu", "HEAD")
    elif how == "patterns":
        repo.git("sparse-checkout", "set", "--no-cone", "/*", "!/out/")
    else:
        repo.git("sparse-checkout", "set", "--cone", *(["--sparse-index"] if how == "sparse index" else []), "in")
    assert not (made.path / "out").exists()
    assert outcome_of(made)["outcome"] == "passed"
    assert outcome_of(made, "--again")["outcome"] == "passed", "the gate itself left files out, the first time"
    assert not (made.path / "out").exists()
    assert gate_worktrees(made) == ["project-testing"]


def test_what_git_was_told_not_to_look_at_is_looked_at(repo: Repo) -> None:
    made = yard(repo)
    assert outcome_of(made)["outcome"] == "passed"
    there = made.path.parent / "project-testing"
    repo.git("update-index", "--skip-worktree", "app.py", cwd=there)
    repo.git("update-index", "--assume-unchanged", "README.md", cwd=there)
    (there / "app.py").write_text("somebody's\n")
    (made.outside / "gate.sh").write_text("grep -q hello app.py\n")
    assert outcome_of(made, "--again")["outcome"] == "passed"
    assert (there / "app.py").read_text() == "somebody's\n"


def test_a_partial_clone_gets_what_it_lacks(repo: Repo, tmp_path: Path) -> None:
    yard(repo)
    repo.commit("Files", {"out/b": "b\n"})
    repo.git("config", "uploadpack.allowFilter", "true")
    partial = Repo(tmp_path / "partial")
    repo.git("clone", "-q", "--filter=blob:none", "--sparse", f"file://{repo.path}", str(partial.path))
    assert not (partial.path / "out").exists()
    assert partial.loki("install", "--native").code == 0
    (answer,) = json.loads(partial.loki("test", "--json").out)
    assert answer["outcome"] == "passed"
    assert (tmp_path / "partial-testing" / "out" / "b").read_text() == "b\n"


def test_what_a_run_left_ignored_is_gone_but_for_what_is_kept(made: Yard) -> None:
    repo, there = made.repo, made.path.parent / "project-testing"
    text = (made.path / "loki-hooks.toml").read_text()
    text = text.replace("setup = false", "setup = 'mkdir -p deps; echo x >deps/made'")
    text = text.replace("[gates.unit]", "[gates.unit]\nkeep = ['warm/', '*.cache']")
    repo.commit(
        "Ignore", {".gitignore": "*.o\ndeps/\nout/\n.env\nwarm/\n*.cache\n__pycache__/\n", "loki-hooks.toml": text}
    )
    (made.outside / "gate.sh").write_text(
        f"{{ {LIST}; }} | cut -c43- >'{made.outside}/seen'; test -e deps/made || exit 1\n"
        "mkdir -p out/deep/warm warm; touch a.o out/deep/b.o out/deep/warm/w warm/w x.cache deps/later\n"
    )
    assert outcome_of(made)["outcome"] == "passed"
    (there / "__pycache__").mkdir()
    (there / "__pycache__" / "app.pyc").write_text("what a tool makes anew\n")
    assert outcome_of(made, "--again")["outcome"] == "passed"
    kept = {"./deps/made", "./out/deep/warm/w", "./warm/w", "./x.cache"}
    assert kept <= set(seen(made).split())
    assert not [name for name in seen(made).split() if name.endswith((".o", ".pyc", "later"))]
    assert gate_worktrees(made) == ["project-testing"]
    (there / ".env").write_text("a person's\n")
    assert outcome_of(made, "--again")["outcome"] == "passed"
    assert "./.env" not in seen(made).split(), "it would decide what the gate says"
    assert (there / ".env").read_text() == "a person's\n"
    assert gate_worktrees(made) == ["project-testing", "project-testing-2"]


def test_what_a_killed_run_left_ignored_goes_too(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Ignore", {".gitignore": "*.o\n"})
    (made.outside / "gate.sh").write_text(
        "test ! -e a.o || exit 1; touch a.o; kill -9 $(grep ^PPid /proc/$PPID/status | cut -f2)\n"
    )
    made.repo.loki("test")
    (made.outside / "gate.sh").write_text("test ! -e a.o\n")
    assert outcome_of(made)["outcome"] == "passed"


def test_a_fresh_worktree_for_every_run(made: Yard) -> None:
    config = (made.path / ".git" / "config").read_text()
    text = (made.path / "loki-hooks.toml").read_text()
    text = text.replace("setup = false", "setup = 'echo x >>setups.o'").replace(
        "[gates.unit]", "[gates.unit]\nfresh = true"
    )
    made.repo.commit("Fresh", {".gitignore": "*.o\n", "loki-hooks.toml": text})
    (made.outside / "gate.sh").write_text(
        f"wc -l <setups.o; ls -di . >>'{made.outside}/seen'; test -e lib/lib.py\n{SPOIL}"
    )
    for again in ((), ("--again",)):
        assert outcome_of(made, *again)["outcome"] == "passed"
        assert (made.path.parent / "project-testing" / "setups.o").read_text() == "x\n"
    assert gate_worktrees(made) == ["project-testing"]
    assert (made.path / ".git" / "config").read_text() == config

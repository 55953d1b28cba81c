"""Each case that the classifier must get right, through the command line: what stays, and how merged work is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import Repo
from support.finishing import begun, state_of, verdict
from support.scripted import Yard
from support.troubles import TROUBLES


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def cleanup(made: Yard, cwd: Path | None = None) -> dict[str, tuple[str, str]]:
    """Do `cleanup`; return name → (action, reasons)."""
    done = made.repo.loki("cleanup", "--json", cwd=cwd)
    assert done.code == 0, done.err
    return {e["stream"].removeprefix("feature-"): (e["action"], "; ".join(e["reasons"])) for e in json.loads(done.out)}


def merge(repo: Repo, *names: str) -> None:
    for name in names:
        repo.git("merge", "-q", "--no-ff", "-m", f"Merge {name}", f"feature/{name}")


def test_every_trouble_keeps_a_merged_worktree_and_says_so(repo: Repo, stack: ExitStack) -> None:
    made = begun(repo, *TROUBLES, more="")
    repo.write(".gitignore", ".env\nsecret/\nbuild/\n*.log\n")
    repo.commit("Ignore")
    merge(repo, *TROUBLES)
    for name in TROUBLES:
        if name not in {"lock", "process", "open-file"}:
            repo.git("merge", "-q", "--ff-only", "main", cwd=made.tree_of(name))
    for name, (trouble, _) in TROUBLES.items():
        trouble(repo, made.tree_of(name), stack)
    before = {name: state_of(made.tree_of(name), repo) for name in TROUBLES}
    refs = repo.git("for-each-ref", "refs/heads")
    planned = json.loads(repo.loki("cleanup", "--dry-run", "--json").out)
    found = cleanup(made)
    foreseen = {e["stream"].removeprefix("feature-"): e["action"] for e in planned}
    assert {name: foreseen[name] for name in TROUBLES} == {name: found[name][0] for name in TROUBLES}
    for name, (_, says) in TROUBLES.items():
        assert found[name][0] == "keep", name
        assert says in found[name][1], (name, found[name])
        assert state_of(made.tree_of(name), repo) == before[name], name
    assert repo.git("for-each-ref", "refs/heads") == refs
    assert not repo.git("for-each-ref", "refs/loki/trash")
    assert not list((made.loki_dir / "archive").iterdir())


def test_the_callers_folder_and_what_is_new_stay(repo: Repo) -> None:
    made = begun(repo, "a", more="[cleanup]\nauto = false\n")
    made.open("new")
    merge(repo, "a")
    inside = cleanup(made, cwd=made.tree_of("a"))
    assert "you are in it" in inside["a"][1]
    assert inside["new"] == ("keep", "it has no commit of its own yet: it is new")
    assert made.tree_of("a").is_dir()
    assert cleanup(made)["a"][0] == "remove"
    repo.commit("Go on", {"other.txt": "o"})
    repo.git("merge", "-q", "--ff-only", "main", cwd=made.tree_of("new"))
    assert "it is new" in cleanup(made)["new"][1], "however far it moved"


def test_caches_of_the_configuration(repo: Repo) -> None:
    made = begun(repo, "a", "b", more='[cleanup]\nauto = false\ncaches = ["tmp/cache", "*.tmp"]\n')
    repo.write(".gitignore", "tmp/\n*.tmp\n__pycache__/\nnode_modules/\n.venv/\n")
    repo.commit("Ignore")
    merge(repo, "a", "b")
    for name in ("a", "b"):
        tree = made.tree_of(name)
        repo.git("merge", "-q", "--ff-only", "main", cwd=tree)
        for path in ("x.tmp", "__pycache__/a.pyc", "node_modules/m/i.js", ".venv/bin/x"):
            repo.write(path, "x", tree)
    repo.write("tmp/notes", "mine", made.tree_of("b"))
    found = cleanup(made)
    assert found["a"][0] == "remove", found
    assert "tmp/" in found["b"][1]


def test_what_set_up_made_goes_and_what_was_written_since_stays(repo: Repo) -> None:
    made = begun(repo, more="")
    text = (repo.path / "loki-hooks.toml").read_text()
    command = "mkdir -p gen && echo made > gen/file && echo db > local.db"
    text = text.replace("setup = false", f'setup = "{command}"')
    repo.commit("Set up", {"loki-hooks.toml": text, ".gitignore": "gen/\n*.db\n"})
    made.agent("b", "echo b > b.txt; git add b.txt; git commit -qm b; echo row >> local.db\n")
    made.spawn("a", "b")
    made.run()
    assert not made.tree_of("a").exists()
    assert "local.db" in made.record("b")["reason"]
    assert (made.tree_of("b") / "local.db").read_text() == "db\nrow\n"


def test_a_folder_that_is_only_called_like_a_cache_is_somebodys(repo: Repo) -> None:
    names = ("results", "alone", "beneath", "product", "venv")
    made = begun(repo, *names, more="[cleanup]\nauto = false\n")
    repo.write(".gitignore", "data/\ntarget/\nresults/\nvenv/\n")
    repo.commit("Ignore", {"crate/Cargo.toml": "[package]\n", "build/kept.txt": "k"})
    merge(repo, *names)
    for name in names:
        repo.git("merge", "-q", "--ff-only", "main", cwd=made.tree_of(name))
    repo.write("data/target/labels.csv", "six hours", made.tree_of("results"))
    repo.write("target/labels.csv", "six hours", made.tree_of("alone"))
    repo.write("build/results/labels.csv", "six hours", made.tree_of("beneath"))
    repo.write("crate/target/debug/x", "built", made.tree_of("product"))
    repo.write("venv/pyvenv.cfg", "home = /usr\n", made.tree_of("venv"))
    found = cleanup(made)
    assert {n: a for n, (a, _) in found.items() if n in names} == {
        **dict.fromkeys(("results", "alone", "beneath"), "keep"),
        **dict.fromkeys(("product", "venv"), "remove"),
    }, found


def test_a_repository_in_a_cache_stays_while_it_has_something_of_its_own(repo: Repo) -> None:
    made = begun(repo, "lonely", "pushed", more="[cleanup]\nauto = false\n")
    repo.write(".gitignore", ".venv/\n")
    repo.commit("Ignore")
    merge(repo, "lonely", "pushed")
    for name in ("lonely", "pushed"):
        repo.git("merge", "-q", "--ff-only", "main", cwd=made.tree_of(name))
        library = made.tree_of(name) / ".venv" / "src" / "lib"
        repo.git("clone", "-q", str(repo.path), str(library))
        repo.write("lib.egg-info/PKG-INFO", "x", library)
    mended = made.tree_of("lonely") / ".venv" / "src" / "lib"
    tip = repo.commit("Mend", {"fix.py": "fix"}, cwd=mended)
    found = cleanup(made)
    assert found["pushed"][0] == "remove", found
    assert ".venv/src/lib/" in found["lonely"][1]
    assert repo.loki("finish", "lonely", "--abandon").code == 0
    assert repo.loki("restore", "lonely").code == 0
    assert repo.git("rev-parse", "HEAD", cwd=mended) == tip


# How merged work is recognised ----------------------------------------------------------------------------


def onwards(repo: Repo) -> None:
    """Let the integration branch go on, also in the same file."""
    text = (repo.path / "long.txt").read_text()
    repo.commit("Go on", {"long.txt": text.replace("line 5\n", "LINE 5\n"), "elsewhere.txt": "e"})


def two_commits(repo: Repo, made: Yard, name: str) -> None:
    tree = made.tree_of(name)
    text = (tree / "long.txt").read_text()
    repo.commit("First", {"long.txt": text.replace("line 20\n", f"first {name}\n")}, cwd=tree)
    repo.commit("Second", {f"{name}.bin": "\0binary\n", f"{name}.txt": "t\n"}, cwd=tree)


def long_text() -> str:
    return "".join(f"line {n}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    "how", ["ancestry", "fast-forward", "squash", "squash-onto-other", "squash-edited", "rebase", "cherry-pick"]
)
def test_merged_is_recognised(repo: Repo, how: str) -> None:
    made = begun(repo, more="")
    repo.commit("Long", {"long.txt": long_text()})
    made.open("a")
    two_commits(repo, made, "a")
    if how == "ancestry":
        merge(repo, "a")
    elif how == "fast-forward":
        repo.git("merge", "-q", "--ff-only", "feature/a")
    elif how.startswith("squash"):
        if how == "squash-onto-other":
            repo.commit("Before", {"long.txt": long_text().replace("line 17\n", "another context\n")})
        repo.git("merge", "-q", "--squash", "feature/a")
        if how == "squash-edited":
            repo.write("beside.txt", "also in that commit\n")
            repo.git("add", "beside.txt")
        repo.git("commit", "-q", "-m", "Squashed")
    else:
        onwards(repo)
        first, second = repo.git("rev-list", "--reverse", "main..feature/a").split()
        repo.git("cherry-pick", first)
        if how == "cherry-pick":
            repo.commit("In between", {"between.txt": "b"})
        repo.git("cherry-pick", second)
    onwards(repo)
    text = (repo.path / "long.txt").read_text()
    repo.commit("Over it", {"long.txt": text.replace("first a\n", "and changed again\n")})
    known = {"ancestry": "is in main", "fast-forward": "is in main", "rebase": "copy", "cherry-pick": "copy"}
    says = known.get(how, "squash")
    action, reasons = verdict(made, "a")
    assert action == "remove", reasons
    assert says in reasons
    tip = repo.git("rev-parse", "feature/a")
    made.run()
    assert made.status("a") == "archived"
    assert not made.tree_of("a").exists()
    (event,) = made.events("removed")
    assert says in event["detail"], "the evidence is written down"
    assert repo.git("rev-parse", event["evidence"]["trash"]) == tip


@pytest.mark.parametrize(
    "how", ["some", "squash-reverted", "cherry-reverted", "white-space", "net-nothing", "same-name", "evil-merge"]
)
def test_not_merged_is_not_taken_for_it(repo: Repo, how: str) -> None:
    made = begun(repo, more="")
    repo.commit("Long", {"long.txt": long_text()})
    made.open("a")
    tree = made.tree_of("a")
    if how == "white-space":
        repo.commit("Indent", {"indented.py": "if x:\n    y\n"}, cwd=tree)
        repo.commit("Other", {"indented.py": "if x:\n  y\n"})
    elif how == "net-nothing":
        repo.commit("Add", {"t.txt": "t"}, cwd=tree)
        repo.git("rm", "-q", "t.txt", cwd=tree)
        repo.git("commit", "-q", "-m", "Remove", cwd=tree)
        repo.commit("Unrelated", {"u.txt": "u"})
    elif how == "same-name":
        repo.commit("Work", {"w.txt": "w"}, cwd=tree)
        repo.commit("Merge branch 'feature/a'", {"u.txt": "u"})
    elif how == "evil-merge":
        two_commits(repo, made, "a")
        onwards(repo)
        repo.git("merge", "-q", "--no-commit", "--no-ff", "main", cwd=tree)
        repo.commit("Merge main, and more", {"evil.txt": "only in the merge\n"}, cwd=tree)
        for commit in repo.git("rev-list", "--reverse", "--no-merges", "main..feature/a").split():
            repo.git("cherry-pick", commit)
    else:
        two_commits(repo, made, "a")
        if how == "squash-reverted":
            repo.git("merge", "-q", "--squash", "feature/a")
            repo.git("commit", "-q", "-m", "Squashed")
            repo.git("revert", "--no-edit", "HEAD")
        else:
            commits = repo.git("rev-list", "--reverse", "main..feature/a").split()
            onwards(repo)
            for commit in commits[: 1 if how == "some" else 2]:
                repo.git("cherry-pick", commit)
            if how == "cherry-reverted":
                onwards(repo)
                repo.git("revert", "--no-edit", "HEAD~1")
    onwards(repo)
    action, reasons = verdict(made, "a")
    assert action == "keep", reasons
    assert "not in the integration branch" in reasons
    made.run()
    assert tree.is_dir()
    assert made.status("a") == "open"


def test_a_revert_of_a_real_merge_does_not_unmake_it(repo: Repo) -> None:
    """The commits themselves are in the integration branch: nothing can be lost."""
    made = begun(repo, "a", more="")
    merge(repo, "a")
    repo.git("revert", "--no-edit", "-m", "1", "HEAD")
    assert verdict(made, "a")[0] == "remove"


def test_a_reapplied_squash_counts_again(repo: Repo) -> None:
    made = begun(repo, "a", more="")
    repo.git("merge", "-q", "--squash", "feature/a")
    repo.git("commit", "-q", "-m", "Squashed")
    repo.git("revert", "--no-edit", "HEAD")
    assert verdict(made, "a")[0] == "keep"
    repo.git("revert", "--no-edit", "HEAD")
    assert verdict(made, "a")[0] == "remove"


# Submodules -------------------------------------------------------------------------------------------------


def test_a_worktree_with_an_untouched_submodule_goes_and_one_with_work_stays(repo: Repo) -> None:
    library = Repo(repo.path.parent / "library")
    library.path.mkdir()
    library.git("init", "-q")
    library.commit("Begin", {"lib.c": "int x;\n"})
    made = begun(repo, more="")
    repo.git("submodule", "add", "-q", str(library.path), "lib")
    repo.commit("Add a submodule")
    names = ("untouched", "changed", "committed", "stashed", "uninitialised")
    made.open(*names)
    for name in names:
        tree = made.tree_of(name)
        if name != "uninitialised":
            repo.git("submodule", "update", "-q", "--init", cwd=tree)
        repo.commit(f"Work of {name}", {f"{name}.txt": "w"}, cwd=tree)
    merge(repo, *names)
    repo.write("lib/lib.c", "int y;\n", made.tree_of("changed"))
    inner = made.tree_of("committed") / "lib"
    repo.git("switch", "-q", "-c", "inner", cwd=inner)
    repo.commit("Inner", {"new.c": "int z;\n"}, cwd=inner)
    repo.git("checkout", "-q", "--detach", "HEAD~1", cwd=inner)
    repo.write("lib/lib.c", "int s;\n", made.tree_of("stashed"))
    repo.git("stash", cwd=made.tree_of("stashed") / "lib")
    found = cleanup(made)
    for name in ("changed", "committed", "stashed"):
        assert found[name][0] == "keep", name
        assert "submodules" in found[name][1], found[name]
        assert made.tree_of(name).is_dir()
    for name in ("untouched", "uninitialised"):
        assert not made.tree_of(name).exists(), found[name]
    shutil.rmtree(library.path)

"""Files that we check out are what git would have checked out; what is not plain is left to git."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import Repo

from loki_hooks.errors import LokiError
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.site import Site, discover
from loki_hooks.system.worktrees import populate as populating
from loki_hooks.system.worktrees.registry import WantedWorktree, add_all

MANY = 260


@pytest.fixture
def many(repo: Repo) -> Repo:
    """A repository of more files than are left to git, with everything that a plain tree may have."""
    for n in range(MANY):
        repo.write(f"src/{'ab'[n % 2]}/deep {n % 5}/f{n}.py", f"x = {n}\n" * (n % 40))
    (repo.path / "run.sh").write_text("#!/bin/sh\n")
    (repo.path / "run.sh").chmod(0o755)
    (repo.path / "big.bin").write_bytes(os.urandom(3_000_000))
    (repo.path / "sparse.bin").write_bytes(b"\0" * 200_000)
    (repo.path / "empty").touch()
    (repo.path / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    (repo.path / "naïve 日本.txt").write_text("é")
    (repo.path / "here").symlink_to("src/a")
    (repo.path / "nowhere").symlink_to("../../gone")
    (repo.path / "a.b").write_text("sorts between a and a/")
    (repo.path / "a").mkdir()
    (repo.path / "a" / "x").write_text("x")
    repo.commit("Many")
    return repo


def fill(repo: Repo, count: int = 2, *, commit: str = "HEAD", **names: str) -> tuple[str, list[Path]]:
    """Register worktrees without files and fill them; return why that was left to git, and where they are."""
    git, site = Git(repo.path), discover(repo.path)
    at = repo.git("rev-parse", commit)
    paths = [repo.path.parent / f"w{n}" for n in range(count)]
    for path in paths:
        repo.git("worktree", "add", "-q", "--no-checkout", "--detach", str(path), at)
    assert git.cwd == site.root
    with populating.sources(site, [at] * count) as prepared:
        why = populating.why_git_must(at, {path: git_dir_of(path) for path in paths}, prepared)
    assert not list(site.private.glob("populate-*"))
    return why, paths


def tree(root: Path) -> Mapping[str, tuple[str, int, bytes]]:
    """Return everything in a worktree: path → (kind, permissions, content)."""
    found: dict[str, tuple[str, int, bytes]] = {}
    for base, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(base, name)
            seen = path.lstat()
            if name == ".git" and Path(base) == root:
                continue
            kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
            content = str(path.readlink()).encode() if kind == "link" else path.read_bytes() if kind == "file" else b""
            found[str(path.relative_to(root))] = (kind, stat.S_IMODE(seen.st_mode) if kind != "link" else 0, content)
    return found


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_it_is_what_git_makes_file_for_file(many: Repo, umask: int) -> None:
    before = os.umask(umask)
    try:
        why, paths = fill(many, 3)
        many.git("worktree", "add", "-q", "--detach", "../by-git")
    finally:
        os.umask(before)
    assert why == ""
    expected = tree(many.path.parent / "by-git")
    for path in paths:
        assert tree(path) == expected
        assert many.git("status", "--porcelain", "--ignored", cwd=path) == ""
        assert many.git("diff-files", "--raw", cwd=path) == "", "every stat in the index is the file's"
        assert many.git("write-tree", cwd=path) == many.git("rev-parse", "HEAD^{tree}")
        assert many.git("ls-files", "--stage", cwd=path) == many.git(
            "ls-files", "--stage", cwd=many.path.parent / "by-git"
        )
        assert many.git("fsck", cwd=path) == ""


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_change_that_keeps_size_and_time_is_seen_while_it_could_hide(many: Repo, when: str) -> None:
    """racy-git: a file changed within the tick of its index has the same stat; git must compare its content."""
    why, (path, _) = fill(many)
    assert why == ""
    victim = path / "src" / "b" / "deep 3" / "f33.py"
    if when == "later":
        time.sleep(0.05)
    text = victim.read_text()
    victim.write_text(text.replace("33", "34"))
    assert len(victim.read_text()) == len(text)
    assert many.git("status", "--porcelain", cwd=path) == ' M "src/b/deep 3/f33.py"'


def test_every_racy_entry_is_compared(many: Repo) -> None:
    """The index is not older than its files: those as old as it are compared by content, so none stays wrong."""
    _, (path, _) = fill(many)
    index = git_dir_of(path) / "index"
    newest = max(p.lstat().st_mtime_ns for p in path.rglob("*") if p.is_file())
    assert index.stat().st_mtime_ns >= newest
    os.utime(index, ns=(newest, newest))
    victim = path / "empty"
    victim.write_text("")  # touched, not changed
    assert many.git("status", "--porcelain", cwd=path) == ""


@pytest.mark.parametrize("version", ["2", "4"])
def test_other_index_versions(many: Repo, version: str) -> None:
    many.git("config", "index.version", version)
    why, paths = fill(many)
    assert why == ""
    raw = (git_dir_of(paths[0]) / "index").read_bytes()
    assert raw[7] == int(version)
    assert many.git("status", "--porcelain", cwd=paths[0]) == ""


def test_sha256(tmp_path: Path) -> None:
    made = Repo(tmp_path / "wide")
    made.path.mkdir()
    made.git("init", "-q", "--object-format=sha256")
    made.commit("Many", {f"f{n}": f"{n}\n" for n in range(MANY)})
    why, paths = fill(made)
    assert why == ""
    assert made.git("status", "--porcelain", cwd=paths[1]) == ""


def attributes(repo: Repo, text: str) -> None:
    repo.commit("Attributes", {".gitattributes": text})


@pytest.mark.parametrize(
    "text",
    ["* text=auto\n", "*.sh text eol=lf\n", "*.bin binary\n", "*.py diff=python merge=union\n", "*.md linguist-x\n"],
)
def test_attributes_that_leave_the_bytes_alone(many: Repo, text: str) -> None:
    attributes(many, text)
    why, paths = fill(many)
    many.git("worktree", "add", "-q", "--detach", "../by-git")
    assert why == ""
    assert tree(paths[0]) == tree(many.path.parent / "by-git")
    assert many.git("status", "--porcelain", cwd=paths[0]) == many.git(
        "status", "--porcelain", cwd=many.path.parent / "by-git"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*.py ident\n", "ident"),
        ("*.py text eol=crlf\n", "eol"),
        ("*.bin filter=upper\n", "filter"),
        ("empty working-tree-encoding=UTF-16\n", "working-tree-encoding"),
        ("*.py crlf=auto\n", "crlf"),
    ],
)
def test_attributes_that_do_not_are_left_to_git(many: Repo, text: str, reason: str) -> None:
    attributes(many, text)
    why, paths = fill(many)
    assert reason in why
    assert not (git_dir_of(paths[0]) / "index").exists()


def test_attributes_from_outside_the_tree_count_too(many: Repo) -> None:
    (many.path / ".git" / "info").mkdir(exist_ok=True)
    (many.path / ".git" / "info" / "attributes").write_text("*.py eol=crlf\n")
    why, paths = fill(many)
    assert "eol" in why
    assert not (git_dir_of(paths[0]) / "index").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("core.autocrlf", "true"),
        ("core.symlinks", "false"),
        ("core.eol", "crlf"),
        ("core.ignoreCase", "true"),
        ("core.sparseCheckout", "true"),
    ],
)
def test_settings_that_change_what_is_written_leave_it_to_git(many: Repo, key: str, value: str) -> None:
    many.git("config", key, value)
    assert fill(many)[0] == key.lower()


def test_a_file_system_monitor_changes_nothing_and_is_not_asked(many: Repo) -> None:
    """It tells what changed, not what is written; and no git of ours asks one."""
    asked = many.path.parent / "asked"
    monitor = many.path.parent / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch '{asked}'\nprintf 'now\\0'\n")
    monitor.chmod(0o755)
    many.git("config", "core.fsmonitor", str(monitor))
    many.git("worktree", "add", "-q", "--detach", "../by-git")
    asked.unlink(missing_ok=True)
    why, paths = fill(many)
    assert (why, asked.exists()) == ("", False)
    assert tree(paths[0]) == tree(many.path.parent / "by-git")
    assert many.git("status", "--porcelain", cwd=paths[0]) == ""
    (paths[0] / "empty").write_text("not any more")
    many.git("config", "--unset", "core.fsmonitor")
    assert many.git("status", "--porcelain", cwd=paths[0]) == " M empty"


def test_a_setting_that_only_some_worktrees_have(many: Repo, sealed_home: Path) -> None:
    (sealed_home / "crlf").write_text("[core]\n\teol = crlf\n\tautocrlf = true\n")
    config = sealed_home / ".gitconfig"
    config.write_text(config.read_text() + f'[includeIf "gitdir:**/worktrees/w1"]\n\tpath = {sealed_home / "crlf"}\n')
    assert fill(many)[0] == "includeIf"


def test_a_submodule_and_a_worktree_with_something_in_it_are_left_to_git(many: Repo) -> None:
    many.git("update-index", "--add", "--cacheinfo", f"160000,{many.git('rev-parse', 'HEAD')},sub")
    many.git("commit", "-qm", "Submodule")
    why, _ = fill(many)
    assert "160000" in why


def want(repo: Repo, *names: str) -> dict[Path, LokiError]:
    site, at = discover(repo.path), repo.git("rev-parse", "HEAD")
    return add_all(site, [WantedWorktree(repo.path.parent / name, name, at, new_branch=True) for name in names])


@pytest.mark.parametrize("kind", ["filter", "crlf", "plain", "small"])
def test_whoever_does_it_the_worktrees_are_right(many: Repo, kind: str) -> None:
    """The same question for the whole way, with what only git can do in it."""
    if kind == "filter":
        many.git("config", "filter.upper.smudge", "tr a-z A-Z")
        many.git("config", "filter.upper.clean", "tr A-Z a-z")
        many.commit("Filter", {".gitattributes": "*.up filter=upper\n", "x.up": "shout\n"})
    elif kind == "crlf":
        many.git("config", "core.autocrlf", "true")
    elif kind == "small":
        many.git("rm", "-rq", "src")
        many.commit("Few files")
    many.git("worktree", "add", "-q", "--detach", "../by-git")
    assert want(many, "one", "two", "three") == {}
    expected = tree(many.path.parent / "by-git")
    for name in ("one", "two", "three"):
        there = many.path.parent / name
        assert tree(there) == expected
        assert many.git("status", "--porcelain", cwd=there) == many.git(
            "status", "--porcelain", cwd=many.path.parent / "by-git"
        )
        assert many.git("symbolic-ref", "HEAD", cwd=there) == f"refs/heads/{name}"
    if kind == "filter":
        assert (many.path.parent / "one" / "x.up").read_text() == "SHOUT\n"


def test_one_that_cannot_be_made_costs_the_others_nothing(many: Repo) -> None:
    many.git("branch", "two")
    (many.path.parent / "three").write_text("in the way")
    failed = want(many, "one", "two", "three", "four")
    assert {path.name for path in failed} == {"two", "three"}
    assert all("exists already" in error.message for error in failed.values())
    for name in ("one", "four"):
        assert many.git("status", "--porcelain", cwd=many.path.parent / name) == ""
    assert many.git("rev-parse", "two") == many.git("rev-parse", "main"), "somebody's branch stays"


def test_where_files_cannot_be_read_nothing_is_left(many: Repo) -> None:
    """A blob that cannot be read fails the checkout of all: worktrees, branches and folders are taken back."""
    victim = many.git("rev-parse", "HEAD:run.sh")
    (many.path / ".git" / "objects" / victim[:2] / victim[2:]).unlink()
    failed = want(many, "one", "two")
    assert {path.name for path in failed} == {"one", "two"}
    assert not (many.path.parent / "one").exists()
    assert many.git("branch", "--format=%(refname:short)") == "main"
    assert len(many.git("worktree", "list").splitlines()) == 1


def test_what_a_dead_process_prepared_is_swept(many: Repo) -> None:
    site: Site = discover(many.path)
    left = site.private / "populate-999999"
    left.mkdir(parents=True)
    assert want(many, "one", "two") == {}
    assert not left.exists()

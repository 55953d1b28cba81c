"""The conflict radar on real repositories: what it sees, what it leaves as it is, and that it merges nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import Repo, eventually
from support.scripted import Yard, snapshot, yard

from loki_hooks.actions.radar.notices import write_notices
from loki_hooks.actions.radar.survey import survey
from loki_hooks.actions.reconcile.gather import gather
from loki_hooks.actions.train.look import Memory
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.git import snapshots

BASE = "".join(f"line {n}\n" for n in range(20))


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


@pytest.fixture
def merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git on PATH that writes down what it is asked, before it does it; returns the log."""
    folder = tmp_path / "spy"
    folder.mkdir()
    log = tmp_path / "git.log"
    real = shutil.which("git")
    (folder / "git").write_text(f'#!/bin/sh\necho "$*" >> "{log}"\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


def count(log: Path, word: str) -> int:
    """Return how many git processes did ``word`` so far, and forget them."""
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return sum(1 for line in lines if word in line.split())


def two(repo: Repo, *names: str, more: str = "") -> Yard:
    made = yard(repo, more=more)
    files = {"shared.txt": BASE, "d/x.txt": BASE, "d/y.txt": BASE, "run.sh": "echo\n", "bin": "\0\1\2" * 50}
    repo.commit("Files", files)
    made.open(*(names or ("a", "b")))
    return made


def status(made: Yard) -> dict[str, dict[str, Any]]:
    done = made.repo.loki("status", "--json")
    assert done.code == 0, done.err
    return {s["name"]: s for s in json.loads(done.out)["streams"]}


def radar_file(made: Yard) -> Path:
    return made.loki_dir / "state" / "radar.json"


def edit(made: Yard, name: str, file: str, line: str) -> None:
    path = made.tree_of(name) / file
    path.write_text(path.read_text().replace("line 5\n", f"{line}\n"))


# What it sees ----------------------------------------------------------------------------------------------


def test_uncommitted_work_conflicts_and_its_files_are_named(repo: Repo) -> None:
    made = two(repo, "a", "b", "c")
    edit(made, "a", "shared.txt", "from a")
    edit(made, "b", "shared.txt", "from b")
    edit(made, "c", "d/x.txt", "from c")
    found = status(made)
    assert found["a"]["conflicts"] == ["b"]
    assert found["a"]["conflict_files"] == {"b": ["shared.txt"]}
    assert found["b"]["conflict_files"] == {"a": ["shared.txt"]}
    assert found["c"]["conflicts"] == []
    assert [found[n]["dirty"] for n in "abc"] == [True] * 3
    assert "b (shared.txt)" in made.repo.loki("status", env={"COLUMNS": "200"}).out


def test_untracked_files_and_staged_ones_count_and_deleted_ones_too(repo: Repo) -> None:
    made = two(repo, "a", "b", "c", "d")
    repo.write("new.txt", "from a\n", made.tree_of("a"))
    repo.write("new.txt", "from b\n", made.tree_of("b"))
    repo.git("add", "new.txt", cwd=made.tree_of("b"))
    (made.tree_of("c") / "d/x.txt").unlink()
    edit(made, "d", "d/x.txt", "from d")
    found = status(made)
    assert found["a"]["conflict_files"] == {"b": ["new.txt"]}
    assert found["c"]["conflict_files"] == {"d": ["d/x.txt"]}


@pytest.mark.parametrize("committed", [False, True])
def test_renames_folders_modes_binaries_and_links_conflict_as_git_says(repo: Repo, committed: bool) -> None:
    made = two(repo, "a", "b")
    a, b = made.tree_of("a"), made.tree_of("b")
    (a / "d/x.txt").rename(a / "d/one.txt")
    (b / "d/x.txt").rename(b / "d/two.txt")
    repo.write("where", "a file\n", a)
    repo.write("where/in/it.txt", "a folder\n", b)
    (a / "bin").write_bytes(b"\0\1\3" * 50)
    (b / "bin").write_bytes(b"\0\1\4" * 50)
    (a / "new.sh").write_text("same\n")
    (b / "new.sh").write_text("same\n")
    (b / "new.sh").chmod(0o755)
    (a / "run.sh").unlink()
    (a / "run.sh").symlink_to("bin")
    edit(made, "b", "shared.txt", "only b")
    (b / "run.sh").write_text("echo b\n")
    if committed:
        repo.commit("A", cwd=a)
        repo.commit("B", cwd=b)
    found = status(made)["a"]["conflict_files"]["b"]
    assert {"d/x.txt", "d/one.txt", "d/two.txt", "where", "bin", "new.sh", "run.sh"} == set(found)


def test_a_new_file_in_a_folder_that_the_other_renamed(repo: Repo) -> None:
    """Nothing that both touched, and yet git does not know where the file goes: why no pair is left unmerged."""
    made = two(repo, "a", "b")
    repo.git("mv", "d", "e", cwd=made.tree_of("a"))
    repo.write("d/z.txt", "new\n", made.tree_of("b"))
    assert status(made)["a"]["conflicts"] == ["b"]


def test_the_integration_branch_is_one_of_those_to_conflict_with(repo: Repo) -> None:
    made = two(repo, "a")
    edit(made, "a", "shared.txt", "from a")
    repo.commit("Meanwhile", {"shared.txt": BASE.replace("line 5\n", "from main\n")})
    assert status(made)["a"]["conflict_files"] == {"main": ["shared.txt"]}


def test_histories_that_have_nothing_in_common_hide_nobody_elses_conflict(repo: Repo) -> None:
    made = two(repo, "a", "b", "c")
    for name in ("a", "b"):
        edit(made, name, "shared.txt", f"from {name}")
    there = made.tree_of("c")
    repo.git("checkout", "-q", "--orphan", "other", cwd=there)
    repo.commit("Anew", {"shared.txt": "quite different\n"}, cwd=there)
    repo.git("branch", "-f", "feature/c", "other")
    found = status(made)
    assert found["a"]["conflicts"] == ["b"]
    assert found["c"]["conflicts"] == ["main"]


def test_additions_to_a_changelog_are_no_conflict_and_both_land_later(repo: Repo) -> None:
    made = two(repo, "a", "b")
    for name in ("a", "b"):
        repo.commit("Log", {"CHANGELOG.md": f"- {name}\n"}, cwd=made.tree_of(name))
    assert status(made)["a"]["conflicts"] == []


# Whom it accuses -------------------------------------------------------------------------------------------


def test_who_conflicts_with_the_integration_branch_is_not_said_to_conflict_with_all_that_follow_it(repo: Repo) -> None:
    made = two(repo, "late", "a", "b")
    edit(made, "late", "shared.txt", "from late")
    repo.commit("Meanwhile", {"shared.txt": BASE.replace("line 5\n", "from main\n")})
    for name in ("a", "b"):
        repo.git("merge", "-q", "main", cwd=made.tree_of(name))
    repo.commit("A", {"a.txt": "a"}, cwd=made.tree_of("a"))
    edit(made, "a", "d/x.txt", "from a")
    edit(made, "late", "d/x.txt", "late too")
    found = status(made)
    assert found["late"]["conflict_files"] == {"a": ["d/x.txt"], "main": ["shared.txt"]}
    assert found["a"]["conflict_files"] == {"late": ["d/x.txt"]}
    assert found["b"]["conflicts"] == [], "it is where the integration branch is"


FILES = {f"f{n}": [f"f{n} line {line}" for line in range(9)] for n in range(3)}


def _change(random: Random, tree: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the tree after one edit, removal, addition or renaming."""
    tree = {path: list(lines) for path, lines in tree.items()}
    path, how = random.choice(sorted(tree)), random.randrange(10)
    if how < 6:
        tree[path][random.randrange(len(tree[path]))] = f"edited {random.randrange(3)}"
    elif how < 7 and len(tree) > 1:
        del tree[path]
    elif how < 8:
        tree[random.choice(["new", "f0/in"])] = [f"new {random.randrange(2)}"]
    else:
        tree[random.choice(["f3", "f4"])] = tree.pop(path)
    return {path: lines for path, lines in tree.items() if not any(other.startswith(f"{path}/") for other in tree)}


def _world(repo: Repo, seed: int) -> dict[str, str]:
    """Make random branches that begin at random commits of one another; return name → commit, '' the integration branch's."""
    random = Random(seed)
    trees, log = [FILES], []
    ends: dict[str, int] = {}
    for name, starts, length in [("", [0], random.randint(1, 3)), *((n, None, random.randint(1, 2)) for n in "abcd")]:
        at = (starts or [random.choice([0, *range(len(trees)), ends[""]])])[0]
        for _ in range(length):
            log.append((len(trees), at))
            trees.append(_change(random, trees[at]))
            at = len(trees) - 1
        ends[name] = at
    stream = []
    for number, parent in [(0, None), *log]:
        stream += [f"commit refs/world/{number}", f"mark :{number + 1}", "committer T <t@example.invalid> 0 +0000"]
        stream += ["data 0", *([] if parent is None else [f"from :{parent + 1}"]), "deleteall"]
        for path, lines in trees[number].items():
            text = "\n".join(lines) + "\n"
            stream += [f"M 100644 inline {path}", f"data {len(text)}", text]
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"],
        cwd=repo.path,
        input="\n".join(stream) + "\n",
        text=True,
        check=True,
    )
    ids = dict(
        line.split()
        for line in repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/world").splitlines()
    )
    return {name: ids[f"refs/world/{at}"] for name, at in ends.items()}


def _by_git(repo: Repo, a: str, b: str) -> set[str]:
    """Return what merging the two conflicts in, asked of git itself."""
    done = repo.try_git("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", a, b)
    paths = done.out.split("\0")[1:-1] if done.code == 1 else []
    return {path.partition("~")[0] for path in paths}


def _radar(made: Yard, tips: dict[str, str]) -> dict[str, dict[str, set[str]]]:
    records = [StreamRecord("feature", name, Status.READY) for name in tips if name]
    seen = survey(made.context(), records, {f"feature-{n}": tip for n, tip in tips.items() if n}, tips[""])
    return {
        name: {
            other.removeprefix("feature-"): set(files)
            for other, files in seen.conflicts.get(f"feature-{name}", {}).items()
        }
        for name in tips
        if name
    }


@pytest.mark.parametrize("seed", [5, 8, 12, 16, 20, 21])
def test_a_pair_is_told_of_what_neither_conflicts_in_with_the_integration_branch(repo: Repo, seed: int) -> None:
    made = yard(repo)
    tips = _world(repo, seed)
    found = _radar(made, tips)
    alone = {name: _by_git(repo, tips[""], tip) for name, tip in tips.items()}
    for a, others in found.items():
        assert others.get("", set()) == alone[a]
        for b in set(found) - {a}:
            wanted = set() if tips[""] in {tips[a], tips[b]} else _by_git(repo, *sorted((tips[a], tips[b])))
            assert others.get(b, set()) == wanted - alone[a] - alone[b], (a, b)
    for a in found:  # who is where the integration branch is has no part in any conflict
        there = _radar(made, {**tips, a: tips[""]})
        assert there[a] == {}
        assert all(a not in others for others in there.values())


# What it leaves out ----------------------------------------------------------------------------------------


def test_secrets_ignored_huge_and_copied_files_are_in_no_snapshot(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    made = two(repo, "a")
    there = made.tree_of("a")
    for name in (".env", "key.pem", "x.log", "secret/y", "copied.txt", "huge.bin", "plain.txt"):
        repo.write(name, name * (1 if name != "huge.bin" else 2000), there)
    monkeypatch.setattr(snapshots, "MAX_BYTES", 10_000)
    seen = snapshots.look(there, lambda path: path in {"copied.txt", ".env", "key.pem"})
    assert seen is not None
    assert seen.paths == ("plain.txt",)
    with snapshots.borrowed_objects(made.context().site.common) as objects:
        commit = snapshots.snapshot(there, seen.head, seen.paths, objects)
        assert commit is not None
        names = set(repo.git("ls-tree", "-r", "--name-only", commit, env=objects).splitlines())
    assert names - set(repo.git("ls-tree", "-r", "--name-only", "main").splitlines()) == {"plain.txt"}


def test_where_another_branch_is_checked_out_or_a_rebase_goes_on_only_commits_count(repo: Repo) -> None:
    made = two(repo, "a", "b")
    edit(made, "a", "shared.txt", "from a")
    there = made.tree_of("b")
    repo.git("switch", "-q", "-c", "elsewhere", cwd=there)
    edit(made, "b", "shared.txt", "from b")
    found = status(made)
    assert found["a"]["conflicts"] == []
    assert found["b"]["dirty"] is True


# What it leaves as it is -----------------------------------------------------------------------------------


def traces(made: Yard) -> dict[str, Any]:
    """Return everything of the repository that a look at it must not change."""
    common = made.path / ".git"
    indexes = [common / "index", *sorted(common.glob("worktrees/*/index"))]
    objects = sorted(str(p.relative_to(common)) for p in (common / "objects").rglob("*"))
    return {
        "files": {name: snapshot(made.tree_of(name)) for name in ("a", "b")},
        "indexes": [(str(p), hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in indexes],
        "git dirs": sorted(str(p) for p in (common / "worktrees").rglob("*")),
        "refs": made.repo.git("for-each-ref"),
        "stash": made.repo.git("stash", "list"),
        "objects": objects,
    }


def test_worktree_index_stash_refs_and_objects_are_as_before(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = two(repo)
    edit(made, "a", "d/y.txt", "stashed")
    repo.git("stash", cwd=made.tree_of("a"))
    edit(made, "a", "shared.txt", "from a")
    repo.git("add", "shared.txt", cwd=made.tree_of("a"))
    edit(made, "a", "d/x.txt", "not staged")
    edit(made, "b", "shared.txt", "from b")
    repo.write("untracked.txt", "x\n", made.tree_of("b"))
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    before = traces(made)
    assert status(made)["a"]["conflict_files"] == {"b": ["shared.txt"]}
    made.repo.loki("status")
    assert traces(made) == before
    assert not list((tmp_path / "t").iterdir())


def test_a_split_index_stays_split(repo: Repo) -> None:
    made = two(repo)
    there = made.tree_of("a")
    repo.git("update-index", "--split-index", cwd=there)
    edit(made, "a", "shared.txt", "from a")
    edit(made, "b", "shared.txt", "from b")
    before = traces(made)
    assert status(made)["a"]["conflicts"] == ["b"]
    assert traces(made) == before


# That it is cheap ------------------------------------------------------------------------------------------


def test_what_is_known_is_not_merged_again(repo: Repo, merges: Path) -> None:
    made = two(repo, "a", "b", "c")
    for name in ("a", "b", "c"):
        edit(made, name, "shared.txt", f"from {name}")
    repo.commit("C", cwd=made.tree_of("c"))
    count(merges, "merge-tree")
    cold = status(made)
    assert count(merges, "merge-tree") == 2  # every pair in one; each tip on the integration branch in another
    assert status(made) == cold
    log = merges.read_text()
    assert "merge-tree" not in log
    assert "update-index" not in log
    count(merges, "merge-tree")
    edit(made, "a", "d/x.txt", "more of a")
    assert status(made)["a"]["conflicts"] == ["b", "c"]
    log = merges.read_text()
    assert sum("merge-tree" in line for line in log.splitlines()) == 1
    assert sum("commit-tree" in line for line in log.splitlines()) == 2  # a is new, and b is merged with it


def test_a_change_that_looks_the_same_in_size_and_time_is_seen(repo: Repo) -> None:
    made = two(repo)
    path = made.tree_of("a") / "shared.txt"
    edit(made, "a", "shared.txt", "line A")
    edit(made, "b", "shared.txt", "line B")
    assert status(made)["a"]["conflicts"] == ["b"]
    times = path.stat()
    path.write_text(path.read_text().replace("line A", "line B"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert status(made)["a"]["conflicts"] == []


DAMAGED = ["", "{", "[]", "\0", '{"version": 1, "pairs": [1]}', '{"version": 1, "looks": {"feature-a": 3}}']


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_memory_is_made_anew(repo: Repo, content: str) -> None:
    made = two(repo)
    edit(made, "a", "shared.txt", "from a")
    edit(made, "b", "shared.txt", "from b")
    radar_file(made).write_text(content)
    assert status(made)["a"]["conflicts"] == ["b"]
    assert json.loads(radar_file(made).read_text())["version"] == 1


def test_pairs_of_streams_that_are_gone_are_forgotten(repo: Repo) -> None:
    made = two(repo, "a", "b", "c")
    for name in ("a", "b", "c"):
        repo.commit("Work", {f"{name}.txt": name}, cwd=made.tree_of(name))
    status(made)
    known = json.loads(radar_file(made).read_text())
    assert sum(len(others) for others in known["pairs"].values()) == 6  # three streams and the integration branch
    repo.commit("More", {"a.txt": "more"}, cwd=made.tree_of("a"))
    status(made)
    again = json.loads(radar_file(made).read_text())
    assert sum(len(others) for others in again["pairs"].values()) == 6
    assert again["pairs"] != known["pairs"]


def test_a_repository_without_loki_is_not_written_to(repo: Repo) -> None:
    done = repo.loki("status", "--json")
    assert done.code == 0
    assert not (repo.path / ".loki" / "state" / "radar.json").exists()


# Who is told -----------------------------------------------------------------------------------------------


def test_a_pass_leaves_a_line_for_the_next_commit_and_takes_it_away_again(repo: Repo) -> None:
    made = two(repo)
    edit(made, "a", "shared.txt", "from a")
    edit(made, "b", "shared.txt", "from b")
    made.once()
    notices = made.loki_dir / "state" / "notices"
    line = (notices / "commit-feature-a").read_text()
    assert line == "feature/a will conflict with b (shared.txt)\n"
    repo.git("checkout", "-q", "--", "shared.txt", cwd=made.tree_of("b"))
    status(made)
    write_notices(made.context())
    assert not (notices / "commit-feature-a").exists()


@pytest.mark.slow
def test_the_commit_hook_warns_in_one_line(repo: Repo) -> None:
    made = two(repo)
    assert repo.loki("install", "--native").code == 0
    edit(made, "a", "shared.txt", "from a")
    repo.git("commit", "-qam", "A", cwd=made.tree_of("a"))
    edit(made, "b", "shared.txt", "from b")
    repo.git("commit", "-qam", "B", cwd=made.tree_of("b"))
    notice = made.loki_dir / "state" / "notices" / "commit-feature-b"
    eventually(notice.exists, what="the radar to have looked")
    done = repo.try_git("commit", "-q", "--allow-empty", "-m", "More", cwd=made.tree_of("b"))
    assert done.code == 0
    assert done.err.splitlines() == ["loki-hooks: feature/b will conflict with a (shared.txt)"]
    made.quiet()


def test_a_second_pass_at_once_looks_into_no_worktree(repo: Repo, merges: Path) -> None:
    made = two(repo)
    edit(made, "a", "shared.txt", "from a")
    write_notices(made.context())
    assert count(merges, "status") >= 2
    write_notices(made.context())
    assert count(merges, "status") == 0
    repo.commit("B", {"b.txt": "b"}, cwd=made.tree_of("b"))
    count(merges, "status")
    write_notices(made.context())
    assert count(merges, "status") >= 2


def test_the_train_takes_those_that_conflict_with_nobody_first(repo: Repo, merges: Path) -> None:
    made = two(repo, "a", "b", "c", "d")
    for name in ("a", "b"):
        edit(made, name, "shared.txt", f"from {name}")
        repo.commit("Work", cwd=made.tree_of(name))
        made.ready(name)
    for name in ("c", "d"):
        made.work(name, {f"{name}.txt": name})
    (made.outside / "gate-wait").write_text("1")
    made.once()
    count(merges, "merge-tree")
    facts = gather(made.context(), Memory())
    assert facts.train is not None
    assert [car.stream for car in facts.train.cars] == ["feature-c", "feature-d", "feature-a"]
    made.run()
    assert made.landed() == ["c", "d", "a"]
    assert made.status("b") == "conflicted"

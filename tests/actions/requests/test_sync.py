"""`sync`: up to date when nobody works there; on a conflict everything is as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from support.finishing import begun, state_of


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def test_rebase_is_the_default_and_the_stream_stays_a_stream_with_work(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.commit("Go on", {"other.txt": "o"})
    done = repo.loki("sync", "a")
    assert done.code == 0, done.err
    assert repo.git("rev-list", "--count", "main..feature/a") == "1"
    assert repo.git("rev-parse", "feature/a~1") == repo.git("rev-parse", "main")
    assert made.record("a")["base"] == repo.git("rev-parse", "main", "refs/loki/base/feature-a").split()[1]
    assert made.status("a") == "open"
    assert "up to date" in repo.loki("sync", "a").err
    made.ready("a")
    made.run()
    assert made.landed() == ["a"]


def test_merge_by_configuration(repo: Repo) -> None:
    made = begun(repo, "a", more='[sync]\nhow = "merge"\n')
    tip = repo.git("rev-parse", "feature/a")
    repo.commit("Go on", {"other.txt": "o"})
    assert repo.loki("sync", "a").code == 0
    assert repo.git("rev-parse", "feature/a^1", "feature/a^2").split() == [tip, repo.git("rev-parse", "main")]
    assert made.record("a")["base"] == repo.git("rev-parse", "main")


def test_a_stream_without_work_just_moves_and_stays_new(repo: Repo) -> None:
    made = begun(repo)
    made.open("a")
    repo.commit("Go on", {"other.txt": "o"})
    assert repo.loki("sync", "a").code == 0
    assert repo.git("rev-parse", "feature/a") == repo.git("rev-parse", "main")
    made.run()
    assert made.status("a") == "open"
    assert made.tree_of("a").is_dir()


def test_inside_a_worktree_it_means_that_stream(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.commit("Go on", {"other.txt": "o"})
    done = repo.loki("sync", cwd=made.tree_of("a"))
    assert done.code == 0, done.err
    assert repo.try_git("merge-base", "--is-ancestor", "main", "feature/a").code == 0
    assert repo.loki("sync").code == 2


@pytest.mark.parametrize("how", ["rebase", "merge"])
def test_a_conflict_is_named_and_everything_is_as_it_was(repo: Repo, how: str) -> None:
    made = begun(repo, "a", more=f'[sync]\nhow = "{how}"\n')
    tree = made.tree_of("a")
    repo.commit("Fine", {"fine.txt": "f"}, cwd=tree)
    repo.commit("Theirs", {"app.py": "theirs\n"}, cwd=tree)
    repo.write("secret/db", "precious\n", tree)
    repo.commit("Ours", {"app.py": "ours\n", "other.txt": "o"})
    before = state_of(tree, repo)
    done = repo.loki("sync", "a")
    assert done.code == 1
    assert "conflicts in app.py" in done.err
    assert "Theirs" in done.err or how == "merge"
    assert state_of(tree, repo) == before
    git_dir = Path(repo.git("rev-parse", "--absolute-git-dir", cwd=tree))
    traces = ("rebase-merge", "rebase-apply", "MERGE_HEAD", "index.lock")
    assert not [name for name in traces if (git_dir / name).exists()]
    assert (tree / "secret" / "db").read_text() == "precious\n"


@pytest.mark.parametrize("trouble", ["modified", "staged", "untracked", "process", "rebase", "detached", "lock"])
def test_it_is_refused_while_somebody_works_there(repo: Repo, trouble: str) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    repo.commit("Go on", {"other.txt": "o"})
    sleeper: subprocess.Popen[bytes] | None = None
    says = {
        "modified": "uncommitted",
        "staged": "uncommitted",
        "untracked": "untracked",
        "process": "somebody works",
        "rebase": "rebase is in progress",
        "detached": "not checked out",
        "lock": "locked",
    }[trouble]
    if trouble in {"modified", "staged"}:
        repo.write("a.txt", "changed\n", tree)
        if trouble == "staged":
            repo.git("add", "a.txt", cwd=tree)
    elif trouble == "untracked":
        repo.write("new.txt", "n\n", tree)
    elif trouble == "process":
        sleeper = subprocess.Popen(["sleep", "60"], cwd=tree)
    elif trouble == "rebase":
        (Path(repo.git("rev-parse", "--absolute-git-dir", cwd=tree)) / "rebase-merge").mkdir()
    elif trouble == "lock":
        repo.git("worktree", "lock", "--reason", "on a stick", str(tree))
    else:
        repo.git("switch", "-q", "--detach", cwd=tree)
    tip = repo.git("rev-parse", "feature/a")
    files = repo.git("status", "--porcelain", cwd=tree)
    done = repo.loki("sync", "a")
    if sleeper is not None:
        sleeper.kill()
        sleeper.wait()
    assert done.code == 1
    assert says in done.err
    assert (repo.git("rev-parse", "feature/a"), repo.git("status", "--porcelain", cwd=tree)) == (tip, files)


def test_a_live_session_is_not_rebased_under_its_feet(repo: Repo) -> None:
    made = begun(repo)
    made.agent("a", "sleep 60\n")
    made.spawn("a")
    made.wait_for("a", "running")
    repo.commit("Go on", {"other.txt": "o"})
    done = repo.loki("sync", "a")
    assert done.code == 1
    assert "alive" in done.err
    repo.loki("stop", "a")
    made.quiet()


def test_merges_on_the_branch_survive_a_rebase(repo: Repo) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    repo.git("switch", "-q", "-c", "side", "HEAD~1", cwd=tree)
    repo.commit("Side", {"side.txt": "s"}, cwd=tree)
    repo.git("switch", "-q", "feature/a", cwd=tree)
    repo.git("merge", "-q", "--no-ff", "-m", "Merge side", "side", cwd=tree)
    repo.commit("Go on", {"other.txt": "o"})
    assert repo.loki("sync", "a").code == 0
    assert repo.git("rev-list", "--count", "--merges", "main..feature/a") == "1"
    assert {"a.txt", "side.txt", "other.txt"} <= set(repo.git("ls-files", cwd=tree).splitlines())

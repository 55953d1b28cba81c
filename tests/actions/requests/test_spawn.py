"""Spawning: what it says, what it refuses, what it leaves when many do it at once or it is killed anywhere."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, call, eventually
from support.scripted import Yard, snapshot, turn_on, yard

from loki_hooks.actions.streams.plan import Request, plan_streams
from loki_hooks.errors import LokiError

LOKI = str(SCRIPTS / "loki-hooks")
OVERLAP = """\
d='{outside}/at-work'; mkdir -p "$d"; touch "$d/$1"
ls "$d" | wc -l >> '{outside}/overlap'
sleep 0.4
rm "$d/$1"
echo "$1" >> '{outside}/done'
echo "work of $1" > "$1.txt"; git add "$1.txt"; git commit -q -m "Add $1"
"""


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def worktrees(repo: Repo) -> dict[str, str]:
    """Return path → branch of every worktree."""
    found = {}
    for block in repo.git("worktree", "list", "--porcelain").split("\n\n"):
        fields = dict(line.partition(" ")[::2] for line in block.splitlines())
        found[fields["worktree"]] = fields.get("branch", "")
    return found


def test_the_answer_has_what_others_build_on(repo: Repo) -> None:
    made = yard(repo, cap=1)
    made.agent("auth", "sleep 30\n")
    (first, second) = made.spawn("auth", "api", "--task", "Do it")
    assert set(first) >= {"name", "stream", "branch", "path", "status", "pid", "error"}
    assert (first["name"], first["stream"], first["branch"]) == ("auth", "feature-auth", "feature/auth")
    assert first["path"] == str(repo.path.parent / "project-feature-auth")
    assert (first["status"], second["status"]) == ("running", "queued")
    assert (first["error"], second["error"], second["pid"]) == (None, None, None)
    assert Path(f"/proc/{first['pid']}").exists()
    assert (repo.signals / "SPAWN_QUEUED_feature-api").exists()
    again = repo.loki("spawn", "auth")
    assert again.code == 1
    assert "already running" in again.err
    assert repo.loki("spawn", "api").code == 1
    assert repo.loki("stop", "auth").code == 0
    repo.loki("stop", "api")
    made.quiet()


def test_all_that_is_wrong_is_found_before_anything_is_made(repo: Repo) -> None:
    made = yard(repo)
    repo.git("branch", "feature/taken")
    repo.git("branch", "tip")
    (repo.path.parent / "project-feature-full").mkdir()
    (repo.path.parent / "project-feature-full" / "mine").touch()
    before = repo.git("for-each-ref"), snapshot(repo.path.parent), worktrees(repo)
    typed = {
        ("taken",): (1, "exists already"),
        ("x", "--agent", "scriptd"): (2, "did you mean scripted"),
        ("ok", "../bad"): (2, "not a name"),
        ("x", "--task", "a", "--prompt-file", "b"): (2, "exclude"),
        ("x", "--prompt-file", "nowhere"): (2, "no file"),
        (): (2, "needs a NAME"),
    }
    for words, (code, text) in typed.items():
        done = repo.loki("spawn", *words)
        assert (done.code, done.out) == (code, ""), (words, done)
        assert text in done.err, (words, done.err)
        assert "Traceback" not in done.err
    asked = {
        Request(("full",)): (1, "exists already"),
        Request(("x",), base="nowhere"): (2, "no commit"),
        Request(("x",), base="--all"): (2, "no commit"),
        Request(("x",), branch="nowhere"): (2, "no branch"),
        Request(("x",), branch="main"): (1, "integration branch"),
        Request(("x", "y"), branch="tip"): (2, "one name"),
        Request(("x",), after=("nobody",)): (2, "no stream"),
        Request(("x",), kind="featur"): (2, "no kind"),
        Request(("x",), task="a\0b"): (2, "binary"),
        Request(("x", "x")): (1, "already"),
        Request(("x", "X")): (1, "clashes"),
        Request(("a/b", "a-b")): (1, "clashes"),
    }
    for request, (code, text) in asked.items():
        with pytest.raises(LokiError) as caught:
            plan_streams(made.context(), request)
        assert caught.value.exit_code == code, request
        assert text in f"{caught.value.message} {caught.value.hint}", request
    assert (repo.git("for-each-ref"), snapshot(repo.path.parent), worktrees(repo)) == before


def test_a_branch_that_git_cannot_make_is_reported_and_leaves_nothing(repo: Repo) -> None:
    made = yard(repo)
    repo.git("branch", "feature")  # refs/heads/feature is a file: feature/x cannot be
    before = repo.git("for-each-ref"), worktrees(repo)
    for words in ((), ("--dry-run",)):
        done = repo.loki("spawn", "x", "--no-launch", *words)
        assert done.code == 1
        assert "there cannot be a branch feature/x beside the branch feature" in done.err
        assert (repo.git("for-each-ref"), worktrees(repo)) == before
    assert not made.tree_of("x").exists()


def test_a_program_that_is_missing_is_said_before_anything_is_made(repo: Repo) -> None:
    made = yard(repo, more="[agents.ghost]\ncommand = ['no-such-program', '{prompt}']\n")
    done = repo.loki("spawn", "x", "--task", "t", "--agent", "ghost")
    assert done.code == 1
    assert "no-such-program" in done.err
    assert not made.tree_of("x").exists()


def test_a_dry_run_makes_nothing_and_shows_what_would_run(repo: Repo) -> None:
    yard(repo)
    before = repo.git("for-each-ref"), snapshot(repo.path.parent)
    done = repo.loki("spawn", "x", "--task", "Do it; rm -rf /", "--dry-run", "--json")
    (shown,) = json.loads(done.out)
    assert shown["argv"][-1] == "Do it; rm -rf /"
    assert "Do it; rm -rf /" in shown["prompt"]
    assert (repo.git("for-each-ref"), snapshot(repo.path.parent)) == before
    assert repo.loki("status", "--json").code == 0
    assert not worktrees(repo).get(shown["path"])


def test_a_stream_without_a_session_is_open_and_nothing_starts_in_it(repo: Repo) -> None:
    made = yard(repo)
    made.open("x")
    made.run()
    assert made.status("x") == "open"
    assert made.tree_of("x").joinpath("app.py").exists()
    assert (made.tree_of("x") / ".loki" / "CONTINUITY.md").exists()
    assert repo.git("status", "--porcelain", cwd=made.tree_of("x")) == ""
    assert repo.git("rev-parse", "refs/loki/base/feature-x") == repo.git("rev-parse", "main")
    assert repo.try_git("config", "branch.feature/x.merge").code == 1


def test_a_base_and_an_existing_branch(repo: Repo) -> None:
    made = yard(repo)
    first = repo.git("rev-list", "--max-parents=0", "HEAD")
    repo.git("branch", "theirs", first)
    (a,) = made.spawn("a", "--no-launch", "--base", first[:12])
    (b,) = made.spawn("b", "--no-launch", "--branch", "theirs")
    assert repo.git("rev-parse", "feature/a") == first
    assert (b["branch"], worktrees(repo)[b["path"]]) == ("theirs", "refs/heads/theirs")
    assert a["status"] == b["status"] == "open"


def test_after_waits_for_the_landing_of_the_other_and_begins_there(repo: Repo) -> None:
    made = yard(repo)
    go = made.outside / "go"
    made.agent(
        "one", f"until [ -e '{go}' ]; do sleep 0.05; done; echo 1 > one.txt; git add one.txt; git commit -qm One\n"
    )
    made.agent("two", "test -f one.txt && echo 2 > two.txt && git add two.txt && git commit -qm Two\n")
    made.spawn("one")
    (two,) = made.spawn("two", "--after", "one")
    assert two["status"] == "queued"
    assert "waits for feature-one" in made.record("two")["reason"]
    go.touch()
    made.run()
    assert made.landed() == ["one", "two"]


def test_uncommitted_work_on_main_is_said_and_untouched(repo: Repo) -> None:
    yard(repo)
    repo.write("app.py", "unsaved\n")
    done = repo.loki("spawn", "x", "--no-launch")
    assert done.code == 0
    assert "uncommitted changes" in done.err
    assert (repo.path / "app.py").read_text() == "unsaved\n"


def test_from_a_linked_worktree_it_works_on_the_main_one(repo: Repo) -> None:
    made = yard(repo)
    made.open("x")
    done = repo.loki("spawn", "y", "--no-launch", "--json", cwd=made.tree_of("x"))
    assert json.loads(done.out)[0]["path"] == str(made.tree_of("y"))
    assert str(repo.path) in done.err


def test_a_path_with_blanks_and_an_odd_character(repo: Repo, tmp_path: Path) -> None:
    place = tmp_path / "my work é" / "pro ject"
    place.mkdir(parents=True)
    other = Repo(place)
    other.git("init", "-q")
    other.commit("Begin", {"a b.txt": "x"})
    made = yard(other)
    made.spawn("x", "--task", 'it\'s "quoted" $HOME `id`')
    made.run()
    assert made.landed() == ["x"]
    made.quiet()


@pytest.mark.parametrize("layout", ["name.git", ".bare"])
def test_a_bare_repository(repo: Repo, tmp_path: Path, layout: str) -> None:
    made = yard(repo)
    home = tmp_path / "bare" / "proj"
    home.mkdir(parents=True)
    bare = home / layout
    call(["git", "clone", "-q", "--bare", str(repo.path), str(bare)], tmp_path)
    if layout == ".bare":
        (home / ".git").write_text("gitdir: ./.bare\n")
    other = Repo(bare)
    turn_on(other)
    done = other.loki("spawn", "x", "--task", "Work", "--json", cwd=home if layout == ".bare" else bare)
    assert done.code == 0, done.err
    (shown,) = json.loads(done.out)
    assert shown["status"] == "running", shown
    assert other.loki("run").code == 0
    assert "Merge stream x" in other.git("log", "-1", "--format=%s", "main")
    assert made.outside.exists()


@pytest.mark.slow
def test_the_cap_holds_however_many_spawn_at_once_and_none_is_dropped(repo: Repo) -> None:
    made = yard(repo, cap=2)
    (made.outside / "default.sh").write_text(OVERLAP.format(outside=made.outside))
    children = [
        subprocess.Popen(
            [LOKI, "spawn", f"n{i}", "--task", "Work", "--json"],
            cwd=repo.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(7)
    ]
    ends = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * 7, [e for _, e in ends]
    made.run()
    done = sorted((made.outside / "done").read_text().split())
    assert done == sorted(f"n{i}" for i in range(7)), [
        (f"n{i}", made.record(f"n{i}")) for i in range(7) if f"n{i}" not in done
    ]
    assert max(int(n) for n in (made.outside / "overlap").read_text().split()) <= 2
    assert sorted(made.landed()) == sorted(f"n{i}" for i in range(7))
    made.quiet()


def whole(made: Yard, name: str) -> None:
    """The stream is either all there, with its files, or not there at all."""
    tree = made.tree_of(name)
    branch = made.repo.try_git("rev-parse", "--verify", "-q", f"refs/heads/feature/{name}").code == 0
    if made.status(name):
        assert (tree / "app.py").exists()
        assert made.repo.git("status", "--porcelain", cwd=tree) == ""
        assert branch
    else:
        assert not tree.exists()
        assert not branch


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.extra) for n in range(1, 4))])
def test_a_killed_spawn_is_finished_or_taken_back_by_the_next_pass(repo: Repo, seed: int) -> None:
    """Killed at any moment, with its git or without."""
    made = yard(repo)
    for i in range(200):
        repo.write(f"src/f{i}.py", "x\n" * 50)
    repo.commit("Many files")
    chance = random.Random(seed)
    for i in range(3):
        name = f"k{i}"
        child = subprocess.Popen(
            [LOKI, "spawn", name, "--no-launch"],
            cwd=repo.path,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        path = made.loki_dir / "state" / "orchestrator.json"
        eventually(lambda: child.poll() is not None or (path.exists() and f'"feature-{name}"' in path.read_text()))  # noqa: B023
        time.sleep(chance.uniform(0, 0.06))
        if chance.random() < 0.5:
            os.kill(child.pid, signal.SIGKILL)
        else:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    made.run()
    time.sleep(0.2)
    made.run()
    for i in range(3):
        whole(made, f"k{i}")
        assert made.status(f"k{i}") in {"open", ""}, "it was to be made without a session"
    (again,) = made.spawn("fresh", "--no-launch")
    assert again["status"] == "open"


def planned(made: Yard, name: str) -> None:
    """Have the state say what a spawn says before it makes anything, by a process that is dead."""
    base = made.repo.git("rev-parse", "main")
    path = made.loki_dir / "state" / "orchestrator.json"
    made.once()
    state = json.loads(path.read_text())
    state["worktrees"][f"feature-{name}"] = {
        "path": str(made.tree_of(name)),
        "branch": f"feature/{name}",
        "kind": "feature",
        "name": name,
        "status": "planned",
        "base": base,
        "origin": "spawned",
        "claim": {"pid": 999999, "started": "0"},
        "agent": "scripted",
    }
    path.write_text(json.dumps(state))
    made.repo.git("update-ref", f"refs/loki/base/feature-{name}", base)


def test_killed_before_the_checkout_the_files_are_there_before_an_agent_is(repo: Repo) -> None:
    """Else the agent begins in an empty tree, and what it "left" would be committed: the deletion of everything."""
    made = yard(repo)
    planned(made, "x")
    repo.git("worktree", "add", "-q", "--no-checkout", "--no-track", "-b", "feature/x", str(made.tree_of("x")), "main")
    made.run()
    assert made.landed() == ["x"]
    assert "app.py" in made.on_main()


def test_killed_in_the_checkout_it_is_finished(repo: Repo) -> None:
    made = yard(repo)
    planned(made, "x")
    repo.git("worktree", "add", "-q", "--no-checkout", "--no-track", "-b", "feature/x", str(made.tree_of("x")), "main")
    (made.tree_of("x") / "app.py").write_text("def gr")
    (repo.path / ".git" / "worktrees" / "project-feature-x" / "index.lock").touch()
    made.run()
    assert made.landed() == ["x"]
    assert repo.git("show", "main:app.py") == "def greet():\n    return 'hello'"


@pytest.mark.parametrize("half", ["branch", "branch and folder", "entry without head", "folder with a dead pointer"])
def test_a_half_made_worktree_is_taken_back_or_finished(repo: Repo, half: str) -> None:
    made = yard(repo)
    planned(made, "x")
    tree = made.tree_of("x")
    admin = repo.path / ".git" / "worktrees" / tree.name
    repo.git("branch", "feature/x", "main")
    if half != "branch":
        tree.mkdir()
    if half == "entry without head":
        admin.mkdir(parents=True)
        (admin / "locked").write_text("initializing")
        (admin / "gitdir").write_text(f"{tree}/.git\n")
        (admin / "commondir").write_text("../..\n")
        (admin / "HEAD").write_text("0" * 40 + "\n")
        (tree / ".git").write_text(f"gitdir: {admin}\n")
    elif half == "folder with a dead pointer":
        (tree / ".git").write_text(f"gitdir: {admin}\n")
    made.run()
    assert made.landed() == ["x"], made.events()[-5:]
    assert "app.py" in made.on_main()


def test_a_tracked_link_called_loki_leads_nothing_out(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (repo.path / "loki-link").symlink_to(target)
    repo.git("add", "-A")
    tree = repo.git("write-tree")
    listed = repo.git("ls-tree", tree).replace("\tloki-link", "\t.loki")
    planted = call(["git", "mktree"], repo.path, stdin=listed + "\n").out.strip()
    commit = repo.git("commit-tree", planted, "-p", "main", "-m", "Planted")
    repo.git("rm", "-q", "--cached", "loki-link")
    (repo.path / "loki-link").unlink()
    before = repo.git("for-each-ref"), worktrees(repo)
    (failed,) = made.spawn("x", "--no-launch", "--base", commit)
    assert failed["status"] == "failed"
    assert ".loki" in failed["error"]
    assert list(target.iterdir()) == []
    assert (repo.git("for-each-ref"), worktrees(repo)) == before
    assert not made.tree_of("x").exists()

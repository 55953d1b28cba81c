"""`doctor` proves: each thing that can be broken is broken for real, found, and repaired only on proof."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, call, eventually

from loki_hooks.actions.context import Context
from loki_hooks.actions.doctor.diagnose import CHECKS, diagnose
from loki_hooks.actions.doctor.repair import mend
from loki_hooks.domain.install.diagnosis import Cure, Finding, Repair
from loki_hooks.domain.install.values import HOOKS
from loki_hooks.domain.refs import GATES
from loki_hooks.errors import LokiError
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.site import Site, discover
from loki_hooks.system.worktrees.registry import lock_reason

KEYS = {"check", "ok", "what", "evidence", "todo", "fixable", "fixed"}


@pytest.fixture
def installed(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Nothing of ours runs in the background: it would be a git at work. doctor is answered all the same."""
    monkeypatch.setenv("LOKI_HOOKS_DISABLE", "1")
    done = repo.loki("install", "--native")
    assert done.code == 0, done.err
    repo.git("add", "-A")
    repo.git("commit", "-q", "--allow-empty", "-m", "Configure")
    return repo


def look(repo: Repo, check: str, path: Path | None = None) -> list[Finding]:
    return CHECKS[check](Context(discover(path or repo.path)))


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.wrong]


def only(findings: list[Finding]) -> Finding:
    bad = wrong(findings)
    assert len(bad) == 1, bad
    assert bad[0].evidence
    assert bad[0].todo
    return bad[0]


def fix(repo: Repo, finding: Finding) -> str:
    assert finding.repair is not None, finding
    return mend(discover(repo.path), finding.repair)


@contextmanager
def git_at_work(folder: Path) -> Iterator[int]:
    """A live git process in ``folder`` that waits for its stdin."""
    child = subprocess.Popen(
        ["git", "hash-object", "--stdin"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        eventually(lambda: (Path("/proc") / str(child.pid) / "comm").read_text().strip() == "git", 10)
        yield child.pid
    finally:
        child.kill()
        child.communicate()


# The whole -------------------------------------------------------------------------------------------------


def test_a_good_installation_is_well_and_says_how_it_knows(installed: Repo, tmp_path: Path) -> None:
    installed.git("worktree", "add", "-q", str(tmp_path / "work" / "other"), "-b", "other")
    done = installed.loki("doctor", "--json")
    found = json.loads(done.out)
    assert (done.code, [f for f in found if not f["ok"]]) == (0, []), done.err
    assert all(set(f) == KEYS and f["what"] and f["evidence"] for f in found)
    assert {f["check"] for f in found} == set(CHECKS)
    hooks = [f for f in found if f["check"] == "hooks"]
    assert [f["what"].rpartition(" ")[2] for f in hooks] == [str(installed.path), str(tmp_path / "work" / "other")]
    assert all(name in f["evidence"] for f in hooks for name in HOOKS)
    assert installed.loki("doctor").out.count("because:") == len(found)


def test_something_wrong_is_exit_1_with_what_to_do(installed: Repo) -> None:
    (installed.path / ".git" / "hooks" / "pre-push").chmod(0o644)
    done = installed.loki("doctor")
    assert done.code == 1
    assert "WRONG  hooks: pre-push does not fire" in done.out
    assert "chmod +x" in done.out
    assert "--fix" in done.err
    fixed = installed.loki("doctor", "--fix", "--json")
    assert fixed.code == 0
    (repaired,) = [f for f in json.loads(fixed.out) if f["fixed"]]
    assert (repaired["check"], repaired["fixable"], repaired["ok"]) == ("hooks", True, False)
    events = [json.loads(x) for x in (installed.path / ".loki/state/events.jsonl").read_text().splitlines()]
    (event,) = [e for e in events if e["event"] == "repaired"]
    assert event["evidence"]["before"]
    assert event["evidence"]["proof"]
    assert installed.loki("doctor").code == 0


def test_where_loki_is_not_on_it_says_so(repo: Repo, tmp_path: Path) -> None:
    done = repo.loki("doctor")
    assert done.code == 1
    assert "loki-hooks is not on" in done.out
    outside = repo.loki("doctor", cwd=tmp_path)
    assert outside.code == 1
    assert "not a git repository" in outside.err


def test_doctor_without_fix_changes_nothing(installed: Repo, tmp_path: Path) -> None:
    installed.git(
        "-c", "core.hooksPath=/dev/null", "worktree", "add", "-q", str(tmp_path / "work" / "gone"), "-b", "gone"
    )
    shutil.rmtree(tmp_path / "work" / "gone")
    (installed.path / ".git" / "index.lock").touch()
    (installed.path / ".loki" / "state" / "orchestrator.json").write_text("{")
    before = {p: p.read_bytes() for p in installed.path.rglob("*") if p.is_file()}
    assert len(wrong(diagnose(discover(installed.path)))) == 3
    assert {p: p.read_bytes() for p in installed.path.rglob("*") if p.is_file()} == before


def test_a_check_that_fails_is_a_finding_and_stops_no_other(installed: Repo) -> None:
    installed.write("loki-hooks.toml", "session = 3\n[gates.x]\n")
    found = diagnose(discover(installed.path))
    assert {f.check for f in found} == set(CHECKS)
    errors = [f for f in wrong(found) if f.check == "configuration"]
    assert "gates.x.command" in errors[0].evidence
    assert "session" in errors[0].evidence


# Hooks -----------------------------------------------------------------------------------------------------


def test_the_proof_runs_no_hook_of_anybody_else_and_starts_no_python(repo: Repo, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for name in HOOKS:
        path = repo.write(f".git/hooks/{name}", f"#!/bin/sh\necho {name} >> '{trace}'\n")
        path.chmod(0o755)
    assert repo.loki("install", "--native").code == 0
    (repo.path / ".git/loki/python").write_text("/bin/false\n/dev/null\n")
    assert wrong(look(repo, "hooks")) == []
    assert not trace.exists()


def test_the_question_is_never_a_way_past_a_gate(installed: Repo, tmp_path: Path) -> None:
    installed.git("init", "-q", "--bare", str(tmp_path / "remote.git"))
    installed.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    done = installed.try_git("push", "-q", "origin", "main", env={"LOKI_HOOKS_PROBE": str(tmp_path / "said")})
    assert done.code != 0
    assert (tmp_path / "said").read_text().endswith("/loki/hooks/pre-push\n")


def test_a_relative_hooks_path_is_silent_in_linked_worktrees(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "core.hooksPath", ".githooks")
    assert repo.loki("install", "--native").code == 0
    repo.git("worktree", "add", "-q", str(tmp_path / "work" / "linked"), "-b", "linked")
    found = look(repo, "hooks")
    bad = only(found)
    assert str(tmp_path / "work" / "linked") in bad.what
    assert "core.hooksPath is .githooks (local)" in bad.evidence
    assert "absolute" in bad.todo
    assert [f.what for f in found if f.ok] == [f"every hook of ours fires in {repo.path}"]


def test_husky_fires_where_its_folder_is_and_its_own_commands_do_not_run(repo: Repo, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    repo.git("config", "core.hooksPath", ".husky/_")
    for name in ("pre-commit", *HOOKS):
        repo.write(
            f".husky/_/{name}",
            '#!/bin/sh\nn=$(basename "$0"); s=$(dirname "$(dirname "$0")")/$n\n'
            '[ -f "$s" ] || exit 0\nsh -e "$s" "$@"\n',
        ).chmod(0o755)
    repo.write(".husky/_/.gitignore", "*")
    for name in HOOKS:
        repo.write(f".husky/{name}", f"echo {name} >> '{trace}'\n")
    assert repo.loki("install").code == 0
    repo.commit("Add husky")
    repo.git(
        "-c", "core.hooksPath=/dev/null", "worktree", "add", "-q", str(tmp_path / "work" / "linked"), "-b", "linked"
    )
    trace.unlink(missing_ok=True)
    bad = only(look(repo, "hooks"))
    assert "husky's set-up" in bad.todo
    assert str(tmp_path / "work" / "linked") in bad.what
    assert not trace.exists()


def test_bare_repositories_and_their_worktrees_are_asked(repo: Repo, tmp_path: Path) -> None:
    bare = tmp_path / "work" / "bare.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    repo.git("worktree", "add", "-q", str(tmp_path / "work" / "tree"), "-b", "tree", cwd=bare)
    assert repo.loki("install", "--native", cwd=bare).code == 0
    found = look(repo, "hooks", bare)
    assert wrong(found) == []
    assert [f.what.rpartition(" ")[2] for f in found] == [str(bare), str(tmp_path / "work" / "tree")]
    shutil.rmtree(bare / "hooks")
    assert len(wrong(look(repo, "hooks", tmp_path / "work" / "tree"))) == 2


def test_a_tool_that_took_our_place_is_named(installed: Repo) -> None:
    for name in HOOKS:
        installed.write(f".git/hooks/{name}", "#!/bin/sh\nexec lefthook run\n").chmod(0o755)
    bad = only(look(installed, "hooks"))
    assert "another tool's" in bad.evidence
    assert bad.todo == "loki-hooks install"
    (installed.path / ".git/hooks/post-merge").unlink()
    assert {f.what for f in wrong(look(installed, "hooks"))} >= {f"post-merge does not fire in {installed.path}"}


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["pre-commit", pytest.param("prek", marks=pytest.mark.extra)])
def test_frameworks_are_asked_without_stash_and_without_other_hooks(repo: Repo, tmp_path: Path, tool: str) -> None:
    trace = tmp_path / "trace"
    repo.write(
        ".pre-commit-config.yaml",
        "repos:\n- repo: local\n  hooks:\n  - id: mine\n    name: mine\n"
        f"    entry: sh -c 'echo ran >> {trace}'\n    language: system\n    always_run: true\n"
        f"    stages: [{', '.join(HOOKS)}]\n",
    )
    if tool == "prek":
        repo.commit("x")
        assert call([str(SCRIPTS / "prek"), "install"], repo.path).code == 0
    assert repo.loki("install").code == 0, repo.loki("install").err
    repo.commit("Configure")
    trace.unlink(missing_ok=True)
    repo.write("app.py", "an edit that nobody may touch\n")
    before = (repo.path / "app.py").stat().st_mtime_ns
    found = look(repo, "hooks")
    assert wrong(found) == []
    assert tool in found[0].evidence
    assert (repo.path / "app.py").stat().st_mtime_ns == before
    assert not trace.exists()
    assert repo.git("worktree", "list").count("\n") == 0
    (repo.path / ".git/hooks/post-merge").unlink()
    assert only(look(repo, "hooks")).what == f"post-merge does not fire in {repo.path}"


def test_stale_scripts_and_a_python_that_is_gone_are_repaired(installed: Repo) -> None:
    private = installed.path / ".git" / "loki"
    (private / "hooks" / "post-merge").write_text("#!/bin/sh\n# an older version\n")
    (private / "python").write_text("/gone/python\n/gone/main\n")
    found = wrong(look(installed, "scripts"))
    assert [f.what.partition(" are")[0] for f in found] == [
        "our hook scripts",
        "the Python that our hooks start is gone",
    ]
    fix(installed, found[0])
    assert wrong(look(installed, "scripts")) == []
    assert (private / "python").read_text().splitlines()[0] == sys.executable
    (private / "hooks" / "pre-push").chmod(0o644)
    fix(installed, only(look(installed, "scripts")))
    assert os.access(private / "hooks" / "pre-push", os.X_OK)


# git's settings --------------------------------------------------------------------------------------------


def test_a_leaked_git_dir_is_recognised_and_repaired(installed: Repo, tmp_path: Path) -> None:
    linked = tmp_path / "work" / "linked"
    installed.git("worktree", "add", "-q", str(linked), "-b", "linked")
    git_dir = installed.git("rev-parse", "--absolute-git-dir", cwd=linked)
    assert call(["git", "init", "-q", str(tmp_path / "x")], tmp_path, {"GIT_DIR": git_dir}).code == 0
    assert installed.git("config", "core.bare") == "true"
    done = installed.loki("doctor", "--fix")
    assert "core.bare was set" in done.out
    assert done.code == 0, done.out
    assert installed.git("config", "core.bare") == "false"
    assert installed.git("status", "--porcelain") == ""


def test_a_worktree_setting_that_leads_elsewhere_is_repaired(installed: Repo, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    call(
        ["git", "init", "-q"],
        tmp_path / "x",
        {"GIT_DIR": str(installed.path / ".git"), "GIT_WORK_TREE": str(tmp_path / "x")},
    )
    assert installed.git("config", "core.worktree") == str(tmp_path / "x")
    fix(installed, only(look(installed, "repository")))
    assert installed.try_git("config", "core.worktree").code == 1


def test_what_looks_like_damage_and_is_meant_stays(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    source = Repo(work / "source")
    source.path.mkdir()
    source.git("init", "-q")
    source.commit("x", {"a": "1"})
    hidden = Repo(work / "hidden")
    hidden.path.mkdir()
    hidden.git("clone", "-q", "--bare", str(source.path), ".git")  # worktrees beside a bare .git
    assert wrong(look(hidden, "repository")) == []
    (source.path / "a").unlink()
    source.git("config", "core.bare", "true")  # made bare on purpose: the files are gone
    assert wrong(look(source, "repository")) == []


# Locks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "refs/heads/main.lock"])
def test_a_lock_without_any_git_alive_is_moved_aside(installed: Repo, name: str) -> None:
    path = installed.path / ".git" / name
    path.write_text("half")
    bad = only(look(installed, "locks"))
    assert "no live git process" in bad.evidence
    said = fix(installed, bad)
    assert not path.exists()
    assert Path(said.rpartition("kept as ")[2]).read_text() == "half"


def test_a_lock_is_kept_while_a_git_lives_here_however_old_it_is(installed: Repo, tmp_path: Path) -> None:
    linked = tmp_path / "work" / "linked"
    installed.git("worktree", "add", "-q", str(linked), "-b", "linked")
    path = installed.path / ".git" / "worktrees" / "linked" / "index.lock"
    path.touch()
    bad = only(look(installed, "locks"))
    os.utime(path, (0, 0))
    with git_at_work(linked) as pid:
        (seen,) = look(installed, "locks")
        assert seen.ok
        assert f"git (pid {pid})" in seen.evidence
        with pytest.raises(LokiError, match="git is at work"):
            fix(installed, bad)
    with git_at_work(tmp_path):  # one that works elsewhere is no owner
        only(look(installed, "locks"))
    fix(installed, bad)
    assert not path.exists()


def test_a_lock_that_some_program_has_open_is_kept(installed: Repo) -> None:
    path = installed.path / ".git" / "index.lock"
    child = subprocess.Popen(
        [sys.executable, "-c", f"f = open({str(path)!r}, 'w'); print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
    )
    assert child.stdout is not None
    child.stdout.readline()
    (seen,) = look(installed, "locks")
    child.kill()
    child.communicate()
    assert seen.ok
    assert f"(pid {child.pid})" in seen.evidence
    only(look(installed, "locks"))


def test_another_lock_at_the_same_place_is_not_what_was_proved(installed: Repo) -> None:
    path = installed.path / ".git" / "index.lock"
    path.touch()
    bad = only(look(installed, "locks"))
    path.rename(path.with_name("old"))
    path.touch()
    with pytest.raises(LokiError, match="another lock"):
        fix(installed, bad)
    assert path.exists()


# Worktrees -------------------------------------------------------------------------------------------------


def test_locks_of_worktrees_go_by_pid_and_start_time(installed: Repo, tmp_path: Path) -> None:
    linked = tmp_path / "work" / "linked"
    installed.git("worktree", "add", "-q", str(linked), "-b", "linked")
    me = identify(os.getpid())
    assert me is not None
    for reason, repaired in (
        (lock_reason("feature-x", me), False),
        (lock_reason("feature-x", type(me)(me.pid, "another:start")), True),
        ("mine, hands off", False),
        ("editor (pid 999999999)", False),
    ):
        installed.git("worktree", "lock", "--reason", reason, str(linked))
        found = wrong(look(installed, "worktrees"))
        assert bool(found) is repaired, reason
        for finding in found:
            fix(installed, finding)
        assert ("locked" not in installed.git("worktree", "list", "--porcelain")) is repaired
        installed.try_git("worktree", "unlock", str(linked))


def test_what_a_killed_worktree_add_leaves(installed: Repo, tmp_path: Path) -> None:
    linked = tmp_path / "work" / "linked"
    installed.git("worktree", "add", "-q", str(linked), "-b", "linked")
    admin = installed.path / ".git" / "worktrees" / "linked"
    (admin / "locked").write_text("initializing")
    with git_at_work(installed.path):
        assert wrong(look(installed, "worktrees")) == []
    bad = only(look(installed, "worktrees"))
    fix(installed, bad)
    assert not (admin / "locked").exists()
    begun = installed.path / ".git" / "worktrees" / "begun"
    begun.mkdir()
    (begun / "locked").write_text("initializing")
    said = fix(installed, only(look(installed, "worktrees")))
    assert not begun.exists()
    assert Path(said.rpartition("kept as ")[2], "locked").read_text() == "initializing"
    (admin / "commondir").unlink()  # damaged, with an index: nothing that may be moved
    assert only(look(installed, "worktrees")).repair is None


def test_a_registration_without_folder_stays_and_a_moved_one_is_repaired(installed: Repo, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name in ("plain", "moved", "staged", "detached", "busy"):
        installed.git("worktree", "add", "-q", str(work / name), "-b", name)
    installed.write("new", "x", cwd=work / "staged")
    installed.git("add", "new", cwd=work / "staged")
    installed.git("checkout", "-q", "--detach", cwd=work / "detached")
    installed.commit("nowhere else", cwd=work / "detached")
    (installed.path / ".git/worktrees/busy/MERGE_HEAD").write_text(installed.git("rev-parse", "HEAD") + "\n")
    (work / "moved").rename(work / "elsewhere")
    for name in ("plain", "staged", "detached", "busy"):
        shutil.rmtree(work / name)
    found = wrong(look(installed, "worktrees"))
    by_name = {
        name: next(f for f in found if f"/{name} " in f.what)
        for name in ("plain", "moved", "staged", "detached", "busy")
    }
    assert {name: f.repair.cure if f.repair else f.evidence for name, f in by_name.items()} == {
        "plain": "nothing in its registration would be lost, but its folder may be somewhere",
        "moved": Cure.RECONNECT_WORKTREE,
        "staged": "something is staged in it",
        "detached": by_name["detached"].evidence,
        "busy": "a merge is in progress in it",
    }
    assert "is on no branch" in by_name["detached"].evidence
    fix(installed, by_name["moved"])
    listed = installed.git("worktree", "list", "--porcelain")
    assert str(work / "plain") in listed, "a folder that is not there proves nothing"
    assert str(work / "elsewhere") in listed
    assert installed.git("status", "--porcelain", cwd=work / "elsewhere") == ""


def test_a_worktree_on_a_disk_that_is_not_plugged_in_stays(installed: Repo, tmp_path: Path) -> None:
    installed.git("worktree", "add", "-q", str(tmp_path / "disk" / "tree"), "-b", "tree")
    (tmp_path / "drawer").mkdir()
    (tmp_path / "disk").rename(tmp_path / "drawer" / "unplugged")  # beside its old place it would be found
    bad = only(look(installed, "worktrees"))
    assert bad.repair is None
    assert "plugged in" in bad.evidence


# Refs, state, ours -----------------------------------------------------------------------------------------


def test_an_empty_ref_is_named_with_what_its_reflog_has(installed: Repo) -> None:
    installed.git("branch", "work")
    tip = installed.git("rev-parse", "work")
    (installed.path / ".git/refs/heads/work").write_text("")
    bad = only(look(installed, "refs"))
    assert bad.repair is None
    assert bad.todo.endswith(f"git update-ref refs/heads/work {tip}")
    assert call(["sh", "-c", bad.todo.partition(": ")[2]], installed.path).code == 0
    assert wrong(look(installed, "refs")) == []


def test_gate_results_that_cannot_be_read_are_forgotten(installed: Repo) -> None:
    blob = installed.git("hash-object", "-w", "--stdin")
    installed.git("update-ref", f"{GATES}tree/hash", blob)
    bad = only(look(installed, "refs"))
    fix(installed, bad)
    assert installed.git("for-each-ref", "refs/loki/gates") == ""
    with pytest.raises(LokiError):
        mend(
            discover(installed.path), Repair(Cure.DELETE_RESULT, "refs/heads/main", installed.git("rev-parse", "main"))
        )
    path = installed.path / ".git" / GATES / "tree2" / "hash"
    path.parent.mkdir(parents=True)
    path.write_text("nonsense")
    fix(installed, only(look(installed, "refs")))
    assert wrong(look(installed, "refs")) == []


def test_a_corrupt_state_is_kept_aside(installed: Repo) -> None:
    path = installed.path / ".loki" / "state" / "orchestrator.json"
    path.write_text('{"worktrees": {')
    fix(installed, only(look(installed, "state")))
    assert isinstance(json.loads(path.read_text()), dict)
    kept = next(f for f in look(installed, "state") if "kept aside" in f.what)
    assert kept.ok
    assert ".corrupt-" in kept.evidence


def test_links_and_fifos_in_loki_are_named(installed: Repo, tmp_path: Path) -> None:
    loki = installed.path / ".loki"
    (loki / "signals" / "FEATURE_READY_x").symlink_to("/etc/passwd")
    os.mkfifo(loki / "signals" / "DOCS_NEEDED")
    assert sorted(f.what.rpartition(" is ")[2] for f in wrong(look(installed, "loki"))) == [
        "a FIFO",
        "a link to /etc/passwd",
    ]
    shutil.rmtree(loki)
    loki.symlink_to(tmp_path)
    assert "a link" in only(look(installed, "loki")).what
    loki.unlink()
    fix(installed, only(look(installed, "loki")))
    assert (loki / ".gitignore").read_text() == "*\n"


def test_missing_trust_and_a_trust_file_that_others_can_write(installed: Repo) -> None:
    from loki_hooks.system.config.trust import trust_file

    assert wrong(look(installed, "trust")) == []
    trust_file().chmod(0o666)
    fix(installed, only(look(installed, "trust")))
    assert trust_file().stat().st_mode & 0o777 == 0o600
    installed.commit("Change", {"loki-hooks.toml": '[gates.unit]\ncommand = "another"\n'})
    assert "gate unit" in only(look(installed, "trust")).evidence


def test_a_chosen_agent_that_is_not_here_is_wrong(installed: Repo) -> None:
    assert wrong(look(installed, "programs")) == []
    installed.write("loki-hooks.toml", '[session]\nagent = "mine"\n[agents.mine]\ncommand = ["no-such-program"]\n')
    assert only(look(installed, "programs")).evidence == "no-such-program is not on PATH"


# Patches of killed frameworks ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["pre-commit", pytest.param("prek", marks=pytest.mark.extra)])
def test_work_that_a_killed_framework_took_away_is_offered(repo: Repo, tmp_path: Path, tool: str) -> None:
    started = tmp_path / "started"
    repo.commit(
        "Add hook",
        {
            ".pre-commit-config.yaml": (
                "repos:\n- repo: local\n  hooks:\n  - {id: slow, name: slow, language: system, always_run: true,\n"
                f"     pass_filenames: false, entry: \"sh -c 'echo $$ > {started}; sleep 60'\"}}\n"
            )
        },
    )
    repo.git("worktree", "add", "-q", str(tmp_path / "work" / "linked"), "-b", "linked")  # the same files: not meant
    text = (repo.path / "app.py").read_text() + "# precious\n"
    repo.write("app.py", text)
    time.sleep(0.2)
    child = subprocess.Popen(
        [str(SCRIPTS / tool), "run"],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    eventually(started.exists, 60)
    assert (repo.path / "app.py").read_text() != text
    assert wrong(look(repo, "patches")) == []  # it lives
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    bad = only(look(repo, "patches"))
    assert (bad.repair, tool in bad.what, str(repo.path) in bad.what) == (None, True, True)
    assert repo.loki("doctor", "--fix").code == 1  # offered, never applied
    assert (repo.path / "app.py").read_text() != text
    assert call(["sh", "-c", bad.todo.partition(" (or")[0]], repo.path).code == 0
    assert (repo.path / "app.py").read_text() == text
    assert wrong(look(repo, "patches")) == []
    time.sleep(0.05)
    repo.git("checkout", "-q", "app.py")
    later = (repo.path / "app.py").stat().st_mtime + 3600  # withdrawn, a while later
    os.utime(repo.path / "app.py", (later, later))
    assert wrong(look(repo, "patches")) == []


def test_site_of_a_repository_is_what_doctor_asks_for(installed: Repo) -> None:
    site: Site = discover(installed.path)
    assert diagnose(site)[0].check == "repository"

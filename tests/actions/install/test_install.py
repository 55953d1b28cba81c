"""`install` and `uninstall` on real repositories: everything comes back byte for byte and mode for mode."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Repo, call, eventually
from support.scripted import end, yard

from loki_hooks.actions.install.install import carry_out, gather
from loki_hooks.domain.install.chain import SHIM_ID
from loki_hooks.domain.install.plan import make_plan
from loki_hooks.domain.install.values import HOOKS
from loki_hooks.system.site import discover

FOREIGN = '#!/bin/sh\necho "foreign $*" >> "$TRACE"\ncat >> "$TRACE"\nexit ${FOREIGN_EXIT:-0}\n'
Tree = dict[str, tuple[int, bytes]]


def tree(folder: Path) -> Tree:
    """Return every file with its mode and bytes (links: where to), but what git itself writes."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = (0, os.fsencode(path.readlink()))
        elif path.is_dir():
            found[name + "/"] = (path.stat().st_mode, b"")
        elif path.name != "index":
            found[name] = (path.stat().st_mode, path.read_bytes())
    return found


def hook(repo: Repo, name: str, text: str = FOREIGN, mode: int = 0o755, folder: str = ".git/hooks") -> Path:
    path = repo.write(f"{folder}/{name}", text)
    path.chmod(mode)
    return path


def installed(repo: Repo, *args: str, cwd: Path | None = None) -> None:
    done = repo.loki("install", *args, cwd=cwd)
    assert done.code == 0, done.err


def made(path: Path, *args: str) -> Repo:
    path.mkdir(parents=True)
    repo = Repo(path)
    repo.git("init", "-q", *args)
    return repo


def plain(path: Path) -> Repo:
    repo = made(path)
    repo.commit("x", {"a": "1"})
    return repo


def with_foreign_hooks(path: Path) -> Repo:
    repo = plain(path)
    hook(repo, "pre-push", mode=0o750)
    hook(repo, "pre-push.legacy")
    hook(repo, "post-merge", mode=0o644)
    (repo.path / ".git" / "hooks" / "post-commit").symlink_to("pre-push")
    return repo


def husky(path: Path) -> Repo:
    repo = plain(path)
    repo.git("config", "core.hooksPath", ".husky/_")
    for name in ("pre-commit", *HOOKS):
        hook(
            repo,
            name,
            '#!/bin/sh\nn=$(basename "$0"); s=$(dirname "$(dirname "$0")")/$n\n[ -f "$s" ] || exit 0\n'
            'sh -e "$s" "$@"\n',
            folder=".husky/_",
        )
    repo.write(".husky/pre-push", 'echo "foreign $*" >> "$TRACE"\ncat >> "$TRACE"')
    return repo


def hooks_path(path: Path) -> Repo:
    repo = plain(path)
    repo.git("config", "core.hooksPath", ".githooks")
    hook(repo, "pre-push", folder=".githooks")
    return repo


def no_hooks_folder(path: Path) -> Repo:
    repo = plain(path)
    shutil.rmtree(repo.path / ".git" / "hooks")
    return repo


SHAPES: dict[str, Callable[[Path], Repo]] = {
    "plain": plain,
    "no commits": made,
    "master": lambda path: made(path, "-b", "master"),
    "foreign hooks": with_foreign_hooks,
    "husky": husky,
    "core.hooksPath": hooks_path,
    "no hooks folder": no_hooks_folder,
    "bare": lambda path: made(path.with_name("bare.git"), "--bare"),
}


@pytest.mark.parametrize("name", ["project", "with a space"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_install_twice_then_uninstall_leaves_it_as_it_was(
    shape: Callable[[Path], Repo], name: str, tmp_path: Path
) -> None:
    repo = shape(tmp_path / "work" / name)
    before = tree(repo.path)
    dry = repo.loki("install", "--dry-run")
    assert dry.code == 0, dry.err
    assert tree(repo.path) == before
    first = repo.loki("install")
    assert first.code == 0, first.err
    for line in dry.out.splitlines():
        assert line.startswith("trust ") or f"loki-hooks: {line}\n" in first.err
    between = tree(repo.path)
    again = repo.loki("install")
    assert (again.code, again.out) == (0, "")
    assert "nothing to do" in again.err
    assert tree(repo.path) == between != before
    done = repo.loki("uninstall")
    assert done.code == 0, done.err
    assert tree(repo.path) == before
    assert "nothing to do" in repo.loki("uninstall").err


def test_outside_a_repository_it_says_so(tmp_path: Path) -> None:
    done = Repo(tmp_path).loki("install")
    assert done.code == 1
    assert "not a git repository" in done.err
    assert Repo(tmp_path).loki("uninstall").code == 1


def test_both_ways_at_once_is_wrong_usage(repo: Repo) -> None:
    assert repo.loki("install", "--native", "--pre-commit").code == 2
    assert repo.loki("install", "--pre-commit").code == 1


@pytest.mark.parametrize("setup", [with_foreign_hooks, husky, hooks_path], ids=["files", "husky", "core.hooksPath"])
def test_the_hook_that_was_there_gets_its_words_its_stdin_and_the_last_word(
    setup: Callable[[Path], Repo], tmp_path: Path
) -> None:
    repo = setup(tmp_path / "work" / "project")
    (repo.path / ".git" / "hooks" / "pre-push.legacy").unlink(missing_ok=True)
    installed(repo)
    told = tmp_path / "told"
    script = repo.path / ".git" / "loki" / "hooks" / "pre-push"
    script.write_text(f'#!/bin/sh\necho "ours $*" >> "{told}"\ncat >> "{told}"\n')
    repo.git("init", "-q", "--bare", str(tmp_path / "remote"))
    repo.git("branch", "other")
    remote = str(tmp_path / "remote")
    trace = {"TRACE": str(tmp_path / "trace")}
    repo.git("push", "-q", remote, "main", "other", env=trace)
    head = repo.git("rev-parse", "HEAD")
    for file, who in ((tmp_path / "trace", "foreign"), (told, "ours")):
        lines = file.read_text().splitlines()
        assert lines[0] == f"{who} {remote} {remote}"
        assert [line.split()[:3] for line in lines[1:]] == [
            ["refs/heads/main", head, "refs/heads/main"],
            ["refs/heads/other", head, "refs/heads/other"],
        ]
        file.unlink()
    repo.git("push", "-q", remote, ":other", env=trace)
    assert told.read_text().splitlines()[1].startswith("(delete) 0000")
    if setup is with_foreign_hooks:
        repo.git("branch", "third")
        refused = repo.try_git("push", "-q", remote, "third", env={**trace, "FOREIGN_EXIT": "3"})
        assert refused.code != 0
        assert told.read_text().count("ours") == 1  # a refusal needs no second opinion
    script.write_text("#!/bin/sh\nexit 1\n")
    repo.git("branch", "fourth")
    assert repo.try_git("push", "-q", remote, "fourth", env=trace).code != 0


@pytest.mark.parametrize("name", [name for name in HOOKS if name != "pre-push"])
def test_a_failing_hook_of_the_users_keeps_its_exit_status(repo: Repo, name: str, tmp_path: Path) -> None:
    hook(repo, name)
    installed(repo)
    shim = repo.path / ".git" / "hooks" / name
    env = {"TRACE": str(tmp_path / "trace"), "FOREIGN_EXIT": "5", "LOKI_HOOKS_DISABLE": "1"}

    assert call([str(shim), "a"], repo.path, env, stdin="").code == 5
    assert (tmp_path / "trace").read_text() == "foreign a\n"


def test_every_event_reaches_our_scripts(repo: Repo, tmp_path: Path) -> None:
    """From the main worktree and a linked one: switch, worktree add, commit, merge, pull --rebase, push."""
    installed(repo)
    log = tmp_path / "log"
    for name in HOOKS:
        script = repo.path / ".git" / "loki" / "hooks" / name
        script.write_text(f'#!/bin/sh\necho {name} >> "{log}"\n')

    def seen() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    repo.git("switch", "-q", "-c", "feature/a")
    assert seen() == ["post-checkout"]
    other = tmp_path / "work" / "other"
    repo.git("worktree", "add", "-q", str(other), "-b", "feature/b")
    assert seen() == ["post-checkout"]
    repo.commit("b", {"b": "b"}, cwd=other)
    assert seen() == ["post-commit"]
    repo.commit("a", {"a": "a"})
    seen()
    repo.git("merge", "-q", "--no-ff", "-m", "m", "feature/b")
    assert seen() == ["pre-merge-commit", "post-merge"]
    remote = str(tmp_path / "remote")
    repo.git("init", "-q", "--bare", remote)
    repo.git("remote", "add", "origin", remote)
    repo.git("push", "-q", "-u", "origin", "feature/a")
    assert seen() == ["pre-push"]
    repo.git("clone", "-q", "-b", "feature/a", remote, str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    clone.commit("c", {"c": "c"})
    clone.git("push", "-q")
    repo.commit("d", {"d": "d"})
    seen()
    repo.git("pull", "-q", "--rebase")
    assert "post-rewrite" in seen()


def test_installed_from_a_linked_worktree_it_is_in_all(repo: Repo, tmp_path: Path) -> None:
    other = tmp_path / "work" / "other"
    repo.git("worktree", "add", "-q", str(other), "-b", "feature/b")
    installed(repo, cwd=other)
    assert SHIM_ID in (repo.path / ".git" / "hooks" / "pre-push").read_text()
    assert (repo.path / ".loki").is_dir()
    assert "nothing to do" in repo.loki("install").err
    assert repo.loki("uninstall", cwd=other).code == 0
    assert not (repo.path / ".git" / "hooks" / "pre-push").exists()


@pytest.mark.parametrize("layout", ["name.git", "project/.bare"])
def test_bare_layouts(repo: Repo, tmp_path: Path, layout: str) -> None:
    bare = tmp_path / layout
    bare.parent.mkdir(exist_ok=True)
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    worktree = bare.parent / "wt"
    repo.git("worktree", "add", "-q", str(worktree), "-b", "feature/x", cwd=bare)
    if layout.endswith(".bare"):
        (bare.parent / ".git").write_text("gitdir: ./.bare\n")
    before = tree(bare)
    installed(repo, cwd=worktree)
    assert SHIM_ID in (bare / "hooks" / "pre-push").read_text()
    assert (bare / ".loki" / ".gitignore").is_file()
    if layout.endswith(".bare"):
        assert "nothing to do" in repo.loki("install", cwd=bare.parent).err
    assert repo.loki("uninstall", cwd=bare).code == 0
    assert tree(bare) == before


def test_a_hook_changed_since_is_left_and_named(repo: Repo) -> None:
    installed(repo)
    path = hook(repo, "post-merge", "#!/bin/sh\necho new\n")
    done = repo.loki("uninstall")
    assert str(path) in done.err
    assert path.read_text() == "#!/bin/sh\necho new\n"
    assert not (repo.path / ".git" / "hooks" / "pre-push").exists()


def test_the_chained_hook_changed_since_comes_back_as_it_is_now(repo: Repo) -> None:
    hook(repo, "pre-push")
    installed(repo)
    hook(repo, "pre-push.legacy", "#!/bin/sh\nexit 0\n")
    repo.loki("uninstall")
    assert (repo.path / ".git" / "hooks" / "pre-push").read_text() == "#!/bin/sh\nexit 0\n"
    assert not (repo.path / ".git" / "hooks" / "pre-push.legacy").exists()


def test_husky_files_changed_since_lose_only_our_lines(tmp_path: Path) -> None:
    repo = husky(tmp_path / "work" / "project")
    installed(repo)
    path = repo.path / ".husky" / "pre-push"
    path.write_text(path.read_text() + "\necho more\n")
    repo.loki("uninstall")
    assert path.read_text() == 'echo "foreign $*" >> "$TRACE"\ncat >> "$TRACE"\necho more\n'


def test_hooks_turned_off_are_an_error(repo: Repo) -> None:
    repo.git("config", "core.hooksPath", "/dev/null")
    done = repo.loki("install")
    assert done.code == 1
    assert "core.hooksPath" in done.err


def test_a_gate_is_proposed_written_and_kept_once_committed(repo: Repo) -> None:
    repo.write("tests/test_a.py", "def test(): pass\n")
    dry = repo.loki("install", "--dry-run")
    assert "python3 -m pytest -q" in dry.out
    assert not (repo.path / "loki-hooks.toml").exists()
    done = repo.loki("install")
    assert "commit loki-hooks.toml" in done.err
    assert 'command = "python3 -m pytest -q"' in (repo.path / "loki-hooks.toml").read_text()
    repo.loki("uninstall")
    assert not (repo.path / "loki-hooks.toml").exists()
    installed(repo)
    repo.git("add", "loki-hooks.toml")
    assert "loki-hooks.toml is committed: it stays" in repo.loki("uninstall").err
    assert (repo.path / "loki-hooks.toml").exists()


@pytest.mark.parametrize("name", ["loki-hooks.toml", "pyproject.toml"])
def test_a_configuration_that_exists_is_left_alone(repo: Repo, name: str) -> None:
    repo.write("tests/test_a.py", "")
    path = repo.write(name, "" if name == "loki-hooks.toml" else '[tool.loki-hooks.gates.a]\ncommand = "true"\n')
    before = path.read_text()
    done = repo.loki("install")
    assert "proposed" not in done.err
    assert path.read_text() == before


def test_what_is_worth_keeping_stays(repo: Repo) -> None:
    installed(repo)
    repo.write(".loki/archive/feature-a/prompt.md", "x")
    head = repo.git("rev-parse", "HEAD")
    repo.git("update-ref", "refs/loki/trash/feature-a/1", head)
    repo.git("update-ref", "refs/loki/base/feature-a", head)
    done = repo.loki("uninstall")
    assert "archive" in done.err
    assert (repo.path / ".loki" / "archive" / "feature-a" / "prompt.md").exists()
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/loki") == "refs/loki/trash/feature-a/1"
    assert not (repo.path / ".git" / "loki").exists()


THEIRS = {
    "memory/a.md": "years of learning",
    "notes.md": "mine",
    "state/other.json": "{}",
    "state/resources.json": '{"overall_status": "ok"}',
    "signals/MERGE_REQUESTED_x": '{"branch": "x"}',
    "signals/other.ack": "",
    "queue/q.json": "{}",
    "queue/docs/note.txt": "x",
    "logs/upstream.log": "x",
    "archive/note.md": "x",
}
"""What upstream, agents and people have in ``.loki/``."""


@pytest.mark.parametrize("when", ["before", "since"])
def test_what_others_have_in_the_folder_stays_and_ours_goes(repo: Repo, tmp_path: Path, when: str) -> None:
    loki = repo.path / ".loki"
    if when == "since":
        installed(repo)
    for name, text in THEIRS.items():
        repo.write(f".loki/{name}", text)
    (loki / "linked").symlink_to(tmp_path)
    theirs = tree(loki)
    if when == "before":
        installed(repo)
    assert repo.loki("signal", "emit", "TESTS_FAILED_x").code == 0
    assert repo.loki("run", "--once").code == 0
    assert (loki / "state" / "events.jsonl").exists()
    done = repo.loki("uninstall")
    assert done.code == 0, done.err
    assert "memory/a.md" in done.err
    left = tree(loki)
    if when == "since":
        assert left.pop(".gitignore"), "what came since stays out of git"
        theirs.pop(".gitignore")
    assert left.items() >= {k: v for k, v in theirs.items() if not k.endswith("/")}.items()
    assert {k for k in left if not k.endswith("/")} == {k for k in theirs if not k.endswith("/")}


def test_it_says_what_stays_and_what_removes_it(repo: Repo) -> None:
    installed(repo)
    head = repo.git("rev-parse", "HEAD")
    secret = repo.write(".loki/trash/feature-a-1/.env", "T=1")
    for ref in ("trash/feature-a/1", "past/feature-a/1", "base/feature-a"):
        repo.git("update-ref", f"refs/loki/{ref}", head)
    testing = repo.path.parent / "a place" / "testing"
    repo.git("worktree", "add", "-q", str(testing), "-b", "parallel-testing")
    mark = repo.git("rev-parse", "--path-format=absolute", "--git-path", "loki-gate", cwd=testing)
    Path(mark).write_text(head)
    done = repo.loki("uninstall")
    assert secret.read_text() == "T=1"
    assert repo.git("for-each-ref", "refs/loki").count("\n") == 1, done.err
    commands = [line.split("`")[1] for line in done.err.splitlines() if "`" in line]
    assert len(commands) == 3, done.err
    for command in commands:
        ran = call(["sh", "-c", command], repo.path)
        assert ran.code == 0, (command, ran.err)
    assert not testing.exists()
    assert repo.git("for-each-ref", "refs/loki", "refs/heads/parallel-testing") == ""


def test_it_waits_for_what_is_under_way_and_refuses_meanwhile(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    made = yard(repo)
    installed(repo)
    hold = made.outside / "hold"
    made.agent("a", f"while [ -e '{hold}' ]; do sleep 0.1; done; echo a > a.txt; git add a.txt; git commit -qm a\n")
    hold.touch()
    made.spawn("a")
    made.wait_for("a", "running")
    done = repo.loki("uninstall")
    assert (done.code, "sessions are running: a" in done.err) == (1, True)
    (made.outside / "gate-wait").write_text("600")
    hold.unlink()
    made.wait_for("a", "testing")
    eventually(made.runs)
    main = repo.git("rev-parse", "main")
    done = repo.loki("uninstall")
    assert (done.code, "tests are running" in done.err) == (1, True)
    gate = json.loads(next((made.loki_dir / "state" / "gate-runs").glob("*.json")).read_text())
    end([gate["runner"]["pid"], gate["child"]["pid"]])
    made.quiet()
    assert repo.loki("uninstall").code == 0
    assert repo.git("rev-parse", "main") == main
    assert not (repo.path / ".git" / "loki").exists()


def test_a_damaged_record_stops_uninstall_before_it_removes_anything(repo: Repo) -> None:
    installed(repo)
    (repo.path / ".git" / "loki" / "install.json").write_text("{")
    done = repo.loki("uninstall")
    assert done.code == 1
    assert (repo.path / ".git" / "loki" / "hooks").is_dir()


def test_what_somebody_wrote_into_a_hook_of_ours_is_kept_beside_it(repo: Repo) -> None:
    installed(repo)
    hooks = repo.path / ".git" / "hooks"
    edited = (hooks / "post-commit").read_text().replace("status=0\n", "status=0\ngit lfs post-commit\n", 1)
    (hooks / "post-commit").write_text(edited)
    (hooks / "pre-push").chmod(0o700)  # no word of anybody's: nothing to keep
    again = repo.loki("install")
    assert "post-commit.edited" in again.err
    assert (hooks / "post-commit.edited").read_text() == edited
    assert "lfs" not in (hooks / "post-commit").read_text()
    (hooks / "post-commit").write_text(edited + "# more\n")
    gone = repo.loki("uninstall")
    assert "post-commit.edited-1" in gone.err
    assert (hooks / "post-commit.edited-1").read_text() == edited + "# more\n"
    assert sorted(path.name for path in hooks.iterdir() if "edited" in path.name) == [
        "post-commit.edited",
        "post-commit.edited-1",
    ]
    assert not (hooks / "post-commit").exists()


def test_install_shows_what_it_trusts_and_trust_asks_again_for_what_changed(repo: Repo) -> None:
    repo.commit("gate", {"loki-hooks.toml": '[gates.unit]\ncommand = "make check"\n'})
    done = repo.loki("install")
    assert "trusts gate unit: make check" in done.err
    assert "nothing is new" in repo.loki("trust", "--show").err
    repo.write("loki-hooks.toml", '[gates.unit]\ncommand = "curl x | sh"\n')
    shown = repo.loki("trust", "--show")
    assert "new gate unit: curl x | sh" in shown.out
    assert "new gate unit: curl x | sh" in repo.loki("trust", "--show").out
    assert repo.loki("trust").code == 0
    assert "new" not in repo.loki("trust", "--show").out


def test_a_session_cannot_trust_in_its_users_name(repo: Repo) -> None:
    session = {"LOKI_STREAM": "feature-a"}
    done = repo.loki("install", env=session)
    assert done.code == 0
    assert "nothing was trusted" in done.err
    assert repo.loki("trust", env=session).code == 1
    assert "new" in repo.loki("trust", "--show").out


def test_the_python_that_the_scripts_start_is_this_one(repo: Repo) -> None:
    installed(repo)
    python, main = (repo.path / ".git" / "loki" / "python").read_text().splitlines()
    assert os.access(python, os.X_OK)
    assert Path(main).name == "__main__.py"
    record = json.loads((repo.path / ".git" / "loki" / "install.json").read_text())
    assert (record["version"], record["way"]) == (1, "native")


def test_hooks_in_gits_configuration(repo: Repo, tmp_path: Path) -> None:
    """git ≥ 2.54 runs ``hook.<name>.command`` through a shell, its words after it; older git ignores the setting."""
    hook(repo, "pre-push")
    repo.git("config", "core.hooksPath", ".elsewhere")
    before = tree(repo.path)
    site = discover(repo.path)
    carry_out(site, make_plan(replace(gather(site), config_hooks=True), None), lambda _: None)
    assert (repo.path / ".git" / "hooks" / "pre-push").read_text() == FOREIGN
    assert not make_plan(replace(gather(site), config_hooks=True), None).steps
    (repo.path / ".git" / "loki" / "hooks" / "pre-push").write_text('#!/bin/sh\necho "$@"; cat; exit 4\n')
    other = tmp_path / "work" / "other"
    repo.git("worktree", "add", "-q", str(other))
    command = repo.git("config", "hook.loki-pre-push.command")
    for folder in (repo.path, other):
        done = call(["sh", "-c", f'{command} "$@"', command, "origin", "a url"], folder, stdin="refs\n")
        assert (done.code, done.out) == (4, "origin a url\nrefs\n")
    repo.git("worktree", "remove", str(other))
    repo.git("branch", "-D", "other")
    repo.loki("uninstall")
    assert call(["sh", "-c", f'{command} "$@"', command], repo.path).code == 0
    after = tree(repo.path)
    for name in (".git/config", ".git/hooks/pre-push"):
        assert after[name] == before[name]

"""Copied environment files: mode kept, kept out of git everywhere, never committed, logged, archived or pinned."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Repo, eventually
from support.scripted import Yard, yard

from loki_hooks.domain.secrets import looks_secret
from loki_hooks.errors import BadInputError
from loki_hooks.system.git.git import Git
from loki_hooks.system.worktrees.copies import EXCLUDED_BY_US, copy_files, exclude, to_copy, to_link, unexclude

SECRET = "TOKEN=f3b1-never-to-be-seen"


@pytest.fixture
def place(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setenv("LOKI_TRUST", "1")
    return yard(repo, gate=False)


def linked(repo: Repo, name: str = "linked") -> Path:
    path = repo.path.parent / name
    repo.git("worktree", "add", "-q", str(path), "-b", name)
    return path


def copy(repo: Repo, tree: Path, *patterns: str) -> dict[str, str]:
    """As `prepare.copy_environment` does it."""
    names = to_copy(repo.path, tree, patterns or (".env", ".env.*"))
    unsafe = exclude(Git(tree), repo.path / ".git", names)
    return dict(copy_files(repo.path, tree, [name for name in names if name not in unsafe]))


def test_mode_and_content_are_kept_and_nothing_is_left_beside(repo: Repo) -> None:
    for mode in (0o600, 0o640, 0o400, 0o755):
        name = f".env.{mode:o}"
        repo.write(name, SECRET).chmod(mode)
    tree = linked(repo)
    copied = copy(repo, tree)
    assert len(copied) == 4
    for name in copied:
        path = tree / name
        assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (SECRET, int(name[5:], 8))
        assert path.stat().st_uid == (repo.path / name).stat().st_uid
    assert sorted(p.name for p in (tree / ".loki").iterdir()) == [".gitignore"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_is_kept_where_we_may(repo: Repo) -> None:
    os.chown(repo.write(".env", SECRET), 12345, 12346)
    tree = linked(repo)
    copy(repo, tree)
    assert ((tree / ".env").stat().st_uid, (tree / ".env").stat().st_gid) == (12345, 12346)


def test_git_never_sees_them_though_no_rule_of_the_repository_says_so(repo: Repo) -> None:
    repo.write(".env", SECRET)
    repo.write("conf/[a] *?.env", SECRET)
    tree, other = linked(repo), linked(repo, "other")
    assert set(copy(repo, tree, ".env", "conf/*.env")) == {".env", "conf/[a] *?.env"}
    assert repo.git("status", "--porcelain", "--untracked-files=all", cwd=tree) == ""
    repo.git("add", "-A", cwd=tree)
    assert repo.git("diff", "--cached", "--name-only", cwd=tree) == ""
    # the pattern means this file and no other, in any worktree
    repo.write("conf/a xy.env", "x", cwd=other)
    repo.write("deep/.env", "x", cwd=other)
    assert repo.git("status", "--porcelain", "--untracked-files=all", cwd=other).split("\n") == [
        '?? "conf/a xy.env"',
        "?? deep/.env",
    ]


def test_a_rule_that_shows_them_has_the_last_word_so_they_are_not_copied(repo: Repo) -> None:
    repo.write(".env", SECRET)
    repo.commit("Show", {".gitignore": ".env\n"})
    tree = linked(repo)
    repo.commit("Never ignore", {".gitignore": "!.env\n"}, cwd=tree)
    assert copy(repo, tree) == {}
    assert not (tree / ".env").exists()


def test_lines_of_many_at_once_are_all_kept_and_can_be_taken_out(repo: Repo) -> None:
    path = repo.path / ".git" / "info" / "exclude"
    before = path.read_text() + "mine"
    path.write_text(before)
    path.chmod(0o640)
    names = [f".env.{n}" for n in range(12)]
    git = Git(repo.path)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda name: exclude(git, repo.path / ".git", (name,)), names)) == [()] * 12
    lines = path.read_text().splitlines()
    assert {f"/{name}" for name in names} <= set(lines)
    assert lines.count(EXCLUDED_BY_US) == 12
    assert "mine" in lines
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert unexclude(repo.path / ".git")
    assert path.read_text() == before + "\n"
    assert not unexclude(repo.path / ".git")


def test_nothing_is_followed_out_of_either_worktree(repo: Repo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.env").write_text(SECRET)
    (repo.path / "conf").symlink_to(outside)
    (repo.path / ".env.link").symlink_to(outside / "x.env")
    tree = linked(repo)
    assert copy(repo, tree, "conf/*.env", ".env.*") == {}
    (repo.path / "conf").unlink()
    repo.write("conf/x.env", SECRET)
    (tree / "conf").symlink_to(outside)
    assert copy(repo, tree, "conf/*.env") == {}
    for pattern in ("../*.env", "/etc/passwd", "a/../../x"):
        with pytest.raises(BadInputError, match="leads out"):
            copy(repo, tree, pattern)


def test_no_glob_leads_into_another_worktree_or_repository(repo: Repo, tmp_path: Path) -> None:
    own = (".env", "apps/web/.env", "build/.env")
    repo.commit("Build", {"build/script": "x", "apps/web/index": "x"})
    other = Repo(tmp_path / "other")
    other.path.mkdir()
    other.git("init", "-q")
    other.commit("x")
    for git, path in ((repo, ".claude/worktrees/agent"), (repo, "trees/damaged"), (other, "apps/foreign")):
        git.git("worktree", "add", "-q", "--detach", str(repo.path / path))
    (repo.path / "trees/damaged/.git").unlink()
    repo.git("clone", "-q", str(other.path), "vendor/clone")
    repo.git("submodule", "--quiet", "add", str(other.path), "sub")
    (repo.path / "away").symlink_to(other.path)
    others = (
        "apps/foreign",
        ".claude/worktrees/agent",
        "trees/damaged",
        "vendor/clone",
        "sub",
        "away",
        "node_modules/dep",
    )
    for folder in (*others, ".loki/x"):
        repo.write(f"{folder}/.env", SECRET)
    for name in own:
        repo.write(name, SECRET)
    tree = linked(repo)
    assert to_copy(repo.path, tree, ("**/.env",)) == own
    assert to_copy(repo.path, tree, ("*/.env", "*/*/.env", "*/*/*/.env", ".claude/**/.env")) == own[1:]
    assert to_copy(repo.path, tree, tuple(f"{folder}/.env" for folder in others)) == ("node_modules/dep/.env",)
    assert to_link(repo.path, tree, ("*",)) == (".env", "node_modules"), "no folder with another's in it"
    assert to_link(repo.path, tree, (".claude", ".claude/worktrees/agent", "apps/foreign", "sub", "trees")) == ()
    assert to_link(repo.path, tree, ("**/.env", "vendor/clone")) == (*own, "vendor/clone"), "what is named is meant"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (".env", True),
        ("a/.ENV", True),
        (".env.local", True),
        (".envrc", True),
        (".env~", True),
        ("prod.env", True),
        (".ssh/config", True),
        ("a/.aws/x", True),
        ("id_rsa", True),
        ("id_rsa.pub", False),
        (".env.example", False),
        ("environment.py", False),
        ("envelope.md", False),
        ("src/credentials.py", False),
        ("credentials.json", True),
    ],
)
def test_names_that_say_secret(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


def test_a_whole_session_puts_no_secret_anywhere(place: Yard) -> None:
    """The agent leaves everything uncommitted, a copy of the secret under another name too."""
    place.repo.write(".env", SECRET)
    place.agent("auth", "echo work > auth.txt; cp .env notes.txt; cp .env .env.backup; echo done")
    place.spawn("auth")
    place.wait_for("auth", "escalated", "failed", "ready")
    place.quiet()
    assert place.repo.git("show", "--format=", "--name-only", "feature/auth").split() == ["auth.txt"]
    record = place.record("auth")
    assert record["status"] != "ready"
    assert "notes.txt" in record["reason"]
    assert [name for name, _ in record["copied"]] == [".env"]
    assert SECRET not in _everything(place)


def test_archives_and_trash_hold_no_secret(place: Yard) -> None:
    place.repo.write(".env", SECRET)
    place.agent("auth", "echo work > auth.txt; git add auth.txt; git commit -qm 'Add auth'")
    place.spawn("auth")
    place.wait_for("auth", "ready")
    place.quiet()
    assert (place.tree_of("auth") / ".env").read_text() == SECRET
    place.repo.git("merge", "-q", "--no-ff", "-m", "Land", "feature/auth")
    done = place.repo.loki("cleanup", "--json")
    assert ("auth" in done.out, done.code) == (True, 0), done.err
    eventually(lambda: not place.tree_of("auth").exists(), 20)
    place.quiet()
    assert list((place.loki_dir / "archive").iterdir())
    assert SECRET not in _everything(place)
    for ref in place.repo.git("for-each-ref", "--format=%(refname)", "refs/loki").split():
        assert ".env" not in place.repo.try_git("ls-tree", "-r", "--name-only", ref).out


def test_logs_and_prompts_are_their_owners(place: Yard) -> None:
    place.spawn("auth", "--task", f"use {SECRET}")
    place.wait_for("auth", "ready", "failed", "escalated")
    place.quiet()
    files = [*(place.loki_dir / "logs").glob("*.log"), *(place.loki_dir / "state" / "prompts").iterdir()]
    assert len(files) >= 2
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}
    assert SECRET not in json.dumps(place.events())


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n"


def test_a_secret_under_another_name_is_neither_committed_nor_pinned_and_comes_back(place: Yard) -> None:
    place.repo.write(".env", f"{SECRET}\nDB_PASSWORD=hunter2\nPORT=8000\n")
    place.agent(
        "auth",
        "echo work > auth.txt; cp .env backup.txt; grep PASS .env > notes.txt; echo more >> notes.txt\n"
        f"cat > key.txt <<'K'\n{KEY}K\nmkdir d; cp .env d/settings; git add d/settings; echo harmless > d/settings\n"
        "sed 's/=/: /' .env > conf.yaml; echo PORT=8000 > start.sh",
    )
    place.spawn("auth")
    place.wait_for("auth", "escalated", "failed", "ready")
    place.quiet()
    secret = ("backup.txt", "notes.txt", "key.txt", "conf.yaml")
    committed = place.repo.git("show", "--format=", "--name-only", "feature/auth").split()
    assert set(committed) == {"auth.txt", "start.sh", "d/settings"}
    before = {name: (place.tree_of("auth") / name).read_text() for name in secret}
    place.repo.write("d/settings", before["backup.txt"], cwd=place.tree_of("auth"))
    place.repo.git("add", "d/settings", cwd=place.tree_of("auth"))
    place.repo.write("d/settings", "harmless again", cwd=place.tree_of("auth"))
    place.repo.write("loose.txt", "loose", cwd=place.tree_of("auth"))

    done = place.repo.loki("finish", "auth", "--abandon")
    assert done.code == 0, done.err
    assert not place.tree_of("auth").exists()
    objects = place.repo.git("rev-list", "--objects", "--no-object-names", "--all").split()
    held = "\n".join(place.repo.git("cat-file", "-p", oid) for oid in objects)
    assert "loose" in held
    for text in (SECRET.partition("=")[2], "hunter2", "b3BlbnNzaC1r"):
        assert text not in held
    (folder,) = (place.loki_dir / "trash").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    assert place.repo.loki("restore", "auth").code == 0
    tree = place.tree_of("auth")
    assert {name: (tree / name).read_text() for name in secret} == before
    assert ((tree / "d/settings").read_text(), (tree / "loose.txt").read_text()) == ("harmless again", "loose")


def test_what_a_gate_prints_is_told_without_secrets(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment and of environment files: in refs, results, signals, events, and on the screen."""
    for name, value in {"LOKI_TRUST": "1", "SERVICE_API_KEY": "hunter2-secret", "PLAIN": "visible-value"}.items():
        monkeypatch.setenv(name, value)
    place = yard(repo)
    assert repo.loki("install", "--native").code == 0
    repo.write(".env", f"{SECRET}\n")
    inner = f'env; cat "{repo.path}/.env"; echo https://me:t0ken-in-url@host/x; printf hunter2-; sleep 0.2; echo secret; false'
    (place.outside / "gate.sh").write_text(inner)
    shown = repo.loki("test", "main")
    assert shown.code == 1
    repo.git("switch", "-qc", "feature/push")
    repo.git("init", "-q", "--bare", "../remote.git")
    pushed = repo.try_git("push", "../remote.git", "feature/push")
    assert "refused" in pushed.err
    place.agent("auth", "echo x > x; git add x; git commit -qm x")
    place.spawn("auth")
    place.wait_for("auth", "rejected", "ready")
    place.quiet()
    told = [shown.out + shown.err, pushed.err, _everything(place, but="logs")]
    assert "visible-value" in told[0]
    for text in told:
        for secret in ("hunter2", SECRET.partition("=")[2], "t0ken-in-url"):
            assert secret not in text
        assert "***" in text
    (result,) = (place.loki_dir / "state").glob("test-results.json")
    for path in (result, *place.loki_dir.glob("signals/*"), *place.loki_dir.glob("logs/*.log")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_a_token_in_a_remotes_url_is_never_shown_nor_stored(place: Yard) -> None:
    repo, token = place.repo, "t0ken-never-shown"
    repo.git("remote", "add", "origin", f"https://me:{token}@127.0.0.1:1/x.git")
    place.agent("auth", "echo x > x; git add x; git commit -qm x; git push origin HEAD 2>/dev/null; true")
    place.spawn("auth")
    place.wait_for("auth", "ready", "failed")
    texts = []
    for words in (
        ("run", "--once", "--json"),
        ("status",),
        ("status", "--json"),
        ("doctor",),
        ("doctor", "--json"),
        ("finish", "auth", "--pr"),
        ("finish", "auth", "--merge"),
    ):
        done = repo.loki(*words)
        texts.append(done.out + done.err)
    place.quiet()
    assert "127.0.0.1" in "".join(texts)
    private = [p.read_text(errors="replace") for p in (repo.path / ".git" / "loki").rglob("*") if p.is_file()]
    for text in (*texts, *private, _everything(place)):
        assert token not in text


def _everything(place: Yard, but: str = "-") -> str:
    """Return all of ``.loki/`` (``but`` one folder), and every object that git has."""
    files = [p for p in place.loki_dir.rglob("*") if p.is_file() and not p.is_symlink() and but not in p.parts]
    texts = [p.read_text(errors="replace") for p in files]
    for oid in place.repo.git(
        "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"
    ).splitlines():
        name, _, kind = oid.partition(" ")
        if kind != "tree":
            texts.append(place.repo.git("cat-file", "-p", name))
    return "\n".join(texts)


def test_a_secret_in_a_tasks_title_is_in_no_commit_of_ours(place: Yard) -> None:
    place.repo.write(".env", f"{SECRET}\n")
    place.agent("auth", "echo work > auth.txt")
    place.spawn("auth", "--task", f"use {SECRET.partition('=')[2]} to log in")
    place.wait_for("auth", "ready", "merged", "archived")
    assert place.repo.git("log", "-1", "--format=%s", "feature/auth") == "use *** to log in"

"""What a session's environment is: its spawn's, whoever starts it; and where what may be a secret is kept, and where not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo
from support.scripted import Yard, yard

from loki_hooks.system.store import spawn_environment
from loki_hooks.system.store.spawn_environment import environment_for, forget, is_plain, keep

SECRET = "sk-not-to-be-on-any-disk"
TELL = "env > '%s/env-'$1; echo x > $1.txt; git add $1.txt; git commit -q -m Work\n"


def told(made: Yard, name: str) -> dict[str, str]:
    path = made.outside / f"env-{name}"
    return dict(line.partition("=")[::2] for line in path.read_text().splitlines() if "=" in line)


def files_with(root: Path, text: str) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file() and not p.is_symlink() and text.encode() in p.read_bytes()]


@pytest.mark.parametrize("memory", [True, False], ids=["in memory", "nowhere"])
def test_a_session_that_waited_starts_in_its_spawns_environment(repo: Repo, tmp_path: Path, memory: bool) -> None:
    """The pass that starts it comes out of a hook below pre-commit, with nothing of the user's terminal."""
    made = yard(repo, cap=1, gate=False)
    made.agent("a", f"while [ ! -e '{made.outside}/go' ]; do sleep 0.05; done\nexit 1\n")
    made.agent("b", TELL % made.outside)
    tools, runtime, cargo = (tmp_path / name for name in ("tools", "runtime", "cargo"))
    for folder in (tools, runtime, cargo):
        folder.mkdir(mode=0o700 if memory else 0o755)  # a folder that others may enter is no place for secrets
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    env = {"LOKI_TRUST": "1", "PATH": path, "MY_API_KEY": SECRET, "CARGO_HOME": str(cargo), "LC_ALL": "C.UTF-8"}
    env |= {"LOKI_MAX_PARALLEL_SESSIONS": "1", "PLAIN_WORD": "perhaps a secret"}
    env |= {"XDG_RUNTIME_DIR": str(runtime)}
    made.spawn("a", env=env)
    made.spawn("b", env=env)
    assert made.status("b") == "queued"
    kept = repo.path / ".git" / "loki" / "environments" / "feature-b.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    found = files_with(tmp_path, SECRET)
    assert [p.relative_to(runtime).parts[0] for p in found] == ["loki-hooks"] * (2 if memory else 0)
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in found)
    os.kill(int(made.record("a")["session"]["pid"]), 9)
    hook = {
        "LOKI_TRUST": "1",
        "PATH": f"{tmp_path}/hook-env/bin{os.pathsep}{SCRIPTS}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "VIRTUAL_ENV": f"{tmp_path}/hook-env",
        "PRE_COMMIT": "1",
        "PRE_COMMIT_FROM_REF": "x",
        "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z",
        "GIT_DIR": str(repo.path / ".git"),
        "PYTHONPATH": "/nowhere",
        "STARTERS_KEY": "inherited where nothing else is known",
    }
    assert repo.loki("run", "--once", env=hook).code == 0
    made.wait_for("b", "ready", timeout=60)
    got = told(made, "b")
    assert str(tools) in got["PATH"].split(os.pathsep)
    assert "hook-env" not in got["PATH"]
    assert (got["CARGO_HOME"], got["LC_ALL"]) == (str(cargo), "C.UTF-8")
    assert not {"VIRTUAL_ENV", "PRE_COMMIT", "PRE_COMMIT_FROM_REF", "GIT_AUTHOR_DATE", "GIT_DIR"} & set(got)
    assert got.get("MY_API_KEY") == (SECRET if memory else None)
    assert ("STARTERS_KEY" in got) != memory
    assert "2001" not in repo.git("log", "-1", "--format=%ad", "feature/b")
    made.quiet()
    assert not files_with(repo.path, SECRET)
    assert repo.loki("finish", "b", "--abandon").code == 0
    assert not kept.exists()
    assert not list(runtime.rglob("feature-b.json"))


def test_resume_brings_the_environment_of_who_says_it(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    made = yard(repo, gate=False)
    made.agent("x", "exit 1\n")
    made.spawn("x", env={"LC_ALL": "C"})
    made.wait_for("x", "failed")
    made.quiet()
    made.agent("x", TELL % made.outside)
    assert repo.loki("resume", "x", env={"LC_ALL": "C.UTF-8"}).code == 0
    made.wait_for("x", "ready")
    assert told(made, "x")["LC_ALL"] == "C.UTF-8"


def test_what_is_plain_and_what_another_session_had(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    yes = {
        "PATH": "/x",
        "LC_TIME": "C",
        "NVM_DIR": str(tmp_path),
        "SSH_AUTH_SOCK": f"{tmp_path}",
    }
    no = {
        "MY_TOKEN": "abc",
        "AWS_SECRET_ACCESS_KEY": "/wJalrXUtnFEMI/K7MDENG",
        "X": "",
        "GIT_CONFIG_VALUE_0": "b",
        "GIT_SSH_COMMAND": "sshpass -p x ssh",
        "HTTPS_PROXY": "http://u:p@h",
        "LOKI_HOOKS_SCRATCH": str(tmp_path),
    }
    assert all(is_plain(*item) for item in yes.items())
    assert not any(is_plain(*item) for item in no.items())
    made = yard(repo)
    made.once()
    site = made.context().site
    theirs = tmp_path / "theirs"
    for name, value in {
        "LOKI_WORKTREE": str(theirs),
        "LOKI_STREAM": "feature-other",
        "PORT": "20001",
        "PATH": f"{theirs}/.venv/bin{os.pathsep}{os.environ['PATH']}",
        "TMUX": "/tmp/tmux,1,0",
    }.items():
        monkeypatch.setenv(name, value)
    keep(site, "feature-x")
    for name in ("LOKI_WORKTREE", "LOKI_STREAM", "PORT", "TMUX"):
        monkeypatch.delenv(name)
    found = environment_for(site, "feature-x")
    assert not {"LOKI_STREAM", "PORT", "TMUX"} & set(found)
    assert str(theirs) not in found["PATH"]
    kept = site.private / "environments" / "feature-x.json"
    for damage in ("", "[]", '{"id": 1, "env": {}}', '{"id": "a", "env": {"A=B": "c", "LANG": 7, "TZ": "UTC"}}'):
        kept.write_text(damage)
        assert environment_for(site, "feature-x")["TZ"] == "UTC"
        assert "A=B" not in environment_for(site, "feature-x")


def test_where_there_is_no_runtime_folder_shared_memory_keeps_it_and_is_swept(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(spawn_environment, "SHARED_MEMORY", tmp_path)
    monkeypatch.setenv("MY_API_KEY", SECRET)
    root = tmp_path / f"loki-hooks-{os.getuid()}"
    gone = root / "gone"
    made = yard(repo)
    made.once()
    site = made.context().site
    keep(site, "feature-x")
    gone.mkdir()
    (gone / "feature-x.json").write_text(f'{{"id": "a", "common": "{tmp_path}/nothing", "env": {{}}}}')
    monkeypatch.delenv("MY_API_KEY")
    assert environment_for(site, "feature-x")["MY_API_KEY"] == SECRET
    assert root.stat().st_mode & 0o777 == 0o700
    keep(site, "feature-y")
    assert not gone.exists()
    assert {p.name for p in root.rglob("*.json")} == {"feature-x.json", "feature-y.json"}
    assert not files_with(repo.path, SECRET)
    root.chmod(0o755)  # somebody else may have made it
    assert "MY_API_KEY" not in environment_for(site, "feature-x")
    root.chmod(0o700)
    forget(site, "feature-x")
    forget(site, "feature-y")
    assert list(root.iterdir()) == []

"""`install` trusts what it has shown, asks for agents that ask nobody, and `--dry-run` shows just that."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from conftest import SCRIPTS, Repo

LOKI = str(SCRIPTS / "loki-hooks")


def typed(argv: list[str], cwd: Path, answer: str) -> str:
    """Run a program on a terminal, answer its first question, and return what it showed."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(argv, cwd=cwd, stdin=follower, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            if b"[y/N]" in chunk and b"[y/N]" not in shown:
                os.write(leader, f"{answer}\n".encode())
            shown += chunk
    except OSError:  # it has ended
        pass
    finally:
        os.close(leader)
        child.communicate(timeout=60)
    assert child.returncode == 0, shown
    return shown.decode()


def trusted(repo: Repo) -> str:
    return repo.loki("trust", "--show").out


def test_what_a_dry_run_lists_is_what_is_trusted_the_proposed_gate_too(repo: Repo) -> None:
    repo.commit("Tests", {"pytest.ini": "[pytest]\n"})
    dry = [line for line in repo.loki("install", "--dry-run").out.splitlines() if line.startswith("trust ")]
    done = repo.loki("install")
    real = [line.removeprefix("loki-hooks: trusts ") for line in done.err.splitlines() if ": trusts " in line]
    assert [line.removeprefix("trust ") for line in dry] == real
    assert any(line.startswith("gate unit: ") for line in real)
    assert "new " not in trusted(repo)


def test_an_agent_that_asks_nobody_is_asked_for_by_name(repo: Repo) -> None:
    shown = typed([LOKI, "install"], repo.path, "n")
    assert "claude does everything without asking" in shown
    assert "claude is not trusted" in shown
    assert "new agent claude" in trusted(repo)
    assert "new copy" not in trusted(repo)
    typed([LOKI, "install"], repo.path, "y")
    assert "new " not in trusted(repo)


def test_what_will_not_happen_by_itself_is_said(repo: Repo) -> None:
    repo.commit("Packages", {f"{name}/package.json": "{}" for name in ("api", "web")})
    repo.commit("Node", {"package.json": '{"dependencies": {"x": "1"}}'})
    said = repo.loki("install").err
    assert "no gate" in said
    assert "monorepo" in said
    assert "no lock file" in said

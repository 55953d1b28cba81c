"""Real clients from their registries, installed once a test run; a missing package is the only reason to skip."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.conftest import once

PACKAGES = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
    "opencode": "opencode-ai",
}


def npm_client(shared: Path, agent: str) -> Path:
    """Return the folder that has the agent's program, installed from npm."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    package = PACKAGES[agent]

    def make(target: Path) -> None:
        (target / "package.json").write_text("{}")
        argv = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--no-progress",
            f"--cache={shared / 'npm-cache'}",
            package,
        ]
        done = subprocess.run(argv, cwd=target, capture_output=True, text=True, timeout=400)
        if "E404" in done.stderr:
            (target / "missing").touch()
        elif done.returncode != 0:
            raise AssertionError(f"npm install {package}: {done.stderr[-2000:]}")

    folder = once(shared, f"client-{agent}", make)
    if (folder / "missing").exists():
        pytest.skip(f"the registry has no package {package}")
    return folder / "node_modules" / ".bin"


def aider_sources(shared: Path) -> Path:
    """Return a folder that has aider's own package, without the hundred that it needs to run."""

    def make(target: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(
            [*pip, "--target", str(target), "aider-chat"], capture_output=True, text=True, timeout=300
        )
        if "No matching distribution" in done.stderr:
            (target / "missing").touch()
        else:
            assert done.returncode == 0, done.stderr[-2000:]

    folder = once(shared, "client-aider", make)
    if (folder / "missing").exists():
        pytest.skip("the registry has no package aider-chat")
    return folder

"""The presets' flags exist in the real programs, as these say themselves."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest
from support.clients import PACKAGES, aider_sources, npm_client

from loki_hooks.domain.sessions.agents import PRESETS, Agent
from loki_hooks.domain.sessions.prompts import words_of

pytestmark = [pytest.mark.extra, pytest.mark.network]


def flags(agent: Agent) -> set[str]:
    return {word for word in (*words_of(agent.command), *agent.model_args, *agent.read_args) if word.startswith("-")}


def missing(agent: Agent, text: str) -> set[str]:
    """Return the flags that the help does not have as words of their own."""
    return {flag for flag in flags(agent) if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text)}


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_the_flags_of_a_preset_are_in_the_programs_help(shared: Path, sealed_home: Path, name: str) -> None:
    agent = PRESETS[name]
    folder = npm_client(shared, name)
    program, *rest = words_of(agent.command)
    subcommand = list(itertools.takewhile(lambda word: not word.startswith(("-", "{")), rest))
    env = {
        **os.environ,
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [str(folder / program), *subcommand, "--help"],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert missing(agent, done.stdout + done.stderr) == set()


def test_the_flags_of_aider_are_in_its_own_parser(shared: Path) -> None:
    """Read from its sources: to print its help, aider loads everything that it can do."""
    source = (aider_sources(shared) / "aider" / "args.py").read_text(encoding="utf-8")
    options = {
        word.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
        for word in node.args
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }
    assert len(options) > 50
    assert flags(PRESETS["aider"]) <= options


def test_every_preset_is_checked() -> None:
    assert set(PRESETS) == {*PACKAGES, "aider"}

"""What `install` says that will not happen by itself."""

from __future__ import annotations

import pytest

from loki_hooks.domain.install.proposal import shortfalls
from loki_hooks.domain.sessions.agents import PRESETS, is_unguarded

NODE = '{"devDependencies": {"mocha": "*"}}'


@pytest.mark.parametrize(
    ("files", "packages", "has_gate", "automatic", "words"),
    [
        ({}, set(), True, True, ()),
        ({}, set(), False, True, ("no gate",)),
        ({}, {"api", "web"}, False, True, ("monorepo",)),
        ({"package.json": NODE}, set(), True, True, ("lock file",)),
        ({"package.json": NODE}, set(), True, False, ()),
        ({"package.json": NODE, "package-lock.json": ""}, set(), True, True, ()),
        ({"package.json": "{"}, set(), True, True, ()),
        ({"package.json": "{}"}, set(), True, True, ()),
    ],
)
def test_what_is_missing_is_said(
    files: dict[str, str], packages: set[str], has_gate: bool, automatic: bool, words: tuple[str, ...]
) -> None:
    said = shortfalls(files, packages, has_gate=has_gate, automatic=automatic)
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))


def test_agents_that_ask_nobody_are_known() -> None:
    commands = {name: " ".join(agent.command) for name, agent in PRESETS.items()}
    assert all(map(is_unguarded, commands.values())), commands
    for command in ("claude -p '{prompt}'", "claude --permission-mode plan", "sh work.sh --automatic", "codex exec"):
        assert not is_unguarded(command)

"""What an agent is: its command line, and the words by which its provider turns it away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Command = str | tuple[str, ...]
"""A string for sh, or an argument vector."""


@dataclass(frozen=True)
class Agent:
    """A program to run. Where ``command`` has the word ``{args}``, the others go in, each only when there is a need.

    ``model_args`` are for a configured model (``{model}``), ``read_args`` for each folder to read (``{dir}``).
    """

    name: str
    command: Command
    model_args: tuple[str, ...] = ()
    read_args: tuple[str, ...] = ()


PRESETS: Mapping[str, Agent] = {
    agent.name: agent
    for agent in (
        Agent(
            "claude",
            ("claude", "--dangerously-skip-permissions", "{args}", "-p", "{prompt}"),
            ("--model", "{model}"),
            ("--add-dir", "{dir}"),
        ),
        Agent(
            "codex",
            ("codex", "exec", "--dangerously-bypass-approvals-and-sandbox", "{args}", "{prompt}"),
            ("--model", "{model}"),
            ("--add-dir", "{dir}"),
        ),
        # A fresh worktree is a folder that Gemini does not know: headless, it ends at once unless told to trust it.
        Agent(
            "gemini",
            ("gemini", "--yolo", "--skip-trust", "{args}", "-p", "{prompt}"),
            ("--model", "{model}"),
            ("--include-directories", "{dir}"),
        ),
        Agent("aider", ("aider", "--yes-always", "{args}", "--message-file", "{prompt_file}"), ("--model", "{model}")),
        Agent("opencode", ("opencode", "run", "--auto", "{args}", "{prompt}"), ("--model", "{model}")),
    )
}

RATE_WORDS = (
    r"\brate[ _-]?limit",
    r"\b(usage|session|weekly|5-hour|hourly|daily) limit (was )?(reached|exceeded|hit)",
    r"hit your (usage |session |weekly )?limit",
    r"\b(status|error|code|http|rejected)\W{1,3}429\b",
    r"\btoo many requests\b",
    r"\bRESOURCE_EXHAUSTED\b",
    r"\bquota (was |has been )?exceeded\b",
    r"exceeded your current quota",
    r"\boverloaded_error\b",
)
"""How the presets' programs say that their provider turned them away; regular expressions, whatever the case."""


@dataclass(frozen=True)
class RateLimit:
    """What tells that a provider turned an agent away, and how long to wait then: ``wait`` seconds, doubled up to ``longest``."""

    words: tuple[str, ...] = RATE_WORDS
    wait: float = 60
    longest: float = 3600
    tries: int = 10
    """So often in a row; then the stream is failed. 0: it fails at once."""


@dataclass(frozen=True)
class Launch:
    """How an agent is started: which one, with which model ('' for its own), words and folders to read."""

    agent: str = ""
    model: str = ""
    args: tuple[str, ...] = ()
    read_dirs: tuple[str, ...] = ()
    """Paths from the main worktree, names of streams, or ``*`` for the worktrees of all other streams."""
    stages: tuple[str, ...] = ()

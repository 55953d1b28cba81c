"""All that belongs to an agent: its command line, the words by which its provider turns it away, and how its end is read.

One more agent is one more entry of ``PRESETS``. One whose end has to be read in another way names a rule of its own, which
is one more function in `ending.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from loki_hooks.domain.limits import OURS, Check, Expression, Limit, Text
from loki_hooks.domain.streams.stages import STAGES, Stage, is_order

Command = Text | Annotated[tuple[Text, ...], Limit(min_length=1)]
"""A string for sh, or an argument vector."""


RATE_WORDS = (
    r"\b(exceed(ed|s)?|hit|reached|over) (your |the |an? )?([\w']+ )?rate[ -]limits?\b",
    r"\brate[ -]limit (was |has been )?(reached|exceeded|hit)\b",
    r"(?<![\w.])rate_limit_(error|exceeded)\b",
    r"\bRateLimit(ed)?Error\b",
    r"\b(been|being|are) rate[ -]limited\b",
    r"\b(usage|session|weekly|5-hour|hourly|daily) limit (was )?(reached|exceeded|hit)",
    r"\bhit your (usage |session |weekly )?limit",
    r"\b(status|error|code|http|rejected)\W{1,3}429\b",
    r"\btoo many requests\b",
    r"\bRESOURCE_EXHAUSTED\b",
    r"\bquota (was |has been )?exceeded\b",
    r"exceeded your current quota",
    r"\boverloaded_error\b",
)
"""How the presets' programs say that their provider turned them away; regular expressions, whatever the case."""

BY_EXIT_STATUS = "exit-status"
"""The rule that most agents' ends are read by: the exit status, then commits, then what is left uncommitted."""


@dataclass(frozen=True)
class Agent:
    """A program to run. Where ``command`` has the word ``{args}``, the others go in, each only when there is a need.

    ``model_args`` are for a configured model (``{model}``), ``read_args`` for each folder to read (``{dir}``).
    ``turned_away`` are regular expressions, searched in the last lines of its log, whatever the case. ``end`` names the rule
    (one of ``RULES`` in `ending.py`) by which its end is read.
    """

    name: str = field(metadata=OURS)
    command: Command
    model_args: tuple[Text, ...] = ()
    read_args: tuple[Text, ...] = ()
    turned_away: tuple[str, ...] = field(default=RATE_WORDS, metadata=OURS)
    end: str = field(default=BY_EXIT_STATUS, metadata=OURS)


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


_UNGUARDED = re.compile(
    r"--(dangerously-[a-z-]+|allow-dangerously-[a-z-]+|yolo|yes-always|auto|skip-trust)(?![\w-])"
    r"|bypassPermissions|danger-full-access|--approval-mode[= ]yolo|--ask-for-approval[= ]never"
)


def is_unguarded(command: str) -> bool:
    """Return whether an agent's command line has it do everything without asking."""
    return bool(_UNGUARDED.search(command))


@dataclass(frozen=True)
class RateLimit:
    """What tells that a provider turned an agent away, and how long to wait then: ``wait`` seconds, doubled up to ``longest``."""

    words: tuple[Expression, ...] | None = None
    """Regular expressions for all agents; None: each agent's own."""
    wait: Annotated[float, Limit(gt=0, le=86400)] = 60
    longest: Annotated[float, Limit(gt=0, le=86400)] = 3600
    tries: Annotated[int, Limit(ge=0, le=1000)] = 10
    """So often in a row; then the stream is failed. 0: it fails at once."""


def _disordered(stages: tuple[Stage, ...]) -> str:
    return "" if is_order(stages) else f"stages are some of {', '.join(STAGES)}, in this order"


Stages = Annotated[tuple[Stage, ...], Check(_disordered)]


@dataclass(frozen=True)
class Launch:
    """How an agent is started: which one, with which model ('' for its own), words and folders to read."""

    agent: Text = ""
    model: Text = ""
    args: tuple[Text, ...] = ()
    read_dirs: tuple[Text, ...] = ()
    """Paths from the main worktree, names of streams, or ``*`` for the worktrees of all other streams."""
    stages: Stages = ()

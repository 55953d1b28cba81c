"""Gate results: what a test command's run says about a tree, and what may pass because of it.

A result is a fact about (tree, command, environment fingerprint). It is stored under
``refs/loki/gates/<tree>/<gate-hash>`` and is the proof; signals only announce it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from loki_hooks.domain.config import Environment, Gate
from loki_hooks.domain.sessions.agents import Command

RETRY_COULD_NOT_RUN = 900
"""Seconds after which a run that could not be made, or was flaky, may be tried again by itself."""


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    COULD_NOT_RUN = "could-not-run"
    FLAKY = "flaky"
    PRE_EXISTING = "pre-existing"


@dataclass(frozen=True)
class GateResult:
    """One run. ``seconds`` is its wall time, ``tail`` the end of its output, ``runs`` how often the command ran."""

    gate: str
    tree: str
    commit: str
    outcome: Outcome
    exit_code: int | None
    seconds: float
    finished_at: str
    reason: str = ""
    tail: str = ""
    command: str = ""
    gate_hash: str = ""
    runs: int = 1
    since: str = ""
    """Of a gate that could not be run on the tree several times in a row: when that was so first; '' for just now."""

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "tree": self.tree,
            "commit": self.commit,
            "outcome": self.outcome.value,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "finished_at": self.finished_at,
            "reason": self.reason,
            "tail": self.tail,
            "command": self.command,
            "gate_hash": self.gate_hash,
            "runs": self.runs,
            "since": self.since,
        }

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        """Return the result in ``value``, or None when it is none (anyone can push a ref)."""
        if not isinstance(value, Mapping):
            return None
        try:
            outcome = Outcome(str(value.get("outcome")))
        except ValueError:
            return None
        exit_code, seconds, runs = value.get("exit_code"), value.get("seconds"), value.get("runs")
        texts = {
            key: found if isinstance(found := value.get(key), str) else ""
            for key in ("gate", "tree", "commit", "finished_at", "reason", "tail", "command", "gate_hash", "since")
        }
        return cls(
            outcome=outcome,
            exit_code=exit_code if type(exit_code) is int else None,
            seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
            runs=runs if type(runs) is int else 1,
            **texts,
        )


def command_text(command: Command) -> str:
    """Return the command as a person would type it."""
    if isinstance(command, str):
        return command
    return " ".join(part if re.fullmatch(r"[\w@%+=:,./-]+", part) else repr(part) for part in command)


def gate_hash(gate: Gate, environment: Environment, platform: str, drivers: Mapping[str, str] | None = None) -> str:
    """Return the hash of what can change a result without changing the tree: command, platform, set-up, variables.

    ``drivers``: what the user's own configuration of git does to files that are checked out.

    Only what is declared counts, so it is the same from a hook, a runner and a terminal.
    """
    value = (
        {
            "command": gate.command if isinstance(gate.command, str) else list(gate.command),
            "platform": platform,
            "setup": environment.setup if isinstance(environment.setup, str | bool) else list(environment.setup),
            "set": dict(sorted(environment.set.items())),
            "fingerprint": list(gate.fingerprint),
        }
        | ({"keep": list(gate.keep)} if gate.keep else {})
        | ({"fresh": True} if gate.fresh else {})
        | ({"environment": [*environment.copy, None, *environment.link]} if gate.environment else {})
        | ({"drivers": dict(sorted(drivers.items()))} if drivers else {})
    )
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def lets_through(gate: Gate, outcome: Outcome | None) -> bool:
    """Return whether a tree with this outcome may go through the gate: only what passed, or flaky where allowed."""
    return outcome is Outcome.PASSED or (outcome is Outcome.FLAKY and gate.flaky_passes)


class Standing(StrEnum):
    """How a tree stands with all the gates together."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """Some gate could not run, or was flaky, a moment ago: nobody is blamed, nothing lands."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SeenResult:
    """A gate and the newest result that it has for a tree (None: none). ``age`` in seconds since it finished."""

    gate: Gate
    result: GateResult | None
    age: float = 0.0


def standing(seen: Iterable[SeenResult]) -> Standing:
    """Return how a tree stands. A failure weighs most, then what blocks, then what is missing."""
    found = set()
    for entry in seen:
        if entry.result is None:
            found.add(Standing.UNKNOWN)
        elif lets_through(entry.gate, entry.result.outcome):
            found.add(Standing.PASSED)
        elif entry.result.outcome is Outcome.FAILED:
            found.add(Standing.FAILED)
        else:
            found.add(Standing.BLOCKED if entry.age < RETRY_COULD_NOT_RUN else Standing.UNKNOWN)
    for worst in (Standing.FAILED, Standing.BLOCKED, Standing.UNKNOWN):
        if worst in found:
            return worst
    return Standing.PASSED


class Comparison(StrEnum):
    """What is to be done to know whether a tree is to blame that a gate could not be run on."""

    NOTHING = "it cannot be told: it is not run on the integration branch either, or somebody else is at fault"
    RUN_BASE = "run it on the integration branch now"
    RUN_AGAIN = "run it on the tree again: it could be run on the integration branch since"
    BLAME = "it could be run on the integration branch in between, and not on the tree before and after"


def compare(seen: Iterable[SeenResult], base: Iterable[SeenResult]) -> Comparison:
    """Return what the results of a tree and of the integration branch's own say of who keeps a gate from being run."""
    known = {entry.gate.name: entry.result for entry in base}
    found = {_compared(entry, known.get(entry.gate.name)) for entry in seen}
    order = (Comparison.BLAME, Comparison.RUN_AGAIN, Comparison.RUN_BASE)
    return next((one for one in order if one in found), Comparison.NOTHING)


def _compared(entry: SeenResult, base: GateResult | None) -> Comparison:
    mine = entry.result
    if mine is None or mine.outcome is not Outcome.COULD_NOT_RUN:
        return Comparison.NOTHING
    if base is None:
        return Comparison.RUN_BASE
    if not lets_through(entry.gate, base.outcome):
        return Comparison.NOTHING
    if base.finished_at <= (mine.since or mine.finished_at):
        return Comparison.RUN_BASE
    return Comparison.RUN_AGAIN if base.finished_at > mine.finished_at else Comparison.BLAME


def tail_of(output: str, lines: int = 40, characters: int = 6000) -> str:
    """Return the end of an output, as much as a person wants to see of it."""
    return "\n".join(output[-characters:].splitlines()[-lines:])

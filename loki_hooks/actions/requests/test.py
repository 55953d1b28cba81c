"""Run gates because somebody asks: on streams as they would land, on branches, on the integration branch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.run import Job, run_gate
from loki_hooks.domain.config import Gate
from loki_hooks.domain.gates.results import GateResult, Outcome
from loki_hooks.domain.names import shown
from loki_hooks.domain.streams.status import LIVING
from loki_hooks.errors import BadInputError, LokiError, RefusedError
from loki_hooks.system.git.merges import commit_tree
from loki_hooks.system.git.squashed import merge_stacked


@dataclass(frozen=True)
class GateSubject:
    """What is tested under which name: a commit, and the tree that counts."""

    name: str
    commit: str
    tree: str


@dataclass(frozen=True)
class Tested:
    """One gate on one subject. ``cached``: the result was known, nothing ran."""

    subject: str
    gate: str
    result: GateResult
    cached: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "stream": self.subject,
            "gate": self.gate,
            "tree": self.result.tree,
            "outcome": self.result.outcome.value,
            "cached": self.cached,
            "seconds": self.result.seconds,
            "reason": self.result.reason,
        }


def subjects(context: Context, words: tuple[str, ...], *, everything: bool) -> list[GateSubject]:
    """Return what to test: the streams named (each merged into the integration branch), or branches, or (without a
    word) the integration branch; with ``everything`` all living streams that have work. Raises ``LokiError``.
    """
    git = context.git
    tip = git.commit_id(context.integration_ref)
    if tip is None:
        raise RefusedError(f"{context.integration} has no commit yet", "make one first")
    state = context.store.read()
    if everything:
        records = [
            r
            for r in state.streams.values()
            if r.status in LIVING and git.commit_id(f"refs/heads/{r.branch}") not in {None, r.base}
        ]
        words = tuple(r.stream for r in records)
    elif not words:
        words = (context.integration,)
    found = []
    for word in words:
        record = state.find(word)
        if record is None or record.standing:
            commit = git.commit_id(context.integration_ref if record else word)
            if commit is None:
                raise BadInputError(
                    f"there is no stream and no branch {shown(word)}", "`loki-hooks status` lists the streams"
                )
            found.append(GateSubject(record.stream if record else word, commit, git.tree_id(commit)))
            continue
        at = git.commit_id(f"refs/heads/{record.branch}")
        if at is None:
            raise LokiError(f"the branch {record.branch} of {record.name} is gone")
        merged = merge_stacked(git, tip, at)
        if merged.conflicts:
            raise LokiError(
                f"{record.name} conflicts with {context.integration} in {', '.join(merged.conflicts[:5])}",
                f"resolve it in {record.path}",
            )
        commit = commit_tree(git, merged.tree, (tip, at), f"Test {record.stream} merged into {context.integration}\n")
        found.append(GateSubject(record.stream, commit, merged.tree))
    return found


def run_tests(
    context: Context,
    wanted: list[GateSubject],
    *,
    again: bool = False,
    begin: Callable[[GateSubject, Gate], None],
    echo: Callable[[str], None] | None,
    stop: threading.Event,
) -> Iterator[Tested]:
    """Run each gate on each subject, unless its result is known; yield results as they come. Raises ``LokiError``."""
    gates = context.config.in_force.gates
    if not gates:
        raise RefusedError(
            f"no gate is configured on {context.integration}",
            'add [gates.unit] command = "…" to loki-hooks.toml and commit it there',
        )
    untrusted = untrusted_reason(context, gates_only=True)
    if untrusted:
        raise RefusedError(f"the gate may not run: {untrusted}", "`loki-hooks trust --show` shows what it would run")
    for subject in wanted:
        for gate in gates.values():
            begin(subject, gate)
            job = Job(gate, subject.commit, subject.tree, subject.name, echo=echo, stop=stop, again=again)
            result, cached = run_gate(context, job)
            yield Tested(subject.name, gate.name, result, cached)


def all_passed(results: list[Tested]) -> bool:
    return all(r.result.outcome is Outcome.PASSED for r in results)

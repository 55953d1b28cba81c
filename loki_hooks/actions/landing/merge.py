"""What merging a stream gives, and what the merge says."""

from __future__ import annotations

from loki_hooks.actions.context import Context
from loki_hooks.domain.landing.additive import is_additive
from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.refs import PLAN_ITEM_TRAILER, PLAN_TRAILER, TIP_TRAILER
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.system.git.keep_both import keep_both
from loki_hooks.system.git.merges import Merged, merge_trees


def merge(context: Context, ours: str, theirs: str) -> Merged:
    """Return what merging gives; conflicts of additions only, in the files that `merge.additive` names, keep both."""
    merged = merge_trees(context.git, ours, theirs)
    patterns = context.config.in_force.merge.additive
    if merged.conflicts and all(is_additive(path, patterns) for path in merged.conflicts):
        tree = keep_both(context.git, ours, theirs, patterns)
        return Merged(tree) if tree else merged
    return merged


def plan_lines(record: StreamRecord) -> list[str]:
    """Return the trailers of the plan that the stream was of."""
    plan, items = record.task.plan, record.task.plan_items
    if not plan:
        return []
    return [f"{PLAN_TRAILER}: {plan}", *(f"{PLAN_ITEM_TRAILER}: {item}" for item in items)]


def closing_lines(record: StreamRecord) -> list[str]:
    """Return the paragraph by which GitHub closes the issues that the stream was about; [] for none."""
    plan = record.task.plan
    if not plan.startswith("gh:"):
        return []
    closes = [f"Closes {plan.removeprefix('gh:')}{item}" for item in record.task.plan_items if item.startswith("#")]
    return [*closes, ""] if closes else []


def message_of(context: Context, record: StreamRecord, way: Way) -> str:
    """Return the landing commit's message: it names the stream, its task and the gates."""
    if way.squashes:
        lines = [record.task.title or f"Add {record.name}", ""]
        listed = context.git.out(
            "log",
            "--reverse",
            "--no-merges",
            "--format=- %s",
            "--max-count=50",
            f"{context.integration_ref}..{record.tip}",
        )
        lines += [*listed.splitlines(), "", f"{TIP_TRAILER}: {record.tip}"]
    else:
        lines = [f"Merge stream {record.name} ({record.branch}) into {context.integration}", ""]
        if record.task.title:
            lines += [record.task.title, ""]
    lines += closing_lines(record)
    lines.append(f"Loki-Stream: {record.stream}")
    if record.task.id:
        lines.append(f"Loki-Task: {record.task.id}")
    lines += plan_lines(record)
    gates = ", ".join(sorted(context.config.in_force.gates))
    if gates:
        lines.append(f"Loki-Gates: {gates}")
    return "\n".join(lines) + "\n"

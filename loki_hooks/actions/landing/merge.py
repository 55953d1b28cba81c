"""What merging a stream gives, and what the merge says."""

from __future__ import annotations

from loki_hooks.actions.context import Context
from loki_hooks.domain.landing.additive import is_additive
from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.refs import TIP_TRAILER
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
    lines.append(f"Loki-Stream: {record.stream}")
    if record.task.id:
        lines.append(f"Loki-Task: {record.task.id}")
    gates = ", ".join(sorted(context.config.in_force.gates))
    if gates:
        lines.append(f"Loki-Gates: {gates}")
    return "\n".join(lines) + "\n"

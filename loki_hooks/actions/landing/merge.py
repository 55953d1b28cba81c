"""What merging a stream gives, and what the merge says."""

from __future__ import annotations

from dataclasses import dataclass

from loki_hooks.actions.context import Context
from loki_hooks.domain.landing.additive import is_additive
from loki_hooks.domain.landing.squash import Made, Squashed, squash
from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.refs import PLAN_ITEM_TRAILER, PLAN_TRAILER, TIP_TRAILER
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.system.git.git import split_z
from loki_hooks.system.git.keep_both import keep_both
from loki_hooks.system.git.merges import Merged, merge_trees
from loki_hooks.system.git.squashed import squashed_within, with_squashed

_LISTED = 50
_READ = 500


def merge(context: Context, ours: str, theirs: str) -> Merged:
    """Return what merging gives; conflicts of additions only, in the files that `merge.additive` names, keep both.

    What ``theirs`` was built on, and what landed squashed in ``ours``, is merged already.
    """
    ours = with_squashed(context.git, ours, theirs)
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


@dataclass(frozen=True)
class LandingCommit:
    """What the landing's commit says, and who is its author (``GIT_AUTHOR_*``; {} for whoever lands it)."""

    message: str
    author: dict[str, str]


def landing_of(context: Context, record: StreamRecord, way: Way, onto: str) -> LandingCommit:
    """Return what the landing commit says: it names the stream, its task and the gates. ``onto``: its first parent.

    One that squashes keeps who wrote the commits, and what their footers say.
    """
    author: dict[str, str] = {}
    footers: list[str] = []
    if way.squashes:
        made = _commits(context, record, onto)
        kept = squash(made)
        lines = [
            record.task.title or f"Add {record.name}",
            "",
            *(f"- {commit.subject}" for commit in made[:_LISTED]),
            "",
        ]
        for note in kept.notes if kept else ():
            lines += [note, ""]
        footers = [*(kept.footers if kept else ()), f"{TIP_TRAILER}: {record.tip}"]
        author = _author(kept)
    else:
        lines = [f"Merge stream {record.name} ({record.branch}) into {context.integration}", ""]
        if record.task.title:
            lines += [record.task.title, ""]
    lines += closing_lines(record)
    lines += [*footers, f"Loki-Stream: {record.stream}"]
    if record.task.id:
        lines.append(f"Loki-Task: {record.task.id}")
    lines += plan_lines(record)
    gates = ", ".join(sorted(context.config.in_force.gates))
    if gates:
        lines.append(f"Loki-Gates: {gates}")
    return LandingCommit("\n".join(lines) + "\n", author)


def _commits(context: Context, record: StreamRecord, onto: str) -> list[Made]:
    """Return the commits that landing the stream on ``onto`` adds, the oldest first."""
    git = context.git
    without = [f"^{tip}" for tip in squashed_within(git, onto, record.tip)]
    form = "--format=%an <%ae>%x01%ad%x01%B"
    words = ("-z", "--reverse", "--topo-order", "--no-merges", "--date=raw", f"--max-count={_READ}", form)
    listed = git.out("log", *words, f"{onto}..{record.tip}", *without)
    return [Made(*entry.split("\1", 2)) for entry in split_z(listed) if entry.count("\1") >= 2]


def _author(kept: Squashed | None) -> dict[str, str]:
    name, _, address = kept.author.rstrip(">").rpartition(" <") if kept else ("", "", "")
    if kept is None or not name or not address:  # git makes no commit of nobody's
        return {}
    return {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address, "GIT_AUTHOR_DATE": f"@{kept.date}"}

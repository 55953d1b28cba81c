"""The conflict radar: look at every live stream, merge every pair in memory, remember what came of it.

Only pairs that nothing is known of are merged, all by one git process (two, when they are many); where nothing
changed, none is. Objects of snapshots and merges go to a folder that is gone afterwards. The worktrees, their indexes,
refs and the stash are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.merge import merge
from loki_hooks.domain.landing.additive import is_additive
from loki_hooks.domain.secrets import withheld_of
from loki_hooks.domain.streams.failures import in_words
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import LIVING, Status
from loki_hooks.domain.train.radar import Pair, Radar, StreamLook, conflicts_between, pairs_among, plain_path
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git.git import Git, git_version
from loki_hooks.system.git.merges import merge_pairs
from loki_hooks.system.git.snapshots import WorktreeLook, borrowed_objects, look, snapshot
from loki_hooks.system.git.squashed import merge_stacked, with_squashed
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.store import events

ENOUGH = 15.0
"""For so many seconds a pass does not look into worktrees again, unless a branch moved."""
_LOOKERS = 4
_SNAPPERS = 4
_MANY = 200

Files = tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """What the radar sees. ``conflicts``: stream → (stream, or '' for the integration branch) → files.

    ``alone``: stream → the tree of its tip merged into the integration branch. ``looks``: stream → its worktree.
    """

    conflicts: Mapping[str, Mapping[str, Files]] = field(default_factory=dict)
    alone: Mapping[str, str] = field(default_factory=dict)
    looks: Mapping[str, WorktreeLook | None] = field(default_factory=dict)
    trouble: str = ""
    """Why something could not be predicted, '' for nothing."""


def survey(context: Context, records: Sequence[StreamRecord], tips: Mapping[str, str], base: str) -> Picture:
    """Look into the worktrees of ``records``, return how they go together, and remember it.

    ``tips`` has each stream's commit ('' for none), ``base`` is the integration branch's ('' for none). Raises nothing
    for a pair that cannot be merged: nothing is known of it then.
    """
    from concurrent.futures import ThreadPoolExecutor

    troubles: list[str] = []
    with ThreadPoolExecutor(_LOOKERS) as pool:
        found = pool.map(lambda record: _look_or_say(record, troubles), records)
        looks = dict(zip((r.stream for r in records), found, strict=True))
    live = [r for r in records if _takes_part(r, tips[r.stream], looks[r.stream])]
    before = _read(context)
    radar = replace(
        before,
        seen_at=now(),
        onto=base,
        looks={
            r.stream: StreamLook(tips[r.stream], _mark(r, tips[r.stream], looks[r.stream]), tips[r.stream])
            for r in live
        },
    )
    with ExitStack() as stack:
        objects: dict[str, str] = {}

        def borrow() -> Mapping[str, str]:
            if not objects and git_version() >= (2, 39):  # libgit2, before, knows only the repository's own
                objects.update(stack.enter_context(borrowed_objects(context.site.common)))
            return objects

        try:
            radar = _with_heads(before, radar, live, looks, base, borrow)
            wanted = _wanted(radar, base)
            radar = _with_pairs(context.git, radar, wanted, borrow)
            troubles += _unmerged(radar, wanted)
            radar = _with_alone(context, radar, base, borrow)
        except Exception as error:  # noqa: BLE001  a prediction is never a reason to stop
            troubles.append(in_words(error))
    radar = _told(context, before, radar.pruned(), troubles)
    if _changed(before, radar):
        _write(context, radar)
    alone = {s: tree for s, seen in radar.looks.items() if (tree := radar.alone.get((base, seen.tip), ""))}
    return Picture(_conflicts(context, radar), alone, looks, radar.trouble)


def refresh(context: Context) -> Mapping[str, Mapping[str, Files]]:
    """Return who conflicts with whom, as `survey` does, for a pass: worktrees are looked into only when that is due."""
    records = [r for _, r in sorted(context.store.read().streams.items()) if not r.standing and r.status in LIVING]
    if not records:
        return {}
    heads = context.git.refs("refs/heads/")
    base = heads.get(context.integration_ref, "")
    tips = {r.stream: heads.get(f"refs/heads/{r.branch}", "") for r in records}
    radar = _read(context)
    known = radar.tips()
    age = seconds_since(radar.seen_at)
    branched = [r for r in records if tips[r.stream]]
    unmoved = base == radar.onto and all(known.get(r.stream, r.base) == tips[r.stream] for r in branched)
    if unmoved and known.keys() <= tips.keys() and age is not None and 0 <= age < ENOUGH:
        return _conflicts(context, radar)
    return survey(context, records, tips, base).conflicts


def conflicts_of_tips(context: Context, records: Sequence[StreamRecord]) -> Mapping[str, Mapping[str, Files]]:
    """Return who of the streams conflicts with whom, as committed; what is not known yet is merged and remembered."""
    heads = {r.stream: r.tip for r in records}
    radar = _read(context)
    wanted = pairs_among(heads.values())
    if radar.missing(wanted):
        try:
            with borrowed_objects(context.site.common) as objects:
                merged = _with_pairs(context.git, radar, wanted, lambda: objects)
            _write(context, merged)
            radar = merged
        except Exception as error:  # noqa: BLE001  then the order is that of age
            told = _told(context, radar, radar, [in_words(error)])
            if told != radar:
                _write(context, told)
    return _without_additive(context, conflicts_between(heads, radar.pairs))


def _unmerged(radar: Radar, wanted: Sequence[Pair]) -> list[str]:
    missing = radar.missing(wanted)
    return [f"git cannot merge {len(missing)} of {len(wanted)} pairs of streams"] if missing else []


def _told(context: Context, before: Radar, radar: Radar, troubles: Sequence[str]) -> Radar:
    """Return the radar with what could not be predicted; it is an event when it was not known before."""
    trouble = "; ".join(troubles[:3])
    if trouble and trouble != before.trouble:
        events.record(context.site, "prediction-failed", detail=trouble)
    return replace(radar, trouble=trouble)


# What there is to merge -----------------------------------------------------------------------------------


def _look_or_say(record: StreamRecord, troubles: list[str]) -> WorktreeLook | None:
    try:
        return _look(record)
    except Exception as error:  # noqa: BLE001  one worktree that cannot be looked at hides no other
        troubles.append(f"{record.stream} cannot be looked at: {in_words(error)}")
        return None


def _look(record: StreamRecord) -> WorktreeLook | None:
    if not record.path:
        return None
    return look(Path(record.path), withheld_of(record))


def _mark(record: StreamRecord, tip: str, seen: WorktreeLook | None) -> str:
    """Return what tells the uncommitted work of the stream apart.

    Of another branch, checked out there, it is not; in the middle of a merge the files are nobody's work yet.
    """
    there = seen is not None and (seen.branch, seen.head, seen.operation) == (record.branch, tip, "")
    return seen.mark if seen is not None and there else ""


def _takes_part(record: StreamRecord, tip: str, seen: WorktreeLook | None) -> bool:
    """Whether the stream has work that may conflict."""
    return record.status in LIVING and bool(tip) and (tip != record.base or bool(_mark(record, tip, seen)))


def _wanted(radar: Radar, base: str) -> tuple[Pair, ...]:
    return pairs_among([*(seen.head for seen in radar.looks.values()), *([base] if base else [])])


def _with_heads(
    before: Radar,
    radar: Radar,
    live: Sequence[StreamRecord],
    looks: Mapping[str, WorktreeLook | None],
    base: str,
    borrow: Callable[[], Mapping[str, str]],
) -> Radar:
    """Return the radar with every stream's head, and the snapshots made that merging will need."""
    dirty = [r for r in live if radar.looks[r.stream].mark]
    heads = {s: before.head_for(s, seen.tip, seen.mark) for s, seen in radar.looks.items() if seen.mark}
    guess = {s: replace(seen, head=heads.get(s) or seen.tip) for s, seen in radar.looks.items()}
    known = replace(radar, looks=guess)
    merged_anew = {head for pair in known.missing(_wanted(known, base)) for head in pair}
    anew = None in heads.values()  # what is new will be merged with everybody
    todo = [r for r in dirty if anew or heads[r.stream] in merged_anew]
    if not todo:
        return known
    objects = borrow()

    def snap(record: StreamRecord) -> str | None:
        seen = looks[record.stream]
        tip = radar.looks[record.stream].tip
        return snapshot(Path(record.path), tip, seen.paths, objects, seen.withheld) if seen else None

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_SNAPPERS) as pool:
        for record, head in zip(todo, pool.map(snap, todo), strict=True):
            seen = guess[record.stream]
            guess[record.stream] = replace(seen, head=head) if head else StreamLook(seen.tip, "", seen.tip)
    return replace(radar, looks=guess)


# Merging --------------------------------------------------------------------------------------------------


def _with_pairs(git: Git, radar: Radar, wanted: Iterable[Pair], borrow: Callable[[], Mapping[str, str]]) -> Radar:
    missing = radar.missing(wanted)
    if not missing:
        return radar
    objects = borrow()
    parts = [missing[::2], missing[1::2]] if len(missing) > _MANY else [missing]
    found: dict[Pair, Files] = {}
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(parts)) as pool:
        for merged in pool.map(lambda part: _merge(git, part, objects), parts):
            found.update(merged)
    for pair, files in found.items():  # what was built on a stream that landed squashed is not in its way
        if files and radar.onto in pair:
            ours, theirs = sorted(pair, key=lambda head: head != radar.onto)
            if git.commit_id(theirs) is not None and with_squashed(git, ours, theirs) != ours:
                found[pair] = merge_stacked(git, ours, theirs).conflicts
    return replace(radar, pairs={**radar.pairs, **found})


def _merge(git: Git, pairs: Sequence[Pair], objects: Mapping[str, str]) -> dict[Pair, Files]:
    """Return what each pair conflicts in. What git cannot merge ends its process: that pair is found, and left out."""
    try:
        merged = merge_pairs(git, pairs, objects, unrelated=True)
    except LokiError:
        if len(pairs) < 2:
            return {}
        middle = len(pairs) // 2
        return _merge(git, pairs[:middle], objects) | _merge(git, pairs[middle:], objects)
    return {
        pair: tuple(dict.fromkeys(plain_path(path, pair) for path in result.conflicts))
        for pair, result in zip(pairs, merged, strict=True)
    }


def _with_alone(context: Context, radar: Radar, base: str, borrow: Callable[[], Mapping[str, str]]) -> Radar:
    """Return the radar with the tree of each tip merged into the integration branch: that is what gates are run on."""
    missing = sorted({(base, seen.tip) for seen in radar.looks.values() if base} - radar.alone.keys())
    if not missing:
        return radar
    found = {}
    for key, merged in zip(missing, merge_pairs(context.git, missing, borrow(), unrelated=True), strict=True):
        found[key] = merged.tree or merge(context, *key).tree
    return replace(radar, alone={**radar.alone, **found})


def _conflicts(context: Context, radar: Radar) -> dict[str, dict[str, Files]]:
    heads = {stream: seen.head for stream, seen in radar.looks.items()}
    if radar.onto:
        heads[""] = radar.onto
    found = _without_additive(context, conflicts_between(heads, radar.pairs))
    found.pop("", None)
    return found


def _without_additive(context: Context, conflicts: Mapping[str, Mapping[str, Files]]) -> dict[str, dict[str, Files]]:
    """Return those that conflict in more than files whose additions are both kept when they land."""
    patterns = context.config.in_force.merge.additive
    return {
        name: {it: files for it, files in others.items() if not all(is_additive(path, patterns) for path in files)}
        for name, others in conflicts.items()
    }


# Remembering ----------------------------------------------------------------------------------------------


def _path(context: Context) -> Path:
    return context.site.loki / "state" / "radar.json"


def _read(context: Context) -> Radar:
    return Radar.from_json(read_json(_path(context)))


def _changed(before: Radar, after: Radar) -> bool:
    """Whether it is worth writing: not for the time alone, unless that is old."""
    age = seconds_since(before.seen_at)
    return replace(before, seen_at="") != replace(after, seen_at="") or age is None or not 0 <= age < ENOUGH / 2


def _write(context: Context, radar: Radar) -> None:
    if context.site.enabled:
        context.site.folder("state")
        write_atomic(_path(context), dump_json(radar.to_json()))


def names_of(records: Iterable[StreamRecord], integration: str) -> dict[str, str]:
    """Return what people call each stream of a picture, and the integration branch (under '')."""
    return {"": integration, **{r.stream: r.name for r in records if r.status is not Status.ARCHIVED}}

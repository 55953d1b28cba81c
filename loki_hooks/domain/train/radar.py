"""The conflict radar: who will conflict with whom, and on which files, before anybody merges. Pure.

A *head* is the commit that stands for a stream: its branch's tip, or, where work is uncommitted, a commit of a
snapshot on that tip. What merging two heads gives depends on nothing but the two, so what is known of a pair stays
true; it is forgotten when neither head is anybody's any more.

What is known is kept in ``state/radar.json``:

    version   1
    seen_at   when the worktrees were looked at last
    onto      the integration branch's commit at that time
    looks     stream → {tip, mark, head}: the branch's tip, a fingerprint of what was uncommitted, and the head
    pairs     head → head → files that conflict ([]: they merge cleanly); the smaller id first
    trouble   why something of this could not be predicted, '' for nothing
    alone     the integration branch's commit → a stream's tip → the tree of the two merged ('': they conflict)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

VERSION = 1
SHOWN_FILES = 3
Pair = tuple[str, str]

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)


def pair_of(a: str, b: str) -> Pair:
    """Return the pair of two heads, the same in either order."""
    return (a, b) if a <= b else (b, a)


def pairs_among(heads: Iterable[str]) -> tuple[Pair, ...]:
    """Return every pair of different heads, each once."""
    known = sorted(set(heads))
    return tuple((a, b) for i, a in enumerate(known) for b in known[i + 1 :])


def plain_path(path: str, pair: Pair) -> str:
    """Return a conflicting path without what git appends where a file and a folder want one name: ``~<commit>``."""
    return re.sub(rf"~(?:{pair[0]}|{pair[1]})(?:_\d+)?$", "", path)


@dataclass(frozen=True)
class StreamLook:
    """A stream as it was seen last. ``mark`` '': nothing (that counts) was uncommitted, ``head`` is the tip."""

    tip: str
    mark: str
    head: str


@dataclass(frozen=True)
class Radar:
    """What is known of pairs of heads, and of the streams as they were seen last."""

    seen_at: str = ""
    onto: str = ""
    looks: Mapping[str, StreamLook] = field(default_factory=dict)
    pairs: Mapping[Pair, tuple[str, ...]] = field(default_factory=dict)
    alone: Mapping[Pair, str] = field(default_factory=dict)
    trouble: str = ""

    def head_for(self, stream: str, tip: str, mark: str) -> str | None:
        """Return the stream's head if it is known: the tip of a clean one, the snapshot of one that looks the same."""
        if not mark:
            return tip
        look = self.looks.get(stream)
        return look.head if look is not None and (look.tip, look.mark) == (tip, mark) else None

    def tips(self) -> dict[str, str]:
        return {stream: look.tip for stream, look in self.looks.items()}

    def missing(self, pairs: Iterable[Pair]) -> tuple[Pair, ...]:
        """Return the pairs of which nothing is known."""
        return tuple(pair for pair in pairs if pair not in self.pairs)

    def pruned(self) -> Self:
        """Return it without the pairs of heads that nobody has any more."""
        live = {self.onto, *(look.head for look in self.looks.values()), *(look.tip for look in self.looks.values())}
        return type(self)(
            self.seen_at,
            self.onto,
            self.looks,
            {pair: files for pair, files in self.pairs.items() if live.issuperset(pair)},
            {key: tree for key, tree in self.alone.items() if key[0] == self.onto and key[1] in live},
            self.trouble,
        )

    def to_json(self) -> dict[str, Any]:
        pairs: dict[str, dict[str, list[str]]] = {}
        for (a, b), files in sorted(self.pairs.items()):
            pairs.setdefault(a, {})[b] = list(files)
        alone: dict[str, dict[str, str]] = {}
        for (onto, tip), tree in sorted(self.alone.items()):
            alone.setdefault(onto, {})[tip] = tree
        looks = {s: {"tip": look.tip, "mark": look.mark, "head": look.head} for s, look in sorted(self.looks.items())}
        head = {"version": VERSION, "seen_at": self.seen_at, "onto": self.onto, "trouble": self.trouble}
        return {**head, "looks": looks, "pairs": pairs, "alone": alone}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return what ``value`` says, read tolerantly: what is not of the shape above counts as not known."""
        if not isinstance(value, Mapping) or value.get("version") != VERSION:
            return cls()
        looks = {
            stream: StreamLook(entry["tip"], entry["mark"], entry["head"])
            for stream, entry in _entries(value.get("looks"))
            if isinstance(entry, Mapping)
            and _is_oid(entry.get("tip"))
            and _is_oid(entry.get("head"))
            and isinstance(entry.get("mark"), str)
        }
        pairs = {
            pair_of(a, b): tuple(files)
            for a, others in _entries(value.get("pairs"))
            for b, files in _entries(others)
            if _is_oid(a) and _is_oid(b) and isinstance(files, list) and all(isinstance(f, str) for f in files)
        }
        alone = {
            (onto, tip): tree
            for onto, others in _entries(value.get("alone"))
            for tip, tree in _entries(others)
            if _is_oid(onto) and _is_oid(tip) and (tree == "" or _is_oid(tree))
        }
        seen_at, onto, trouble = value.get("seen_at"), value.get("onto"), value.get("trouble")
        return cls(
            seen_at if isinstance(seen_at, str) else "",
            onto if isinstance(onto, str) and _is_oid(onto) else "",
            looks,
            pairs,
            alone,
            trouble if isinstance(trouble, str) else "",
        )


def _entries(value: object) -> Iterable[tuple[str, Any]]:
    return [(k, v) for k, v in value.items() if isinstance(k, str)] if isinstance(value, Mapping) else []


def _is_oid(value: object) -> bool:
    return isinstance(value, str) and _OID.fullmatch(value) is not None


def conflicts_between(
    heads: Mapping[str, str], pairs: Mapping[Pair, Sequence[str]]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return name → name → files, for all that conflict, in the order of ``heads`` (name → head). Symmetric.

    '' is the integration branch's name. What a stream conflicts in with that one is said of these two only: two
    streams conflict in the files that neither of them conflicts in with the integration branch already.
    """
    onto = heads.get("", "")
    settled = {head: frozenset(pairs.get(pair_of(head, onto), ())) for head in heads.values()}
    found: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in heads}
    for name, head in heads.items():
        for other, its in heads.items():
            if other == name or its == head:
                continue
            files = pairs.get(pair_of(head, its), ())
            if name and other:
                known = settled[head] | settled[its]
                files = () if onto in {head, its} else tuple(file for file in files if file not in known)
            if files:
                found[name][other] = tuple(files)
    return found


def warning(conflicts: Mapping[str, Sequence[str]]) -> str:
    """Return one line that says with whom the stream conflicts and where, '' when with nobody."""
    if not conflicts:
        return ""
    return "will conflict with " + "; ".join(f"{name} ({shown_files(files)})" for name, files in conflicts.items())


def shown_files(files: Sequence[str]) -> str:
    """Return the first few files in words, on one line whatever they are called."""
    named = ", ".join(
        "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in file)
        for file in files[:SHOWN_FILES]
    )
    return f"{named} and {len(files) - SHOWN_FILES} more" if len(files) > SHOWN_FILES else named

"""Compares all files of one language at once: what moves within it is no change.

A reader says what each file holds (`read`), then what all of them together offer (`link`), keyed by what makes a thing the
same one for a caller: the package and name in Go, the constant in Ruby, the variable's name in the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from loki_hooks.domain.surface import Aspect, Change, Compared, Thing, Unread, What, compare
from loki_hooks.surface.shape import Shape, breaks
from loki_hooks.surface.syntax import Syntax, UnparsedError, parse

Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Offer(Thing):
    """A thing with the file it stands in and its shapes (more than one where it is overloaded).

    ``owner``: the key of what it belongs to (its own where that is nothing else); ``new_breaks``: that it came breaks who
    implements or matches its owner.
    """

    file: str = ""
    shapes: tuple[Shape, ...] = ()
    new_breaks: bool = False
    owner: Hashable = None


Key = Hashable
Surface = dict[Key, Offer]
Found = tuple[Key, Offer]


def offer(aspect: Aspect, name: str, line: int, file: str, *shapes: Shape, owner: Key = None) -> Offer:
    if aspect is Aspect.PUBLIC and name.lower().endswith("version"):  # each release changes it, and says so itself
        shapes = tuple(replace(shape, value="") for shape in shapes)
    return Offer(aspect, name, _seen(shapes), line, file, shapes, owner=owner)


def _seen(shapes: tuple[Shape, ...]) -> str:
    return "; ".join(sorted(map(str, shapes)))


def joined(offers: Iterable[Found]) -> Surface:
    """Return the surface; what is offered under one key more than once is one thing that is seen as all of them."""
    out: Surface = {}
    for key, one in offers:
        there = out.get(key)
        if there is None:
            out[key] = one
            continue
        shapes = _merged((*there.shapes, *(shape for shape in one.shapes if shape not in there.shapes)))
        out[key] = replace(there, shapes=shapes, seen=_seen(shapes))
    return out


def differ_by_key(old: Mapping[str, Iterable[Found]], new: Mapping[str, Iterable[Found]]) -> Iterable[Change]:
    """Return how two sides differ where each file's offers are all that is to know of it."""
    before, after = (joined(found for file in side.values() for found in file) for side in (old, new))
    return [change for _, change in difference(before, after)]


def _merged(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Leave out the reads of a setting that say nothing of a default, where another one does."""
    telling = tuple(shape for shape in shapes if shape.kind != "setting" or shape.value)
    return telling or shapes


def compare_files(
    before: Mapping[str, str],
    after: Mapping[str, str],
    language: Callable[[str], str],
    read: Callable[[str, Syntax], Facts],
    differ: Callable[[dict[str, Facts], dict[str, Facts]], Iterable[Change]],
) -> Compared:
    """Read both sides and return what ``differ`` says; a file of which a side cannot be read takes no part."""
    sides: tuple[dict[str, Facts], dict[str, Facts]] = ({}, {})
    unread: dict[str, Unread] = {}
    for path in sorted({*before, *after}):
        known: dict[str, Facts] = {}
        try:
            for texts, facts in zip((before, after), sides, strict=True):
                if path in texts:
                    text = texts[path]
                    if text not in known:
                        known[text] = read(path, parse(language(path), text))
                    facts[path] = known[text]
        except UnparsedError as error:
            unread[path] = Unread(path, str(error))
    for path in unread:
        for facts in sides:
            facts.pop(path, None)
    changes = sorted(dict.fromkeys(differ(*sides)), key=lambda c: (c.file, c.what != What.REMOVED, c.line, c.symbol))
    return Compared(tuple(changes), tuple(unread.values()))


def difference(old: Surface, new: Surface) -> Iterator[tuple[Key, Change]]:
    """Yield how the surfaces differ.

    What comes or goes with the thing that it belongs to, or as that becomes another kind of thing, is one difference with it.
    """
    reshaped = {key for key in old.keys() & new.keys() if _kinds(old[key]).isdisjoint(_kinds(new[key]))}
    moved = {
        What.ADDED: (new.keys() - old.keys()) | reshaped,
        What.REMOVED: (old.keys() - new.keys()) | reshaped,
        What.CHANGED: set[Key](),
    }
    for key in {**old, **new}:
        there = new.get(key) or old[key]
        for change in compare(there.file, _one(old, key), _one(new, key), _breaks):
            if there.owner == key or there.owner not in moved[change.what]:
                breaking = change.breaking or (change.what is What.ADDED and there.new_breaks)
                yield key, replace(change, breaking=breaking)


def _kinds(one: Offer) -> set[str]:
    return {shape.kind for shape in one.shapes}


def _one(surface: Surface, key: Key) -> dict[str, Thing]:
    one = surface.get(key)
    return {} if one is None else {"": one}


def _breaks(old: Thing, new: Thing) -> bool:
    assert isinstance(old, Offer) and isinstance(new, Offer)
    return breaks(old.shapes, new.shapes)

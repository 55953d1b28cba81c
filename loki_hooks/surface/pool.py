"""Compares all files of one language at once: what moves within it is no change.

A reader says what each file holds (`read`), then what all of them together offer (`link`), keyed by what makes a thing the
same one for a caller: the package and name in Go, the constant in Ruby, the variable's name in the environment.
"""

from __future__ import annotations

import re
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
    before, after = (joined(resolved(found for file in side.values() for found in file)) for side in (old, new))
    return _without_moved_settings([change for _, change in difference(before, after)], before, after)


UNRESOLVED = "\0"
"""Begins the name of a setting that is a constant which stands elsewhere; the constant's name follows, then how it is written."""


def resolved(found: Iterable[Found]) -> Iterator[Found]:
    """Yield the offers, settings that are named by a constant under its value; one that is nowhere to be found stays unresolved."""
    listed = list(found)
    values = {one.name: one.seen for key, one in listed if key == (CONSTANT, one.name)}
    for key, one in listed:
        if key == (CONSTANT, one.name):
            continue
        if one.name.startswith(UNRESOLVED):
            dashes, _, name = one.name[1:].rpartition(UNRESOLVED)
            value = values.get(name)
            if value and dashes != "*":
                called = f"{dashes}{value}"
                rest = key[2:] if isinstance(key, tuple) else ()
                yield (Aspect.CONFIG, called, *rest), replace(one, name=called)
                continue
        yield key, one


CONSTANT = "constant"


def constant(name: str, value: str, at: Syntax, file: str) -> Found:
    """Return what a constant says: others may be called by it."""
    return (CONSTANT, name), Offer(Aspect.CONFIG, name, value, at.line, file)


def _without_moved_settings(changes: list[Change], before: Surface, after: Surface) -> list[Change]:
    """Leave out settings whose command is called otherwise now, and those that are now named by a constant from elsewhere."""
    unknown = {
        side: "\n".join(_plain(one.name) for one in surface.values() if one.name.startswith(UNRESOLVED))
        for side, surface in ((What.REMOVED, after), (What.ADDED, before))
    }
    kept = [
        c
        for c in changes
        if c.aspect is not Aspect.CONFIG
        or not (c.symbol.startswith(UNRESOLVED) or _plain(c.symbol) in unknown.get(c.what, ""))
    ]
    gone: dict[tuple[str, str], int] = {}
    for change in kept:
        if change.aspect is Aspect.CONFIG and change.what is not What.CHANGED:
            word = _said(change)
            gone[change.symbol, word] = gone.get((change.symbol, word), 0) | (1 if change.what is What.REMOVED else 2)
    moved = {key for key, sides in gone.items() if sides == 3}
    out: dict[tuple[object, ...], Change] = {}
    for change in kept:
        if change.aspect is Aspect.CONFIG:
            if (change.symbol, _said(change)) in moved and change.what is not What.CHANGED:
                continue
            out.setdefault((change.what, change.symbol, change.file), change)
        else:
            out[id(change),] = change
    return list(out.values())


def _said(change: Change) -> str:
    """Return what is said of a setting that came or went, but for what it takes: of that, some declarations say nothing."""
    words = (change.before or change.after).split()
    return " ".join(word for word in words if word not in _TAKEN and word != change.symbol)


_TAKEN = frozenset({"flag", "value", "value?"})


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum()) or name


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
    spoiled: dict[str, set[str]] = {}
    partly: list[Unread] = []
    for path in sorted({*before, *after}):
        known: dict[str, Facts] = {}
        words: list[set[str]] = []
        line = 0
        try:
            for texts, facts in zip((before, after), sides, strict=True):
                if path in texts:
                    text = texts[path]
                    if text not in known:
                        root = parse(language(path), text)
                        known[text] = read(path, root)
                        words.append({w for node in root.source.spoiled for w in _WORD.findall(node.text)})
                        line = root.source.spoiled[0].line if root.source.spoiled else 0
                    facts[path] = known[text]
            spoiled[path] = set().union(*words)
            if len(words) == 2 and words[0] != words[1]:
                partly.append(Unread(path, f"syntax error in line {line}: the rest was read"))
        except UnparsedError as error:
            unread[path] = Unread(path, str(error))
    for path in unread:
        for facts in sides:
            facts.pop(path, None)
    found = (c for c in dict.fromkeys(differ(*sides)) if not _is_spoiled(c, spoiled.get(c.file)))
    changes = sorted(found, key=lambda c: (c.file, c.what != What.REMOVED, c.line, c.symbol))
    return Compared(tuple(changes), (*unread.values(), *partly))


def _is_spoiled(change: Change, words: set[str] | None) -> bool:
    """Whether an error stands where the thing is declared: that it differs may be the error's doing."""
    return words is not None and not words.isdisjoint(_WORD.findall(change.symbol)[-1:])


_WORD = re.compile(r"\w+")


def difference(old: Surface, new: Surface) -> Iterator[tuple[Key, Change]]:
    """Yield how the surfaces differ.

    What comes or goes with the thing that it belongs to, or as that becomes another kind of thing, is one difference with it.
    What a base class gives is neither new nor gone.
    """
    reshaped = {key for key in old.keys() & new.keys() if _kinds(old[key]).isdisjoint(_kinds(new[key]))}
    moved = {
        What.ADDED: (new.keys() - old.keys()) | reshaped,
        What.REMOVED: (old.keys() - new.keys()) | reshaped,
        What.CHANGED: set[Key](),
    }
    families = {What.ADDED: Families(old), What.REMOVED: Families(new), What.CHANGED: Families(new)}

    def broken(before: Thing, after: Thing) -> bool:
        assert isinstance(before, Offer) and isinstance(after, Offer)
        return breaks(before.shapes, families[What.CHANGED].with_family(before, after))

    for key in {**old, **new}:
        there = new.get(key) or old[key]
        if key in old and key in new and _says_no_more(old[key], new[key]):
            continue
        for change in compare(there.file, _one(old, key), _one(new, key), broken):
            if there.owner != key and there.owner in moved[change.what]:
                continue
            if change.what is not What.CHANGED and families[change.what].gives(
                there, old.get(there.owner), new.get(there.owner)
            ):
                continue
            breaking = change.breaking or (change.what is What.ADDED and there.new_breaks)
            yield key, replace(change, breaking=breaking)


def _says_no_more(old: Offer, new: Offer) -> bool:
    """Whether they differ in nothing but that one does not say all: what a setting takes, the value of a constant."""
    if len(old.shapes) != 1 or len(new.shapes) != 1:
        return False
    (one,), (other,) = old.shapes, new.shapes
    if old.aspect is not Aspect.CONFIG:
        return (
            one.kind in _VALUED
            and not (one.value and other.value)
            and replace(one, value="") == replace(other, value="")
        )
    return not (one.type and other.type) and replace(one, type="") == replace(other, type="")


def _kinds(one: Offer) -> set[str]:
    return {shape.kind for shape in one.shapes}


def _one(surface: Surface, key: Key) -> dict[str, Thing]:
    one = surface.get(key)
    return {} if one is None else {"": one}


class Families:
    """What classes have from their base classes, as far as those are known."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._classes: dict[str, list[Key]] | None = None
        self._members: set[tuple[Key, str]] = set()

    def gives(self, member: Offer, old_owner: Offer | None, new_owner: Offer | None) -> bool:
        """Return whether its class has it without saying so itself."""
        owner = self._surface.get(member.owner) if member.owner is not None else None
        if owner is None or not member.name.startswith(owner.name) or member.name == owner.name:
            return False
        same_bases = old_owner is not None and new_owner is not None and _bases(old_owner) == _bases(new_owner)
        everywhere = member.name.rpartition(".")[2] in _EVERYWHERE
        if (same_bases or everywhere) and any("override" in shape.marks for shape in member.shapes):
            return True
        self._read()
        suffix = member.name[len(owner.name) :]
        return any((key, suffix) in self._members for key in self._above(owner))

    def with_family(self, before: Offer, after: Offer) -> tuple[Shape, ...]:
        """Return the newer shapes with those of the older bases that are now reached through others."""
        if not any(shape.bases for shape in before.shapes) or before.aspect is not Aspect.PUBLIC:
            return after.shapes
        self._read()
        direct = {bare(base) for shape in after.shapes for base in shape.bases}
        family = {
            bare(base) for key in self._above(after) for shape in self._surface[key].shapes for base in shape.bases
        }
        more = tuple(
            base for shape in before.shapes for base in shape.bases if bare(base) in family and bare(base) not in direct
        )
        return tuple(replace(shape, bases=(*shape.bases, *more)) for shape in after.shapes)

    def _above(self, one: Offer) -> Iterator[Key]:
        todo, seen = [one], set[Key]()
        assert self._classes is not None
        while todo:
            at = todo.pop()
            for base in (base for shape in at.shapes for base in shape.bases):
                for key in self._classes.get(bare(base), ()):
                    if key not in seen:
                        seen.add(key)
                        todo.append(self._surface[key])
                        yield key

    def _read(self) -> None:
        if self._classes is not None:
            return
        self._classes = {}
        for key, one in self._surface.items():
            if one.aspect is Aspect.PUBLIC and _kinds(one) & _WITH_MEMBERS:
                self._classes.setdefault(bare(one.name), []).append(key)
            owner = self._surface.get(one.owner) if one.owner is not None else None
            if owner is not None and one.name.startswith(owner.name):
                self._members.add((one.owner, one.name[len(owner.name) :]))


def _bases(one: Offer) -> set[str]:
    return {base for shape in one.shapes for base in shape.bases}


_VALUED = frozenset({"constant", "field", "const", "static", "variable"})
_EVERYWHERE = frozenset({"toString", "equals", "hashCode"})
"""What every object has in Java."""
_WITH_MEMBERS = frozenset({"class", "interface", "module", "record", "enum", "struct", "trait"})


def bare(name: str) -> str:
    """Return a type's own name: without its package and its parameters."""
    return name.partition("<")[0].replace("::", ".").rpartition(".")[2].strip("*&")

"""What changed of the public names of Python modules.

A definition that moved is no change while its name stays importable from where it was; what is importable in several
ways is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from loki_hooks.domain.surface import Aspect, Change, Thing, compare
from loki_hooks.surface.python.breaks import breaks, incompatible
from loki_hooks.surface.python.names import Definition, Key, Surface
from loki_hooks.surface.python.shapes import ClassShape
from loki_hooks.surface.python.spelling import WORD, has_member, same_but_for_annotations, written_out


def public_changes(old: Surface, new: Surface) -> list[Change]:
    """Return what changed of the public names, and of the members of what they lead to."""
    before, after = old.public(), new.public()
    pairs: dict[tuple[Definition, Definition], str] = {}
    for key in sorted(before.keys() & after.keys(), key=lambda k: (new.known_as.get(after[k].path) != k[0], k)):
        pairs.setdefault((before[key], after[key]), key[1])
    kept: set[Key] = set()
    for key in sorted(before.keys() ^ after.keys()):
        was, now = before.get(key) or old.importable(key), after.get(key) or new.importable(key)
        if was and now and not (old.has_exports(key[0]) and new.has_exports(key[0])):
            kept.add(key)
            pairs.setdefault((was, now), key[1])
    moved = {d for pair in pairs if pair[0].path != pair[1].path for d in pair}
    gone = {k: d for k, d in before.items() if k not in after and k not in kept}
    came = {k: d for k, d in after.items() if k not in before and k not in kept}
    return [
        *(c for (was, now), symbol in pairs.items() for c in _differences(old, new, was, now, symbol)),
        *(c for path, thing in _places(gone, before, moved, old, new) for c in compare(path, {"": thing}, {}, _never)),
        *(c for path, thing in _places(came, after, moved, new, old) for c in compare(path, {}, {"": thing}, _never)),
    ]


def _never(_old: Thing, _new: Thing) -> bool:
    return False


def _places(
    one_sided: Mapping[Key, Definition],
    all_here: Mapping[Key, Definition],
    moved: Collection[Definition],
    side: Surface,
    other: Surface,
) -> Iterator[tuple[str, Thing]]:
    """Yield the file and the thing for each definition that is public on one side only: where it stands, or where a package
    handed it on while it stood elsewhere before and after."""
    by_definition: dict[Definition, list[Key]] = {}
    for key, definition in one_sided.items():
        by_definition.setdefault(definition, []).append(key)
    for definition, found in by_definition.items():
        own = (side.known_as.get(definition.path, ""), definition.name)
        keys = [k for k in found if k != own] if definition in moved else found
        if not keys:
            continue
        key = own if own in keys else min(keys)
        shape = side.shapes(key[1], definition, inherited=False).get(key[1])
        stands = definition.path and (own in keys or own not in all_here) and other.importable(own) is None
        if shape and (stands or own in keys):
            yield definition.path, Thing(Aspect.PUBLIC, key[1], shape.text, shape.line)
        else:
            module = side.by_name[key[0]]
            line = module.imports.lines.get(key[1], 1)
            yield module.path, Thing(Aspect.PUBLIC, key[1], shape.text if shape else "", line)


def _differences(old: Surface, new: Surface, was: Definition, now: Definition, symbol: str) -> list[Change]:
    """Return how two definitions of the same public name differ."""
    before, after = old.shapes(symbol, was, inherited=False), new.shapes(symbol, now, inherited=False)
    if before == after and (was_code := old.behind_stub(was)) and (is_code := new.behind_stub(now)):
        return _behind_stub(old, new, was_code, is_code, symbol)
    if not before or not after or before == after:
        return []
    _inherit(before, after, lambda: new.shapes(symbol, now, inherited=True))
    _inherit(after, before, lambda: old.shapes(symbol, was, inherited=True))
    _tell_whole(before, after)
    _tell_whole(after, before)
    for name in [
        n for n in before.keys() | after.keys() if any(n in s and s[n].kind == "instance" for s in (before, after))
    ]:
        before.pop(name, None)  # what __init__ happens to set is no promise; nor is it news that it became a property
        after.pop(name, None)
    for name in [n for n in before.keys() & after.keys() if not before[n].text or not after[n].text]:
        del before[name], after[name]  # an attribute of which one side says neither a type nor a value
    for one, other in ((before, after), (after, before)):
        for name in [n for n in one.keys() - other.keys() if _is_inherited(n, one, other)]:
            del one[name]
    aliases = {**old.aliases(), **new.aliases()}
    changed = [n for n in before.keys() & after.keys() if before[n].text != after[n].text]
    for name in [n for n in changed if any(word in aliases for word in WORD.findall(before[n].text + after[n].text))]:
        if written_out(before[name].text, old.aliases()) == written_out(after[name].text, new.aliases()):
            del before[name], after[name]
    for name in [n for n in before.keys() & after.keys() if _only_annotated(before[n], after[n])]:
        del before[name], after[name]
    broken = _incompatible(before, after)
    return compare(
        now.path, _things(before), _things(after), lambda b, a: breaks(before[b.name], after[a.name], a.name in broken)
    )


def _only_annotated(old: ClassShape, new: ClassShape) -> bool:
    """Whether nothing but annotations came or went, or says more precisely what it said."""
    if old.text == new.text or not (old.call and new.call) or old.fields or old.overloads or new.overloads:
        return False
    return old.text.partition("(")[0] == new.text.partition("(")[0] and same_but_for_annotations(old.text, new.text)


def _behind_stub(old: Surface, new: Surface, was: Definition, now: Definition, symbol: str) -> list[Change]:
    """Return what calls break with the code, though its stub says what it said: a parameter that is not taken by name any more."""
    before, after = old.shapes(symbol, was, inherited=False), new.shapes(symbol, now, inherited=False)
    both = [n for n in before.keys() & after.keys() if before[n].text != after[n].text]
    broken = _incompatible(before, after)
    lost = {n for n in both if _named(before[n]) - _named(after[n])} | broken
    was_things, now_things = ({n: _things(side)[n] for n in both if n in lost} for side in (before, after))
    return compare(now.path, was_things, now_things, lambda *_: True)


def _named(shape: ClassShape) -> set[str]:
    """Return the parameters that can be given by name."""
    given = shape.function.parameters if shape.function is not None else ()
    kinds = {"positional or keyword", "keyword-only"}
    return {
        p.name for p in given if p.kind is not None and str(p.kind.value) in kinds and p.name not in {"self", "cls"}
    }


def _is_inherited(name: str, here: Mapping[str, ClassShape], there: Mapping[str, ClassShape]) -> bool:
    """Whether a member that only one side writes down is there on the other side as well, from a base class."""
    owner, _, member = name.rpartition(".")
    if not owner or owner not in here or owner not in there:
        return False
    return here[name].extends or any(has_member(base, member) for base in there[owner].family)


def _inherit(
    here: Mapping[str, ClassShape], there: dict[str, ClassShape], whole: Callable[[], dict[str, ClassShape]]
) -> None:
    """Add to ``there`` what it seems to lack but has from a base class of this project."""
    missing = here.keys() - there.keys()
    if missing:
        there.update({name: shape for name, shape in whole().items() if name in missing})


def _tell_whole(here: dict[str, ClassShape], there: Mapping[str, ClassShape]) -> None:
    """Leave out the members of a class that is itself on one side only."""
    lone = here.keys() - there.keys()
    for name in [n for n in lone if n.rpartition(".")[0] in lone]:
        del here[name]


def _incompatible(before: Mapping[str, ClassShape], after: Mapping[str, ClassShape]) -> set[str]:
    """Return the names of the functions and constructors whose parameters griffe finds incompatible."""
    pairs = {}
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if old.text != new.text and old.kind == new.kind and old.function and new.function:
            bound = old.kind in {"method", "classmethod", "class"}
            pairs[name] = (old.function, new.function, bound)
    return incompatible(pairs)


def _things(shapes: Mapping[str, ClassShape]) -> dict[str, Thing]:
    return {name: Thing(Aspect.PUBLIC, name, s.text, s.line) for name, s in shapes.items()}

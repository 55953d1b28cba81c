"""Many changes of one file are one item: nobody reads a thousand of them one by one.

A group is known by its file and aspect. It has the documents of all its members, and closes when those changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from loki_hooks.domain.writing.fold import Sighting
from loki_hooks.domain.writing.items import Item
from loki_hooks.domain.writing.mentions import MOST

MOST_APART = 10
"""Changes of one aspect of one file that are items of their own."""
_SHOWN = 3
_CALLED = {"public": "public names", "endpoint": "endpoints", "config": "options"}


def grouped(incoming: Sequence[tuple[Item, Sighting]]) -> list[tuple[Item, Sighting]]:
    """Return the items with one for each file of which more than :data:`MOST_APART` things changed."""
    by_place: dict[tuple[str, str], list[tuple[Item, Sighting]]] = {}
    for item, seen in incoming:
        if item.aspect in _CALLED and not seen.documented:
            by_place.setdefault((item.aspect, item.file), []).append((item, seen))
    groups = {place: found for place, found in by_place.items() if len(found) > MOST_APART}
    out: list[tuple[Item, Sighting]] = []
    for item, seen in incoming:
        members = groups.get((item.aspect, item.file)) if not seen.documented else None
        if members is None:
            out.append((item, seen))
        elif members[0][0] is item:
            out.append(_group(members))
    return out


def _group(members: Sequence[tuple[Item, Sighting]]) -> tuple[Item, Sighting]:
    items = [item for item, _ in members]
    first = items[0]
    names = tuple(dict.fromkeys(item.symbol for item in items))
    whats = {item.what for item in items}
    what = whats.pop() if len(whats) == 1 else "changed"
    before = "" if what == "added" else _told(item.before and f"{item.symbol} {item.before}" for item in items)
    after = "" if what == "removed" else _told(item.after and f"{item.symbol} {item.after}" for item in items)
    shown = ", ".join(names[:_SHOWN])
    docs = list(dict.fromkeys(place for _, seen in members for place in seen.docs))
    near = list(dict.fromkeys(path for item in items for path in item.near))
    group = replace(
        first,
        trigger=f"{first.aspect}-{what}",
        symbol=first.file,
        line=1,
        before=before or ("" if what == "added" else first.file),
        after=after or ("" if what == "removed" else first.file),
        commit=first.commit if len({item.commit for item in items}) == 1 else items[-1].commit,
        breaking=any(item.breaking for item in items),
        reason=f"{len(names)} {_CALLED[first.aspect]} {what}: {shown} …",
        near=tuple(near[:3]) if not docs else (),
        names=names,
    )
    paths: dict[str, int] = {}
    for path, _ in docs:
        paths[path] = paths.get(path, 0) + 1
    first_places = [next(place for place in docs if place[0] == path) for path in paths]
    return group, Sighting(tuple(dict.fromkeys([*first_places, *docs]))[:MOST])


def _told(texts: Iterable[str]) -> str:
    """Return what there is of all of them in one text: it is the same again only where nothing of it changed."""
    return "\n".join(text for text in texts if text)

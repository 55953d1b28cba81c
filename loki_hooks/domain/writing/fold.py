"""How a landing's items meet those that are there: one promise is one live item, and what was documented closes itself.

    nothing known of the subject, or known to be otherwise now     a new item
    the last item of the subject says what is there now            the same change, seen again: nothing
    a live item, and the thing changed on                          it says what is there now; what was before stays
    a live item, and the thing is as it was before                 it closes itself
    a document was mended                                          it leaves the item; with the last one the item closes

A document is mended when the section that mentions a changed thing changed (of a long section: the lines around), elsewhere
than on lines about other things that changed; when it
mentions a removed or moved thing no more, but on lines written since; when it mentions an added thing. The changelog
counts only where nothing else mentions the thing. An item that somebody is working on is never taken away: it is told what
happened, and closes when the worker says done, or is gone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from loki_hooks.domain.writing.items import Item, Trigger, subject_of, trigger_of
from loki_hooks.domain.writing.mentions import Library, Mention, shortened
from loki_hooks.domain.writing.pages import WORD, Page, Place
from loki_hooks.domain.writing.queue import Edit, QueueEntry, item_id
from loki_hooks.domain.writing.subjects import About, Subject


@dataclass(frozen=True)
class Shelf:
    """The documents after a landing. ``changed``: path → the numbers of the lines that are new in it (only what changed)."""

    library: Library
    changed: Mapping[str, frozenset[int]] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    """The paths of the tree."""
    read: frozenset[str] = frozenset()
    """The sources that changed and that their readers could read."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Old path → new path of the files that moved."""
    subjects: tuple[Subject, ...] = ()
    """What changed, or is in the queue."""
    was: Library | None = None
    """The documents that changed, as they were before."""

    @cached_property
    def told(self) -> Mapping[tuple[str, int], set[Subject]]:
        """Which things (not files) the new lines of documents name: (path, line) → them."""
        found: dict[tuple[str, int], set[Subject]] = {}
        for subject in self.subjects:
            for m in self.library.mentions(subject) if subject.about is not About.FILE and self.changed else ():
                if m.strength >= 2 and m.line in self.changed.get(m.path, ()):
                    found.setdefault((m.path, m.line), set()).add(subject)
        return found

    @cached_property
    def names(self) -> Mapping[str, int]:
        """How many files of the tree have each bare name."""
        return Counter(path.rpartition("/")[2] for path in self.files)

    def page(self, path: str) -> Page | None:
        return next((page for page in self.library.pages if page.path == path), None)


@dataclass(frozen=True)
class Sighting:
    """What the documents say of an item: what is left to mend, which documents were mended, where nothing mentions it."""

    docs: tuple[tuple[str, int], ...]
    mended: tuple[str, ...] = ()
    documented: bool = False
    """Whether nothing is left to do because of what this landing changed."""
    why: str = ""
    """Why not, where no document was mended."""


def look_new(item: Item, shelf: Shelf) -> Sighting:
    """Return what the documents say of a change that this landing brings."""
    subject = subject_of(item, shelf.names)
    if subject is None:
        return Sighting(item.docs)
    mentions = relevant(item, shelf.library.mentions(subject))
    mentions += shelf.library.described(mentions, changed_words(item)) if item.what == "changed" else []
    if item.what == "added":
        return Sighting((), documented=any(_documents(m) for m in mentions))
    left = [m for m in mentions if not _mended(item, m, shelf)]
    mended = tuple(sorted({m.path for m in mentions} - {m.path for m in left}))
    if item.to and not mentions and (told := _places_told(item, shelf)):
        return Sighting((), told, documented=True)
    telling = [m for m in left if m.place is not Place.CHANGELOG]
    if item.gone and not telling and shelf.was is not None:
        # What the documents said of it went with it.
        said = relevant(item, shelf.was.mentions(subject))
        mended = tuple(sorted({*mended, *(m.path for m in said if m.place is not Place.CHANGELOG)}))
    docs = tuple((m.path, m.line) for m in shortened(left)) if telling or not mended else ()
    return Sighting(docs, mended, documented=bool(mended) and not telling)


def look_again(item: Item, shelf: Shelf) -> Sighting:
    """Return what is left of an item that is there, after documents changed."""
    subject = subject_of(item, shelf.names)
    if subject is None:
        return _about_commit(item, shelf)
    changed = frozenset(shelf.changed)
    if item.aspect == "file" and item.gone and item.file in shelf.files:
        return Sighting((), documented=True, why="it is back")
    if item.aspect == "file" and item.reason and not item.docs and item.file in shelf.read:
        return Sighting((), documented=True, why="it can be read again")
    if item.to and not item.docs and (paths := _places_told(item, shelf)):
        return Sighting((), paths, documented=True)
    telling = [path for path, _ in item.docs if not _is_changelog(path, shelf)]
    if not telling:
        new = [m for m in shelf.library.mentions(subject) if m.line in shelf.changed.get(m.path, ())]
        told = any(_documents(m) or (item.gone and m.strength >= 2) for m in new)
        if told or not item.docs:
            return Sighting((), tuple(sorted({m.path for m in new})) if told else (), documented=told)
    places = [(shelf.moved.get(path, path), line) for path, line in item.docs]
    listed = {path for path, _ in places}
    found = relevant(item, [m for m in shelf.library.mentions(subject) if m.path in changed & listed])
    found += shelf.library.described(found, changed_words(item)) if item.what == "changed" else []
    left = shortened(m for m in found if not _mended(item, m, shelf))
    docs = []
    for path in dict.fromkeys(path for path, _ in places):
        if path in changed:
            docs += [(m.path, m.line) for m in left if m.path == path]
        elif path in shelf.files:  # else the document is no more, and what was wrong in it
            docs += [entry for entry in places if entry[0] == path]
    mended = tuple(sorted(listed - {path for path, _ in docs}))
    left_to_tell = [path for path, _ in docs if not telling or not _is_changelog(path, shelf)]
    return Sighting(tuple(docs) if left_to_tell else (), mended, documented=bool(mended) and not left_to_tell)


def changed_words(item: Item) -> frozenset[str]:
    """Return the parameters that came, went, or are given otherwise: what describes them may be wrong as well."""
    if item.aspect != "public":
        return frozenset()
    old, new = (set(_PARAMETER.findall(text)) for text in (item.before, item.after))
    return frozenset(name for name, _ in old ^ new if len(name) > 2)


_PARAMETER = re.compile(r"(?<=[(, ])([A-Za-z_]\w+)\??(\s*(?::[^,()=]*)?(?:=\s*[^,()]*)?)(?=[,)])")


def relevant(item: Item, mentions: Sequence[Mention]) -> list[Mention]:
    """Return the mentions that the change may have made wrong: plain words only where nothing surer is found.

    Of a changed thing, a line that has its text fetched from the code counts only where no document says anything itself.
    """
    if item.what == "changed":
        mentions = [m for m in mentions if not (m.automatic and m.place is Place.DOCSTRING)]
        written = [m for m in mentions if not m.automatic]
        mentions = written if any(_documents(m) for m in written) else mentions
    sure = max((m.strength for m in mentions if m.place is not Place.CHANGELOG), default=0)
    least = 2 if sure >= 3 else 1
    return [m for m in mentions if m.strength >= least and (m.place is not Place.CHANGELOG or m.strength >= 2)]


def _documents(mention: Mention) -> bool:
    return mention.strength >= 2 and mention.place not in {Place.CHANGELOG, Place.DOCSTRING}


def _mended(item: Item, mention: Mention, shelf: Shelf) -> bool:
    new = shelf.changed.get(mention.path)
    if not new:
        return False
    if item.gone:
        return mention.line in new
    page = shelf.page(mention.path)
    if page is None or mention.line in new:
        return page is not None
    beside = new.intersection(page.around(mention.line))
    subject = subject_of(item, shelf.names)
    if subject is None or subject.about is About.FILE:
        return bool(beside)
    # A line about another thing that changed mends that one: of a table of options, say.
    return any(subject in (told := shelf.told.get((mention.path, line), ())) or not told for line in beside)


def _places_told(item: Item, shelf: Shelf) -> tuple[str, ...]:
    """Return the documents that have a new line with the place that a file moved to, where none has the old one."""
    return tuple(
        page.path
        for page in shelf.library.pages
        if page.place is not Place.DOCSTRING and any(item.to in page.line(n) for n in shelf.changed.get(page.path, ()))
    )


def _is_changelog(path: str, shelf: Shelf) -> bool:
    page = shelf.page(path)
    return page is not None and page.place is Place.CHANGELOG


def _about_commit(item: Item, shelf: Shelf) -> Sighting:
    """An item about a commit is told of when one of its documents gained a line that names what it is about."""
    names = set(item.after.split()) if item.trigger == Trigger.CHANGELOG else set()
    words = {word for name in names for word in WORD.findall(re.split(r"\.|::|#| |/", name)[-1] or name)}
    for path, _ in item.docs:
        page = shelf.page(path)
        lines = [page.line(number) for number in shelf.changed.get(path, ())] if page else []
        if lines and (not words or any(words.intersection(WORD.findall(line)) for line in lines)):
            return Sighting((), (path,), documented=True)
    return Sighting(item.docs)


def item_of(entry: QueueEntry) -> Item:
    return Item.from_json(entry.value)


# Folding ---------------------------------------------------------------------------------------------------------------


def fold(
    known: Sequence[QueueEntry],
    incoming: Iterable[tuple[Item, Sighting]],
    shelf: Shelf,
    by: Mapping[str, Any],
    named: frozenset[str] = frozenset(),
    undone: frozenset[str] = frozenset(),
) -> list[Edit]:
    """Return what a landing does to the queue.

    ``by``: {commit, stream} of it, for the record. ``named``: the items that its commits say they are about.
    ``undone``: those that are about a commit that is gone.
    """
    latest: dict[tuple[str, str, str], QueueEntry] = {}
    for entry in sorted(known, key=lambda k: k.age):
        latest[_with_its_file(entry, shelf).identity] = entry
    edits: list[Edit] = []
    met: set[str] = set()
    names = {entry.ident for entry in known}
    taken_back: set[str] = set()
    there_and_back = {(item_of(entry).file, item_of(entry).to) for entry in known if entry.live and item_of(entry).to}
    for item, seen in incoming:
        last = latest.get(item.identity)
        if last is not None and item_of(last).now == item.now:
            continue
        if (item.to, item.file) in there_and_back and not seen.docs:
            continue
        if _is_missing_line_for(item, taken_back):
            continue
        if last is None or not last.live:
            edits.append(_new(item, seen, by, taken=item_id(item.key) in names))
            continue
        met.add(last.ident)
        if _is_back(last, item):
            taken_back |= set(item.symbol.split())
        edits.append(_changed_on(last, item, seen, by))
    for entry in known:
        if not entry.live or entry.ident in met or "closed_by" in entry.value:
            continue
        if entry.ident in named:
            edits.append(_close(entry, replace(item_of(entry), docs=()), {**by, "how": "a commit names it"}))
        elif entry.ident in undone or _is_missing_line_for(item_of(entry), taken_back):
            edits.append(_close(entry, _undone(item_of(entry)), {**by, "how": "it was taken back"}))
        else:
            item = _with_its_file(entry, shelf)
            edit = _reconsidered(entry, item, look_again(item, shelf), by)
            edits += [edit] if edit else []
    return edits


def _new(item: Item, seen: Sighting, by: Mapping[str, Any], *, taken: bool) -> Edit:
    value = replace(item, docs=seen.docs, near=item.near).to_json()
    if seen.documented:
        how = f"documented as it landed ({', '.join(seen.mended[:3])})" if seen.mended else "documented as it landed"
        value |= {"closed_by": {**by, "how": how}}
    # The same change again, after it was taken back in between, is another one: it gets a name of its own.
    return Edit(value, key=f"{item.key}\0{by.get('commit', '')}" if taken else item.key, closed=seen.documented)


def _changed_on(entry: QueueEntry, item: Item, seen: Sighting, by: Mapping[str, Any]) -> Edit:
    old = item_of(entry)
    if _is_back(entry, item):
        return _close(entry, _undone(old), {**by, "how": "it is as it was before"})
    trigger = item.trigger if old.aspect == "file" else trigger_of(old.aspect, old.before, item.after)
    again = replace(
        item,
        trigger=trigger,
        before=old.before,
        docs=seen.docs,
        breaking=(old.breaking or item.breaking) and bool(old.before),
        mended=old.mended,
        near=item.near or old.near,
    )
    if seen.documented:
        return _close(entry, again, {**by, "how": "documented by the landing that changed it again"})
    value = {**entry.value, **again.to_json()}
    return Edit(_traced(entry, value, {**by, "what": "it changed again"}), ident=entry.ident)


def _is_back(entry: QueueEntry, item: Item) -> bool:
    old = item_of(entry)
    return item.now == old.before and old.aspect not in {Trigger.BREAKING, "changelog"}


def _is_missing_line_for(item: Item, names: set[str]) -> bool:
    """Whether the item asks for a line in the changelog on nothing but these."""
    return item.trigger == Trigger.CHANGELOG and set(item.after.split()) <= names


def _undone(item: Item) -> Item:
    """Return the item as one that says that everything is as it was: the same change, made again, is a new one."""
    trigger = Trigger.FILE_CHANGED if item.aspect == "file" else item.trigger
    return replace(item, trigger=trigger, after=item.before, docs=())


def _with_its_file(entry: QueueEntry, shelf: Shelf) -> Item:
    """Return the item where its file is now: what stands in a file that moves, moves along."""
    item = item_of(entry)
    return item if item.aspect == "file" else replace(item, file=shelf.moved.get(item.file, item.file))


def _reconsidered(entry: QueueEntry, item: Item, seen: Sighting, by: Mapping[str, Any]) -> Edit | None:
    if seen.documented:
        if seen.why:
            return _close(entry, _undone(item), {**by, "how": seen.why})
        how = f"documented in {', '.join(seen.mended[:3])}"
        return _close(entry, replace(item, docs=()), {**by, "how": how})
    if seen.docs == item.docs and item == item_of(entry):
        return None
    mended = (*item.mended, *({**by, "path": path} for path in seen.mended))
    value = {**entry.value, **replace(item, docs=seen.docs, mended=mended).to_json()}
    what = "documents were mended" if mended != item.mended else "its file moved, or a place in a document"
    return Edit(_traced(entry, value, {**by, "what": what}), ident=entry.ident)


def _close(entry: QueueEntry, item: Item, by: Mapping[str, Any]) -> Edit:
    """Close it; where a worker is at it, it only learns that nothing is left to do, and by whom."""
    value = {**entry.value, **item.to_json(), "closed_by": dict(by)}
    return Edit(_traced(entry, value, {**by, "what": "it was closed"}), ident=entry.ident, closed=not entry.held)


def _traced(entry: QueueEntry, value: dict[str, Any], what: Mapping[str, Any]) -> dict[str, Any]:
    """Tell a worker that holds the item what became of it meanwhile."""
    if not entry.held:
        return value
    before = entry.value.get("meanwhile")
    return {**value, "meanwhile": [*(before if isinstance(before, list) else []), dict(what)]}

"""Which documents a landed range made wrong: read from git's objects, decided in ``domain/``, kept in the docs queue.

Neither side is ever a checkout. Everything that has to be read of a range is read by a handful of git processes, however
many files, symbols and documents there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from loki_hooks.actions.context import Context
from loki_hooks.domain.surface import Compared, Unread
from loki_hooks.domain.writing import items as docs_items
from loki_hooks.domain.writing.documents import (
    docstrings_of,
    is_changelog,
    is_document,
    is_housekeeping,
    is_translation,
    is_upgrade_guide,
    matches,
    may_have_docstrings,
    names_in,
    place_of,
)
from loki_hooks.domain.writing.fold import Shelf, Sighting, fold, item_of, look_new
from loki_hooks.domain.writing.foreign import is_foreign, is_test
from loki_hooks.domain.writing.grouping import grouped
from loki_hooks.domain.writing.history import Landing, landings
from loki_hooks.domain.writing.items import Difference, Item, Trigger, subject_of
from loki_hooks.domain.writing.mentions import Library
from loki_hooks.domain.writing.pages import WORD, Page, Place, changed_lines
from loki_hooks.domain.writing.queue import Edit, Noted, QueueEntry
from loki_hooks.domain.writing.subjects import About
from loki_hooks.system.git.blobs import MAX_TOTAL, commits_between, read_texts, renames_between, tree_files
from loki_hooks.system.git.git import Git
from loki_hooks.system.store import queues

if TYPE_CHECKING:
    from loki_hooks.surface.packages import Packages

Surface = Literal["auto", "library", "application"]
QUEUE = "docs"
WRITERS = frozenset({"docs", "blog"})
"""Streams that write documents: what they move or remove of documents asks for no more of it."""
MAX_STEPS = 120
"""Versions of files that are compared once more to know which of several commits changed what."""
NO_TEXT = "it is no text, or larger than 1 MiB"
FOLLOWED = 2
"""So many steps from what changed to what it is imported by, or derives from."""
CONTEXT_CHARACTERS = 1_500_000
"""Of files that did not change: reading more would take longer than what changed."""
DOCSTRING_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Analysis:
    """``incoming``: what the range obliges to, with what the documents say of it. ``named``: items that commits name."""

    incoming: tuple[tuple[Item, Sighting], ...]
    shelf: Shelf
    named: frozenset[str] = frozenset()


def follow_docs(context: Context, old: str, new: str) -> Noted:
    """Bring the docs queue up to what landed between two commits; return what became of it."""
    live = [entry for entry in queues.everything(context.site, QUEUE) if entry.live]
    docs = context.config.in_force.docs
    found = analyse(context.git, old, new, docs.paths, live=live, ignore=docs.ignore, surface=docs.surface)
    if not found.incoming and not live:
        return Noted()
    by = {"commit": new, "stream": _stream_at(context.git, new)}
    undone = _undone(context.git, old, new, live, found)

    def decide(known: list[QueueEntry]) -> list[Edit]:
        return fold(known, found.incoming, found.shelf, by, named=found.named, undone=undone)

    edits = queues.revise(context.site, QUEUE, decide)
    made = sum(1 for edit in edits if edit.key and not edit.closed)
    return Noted(made, sum(1 for edit in edits if edit.ident and edit.closed))


def _undone(git: Git, old: str, new: str, live: Sequence[QueueEntry], found: Analysis) -> frozenset[str]:
    """Return which items are about a commit that was amended, reset or rebased away, and that none in its place says again."""
    about = [entry for entry in live if item_of(entry).aspect in Trigger.BREAKING]
    if not about or git.is_ancestor(old, new):
        return frozenset()
    left = {commit.oid for commit in commits_between(git, new, old)}
    again = {item.identity for item, _ in found.incoming}
    return frozenset(e.ident for e in about if item_of(e).commit in left and item_of(e).identity not in again)


def _stream_at(git: Git, commit: str) -> str:
    said = git.maybe("log", "-1", "--format=%(trailers:key=Loki-Stream,valueonly,separator=%x20)", commit)
    return (said or "").strip()


def analyse(
    git: Git,
    old: str,
    new: str,
    patterns: tuple[str, ...],
    *,
    live: Sequence[QueueEntry] = (),
    documents_at: str = "",
    ignore: tuple[str, ...] = (),
    surface: Surface = "auto",
) -> Analysis:
    """Return what the range ``old..new`` obliges to write.

    ``patterns``, ``ignore``, ``surface``: as the configuration has them.

    ``live``: the items that are there, which its documents may mend. ``documents_at``: the commit whose documents are
    looked at (default: ``new``); with another one nothing counts as documented already.
    """
    differences = [d for d in renames_between(git, old, new) if not _is_left_out(d[1] or d[0], ignore)]
    tree = {path: oid for path, oid in tree_files(git, documents_at or new).items() if not matches(path, ignore)}
    steps = landings(commits_between(git, old, new), new)
    reading = _Reading.of(git, differences, tree, patterns, surface)
    compared = _compare(reading.before, reading.after, reading.packages)
    compared = replace(compared, unread=(*compared.unread, *reading.unread))
    items = _items(git, compared, differences, steps, patterns, reading)
    changelog = min((p for p in tree if is_changelog(p)), key=lambda p: (p.count("/"), p), default="")
    guides = sorted(p for p in tree if is_upgrade_guide(p) and place_of(p, patterns))[:3]
    items += docs_items.of_commits(steps, items, changelog, guides, lambda path: is_document(path, patterns))
    names = Counter(path.rpartition("/")[2] for path in tree)
    subjects = [s for item in (*items, *(item_of(entry) for entry in live)) if (s := subject_of(item, names))]
    shelf = Shelf(
        Library.of(reading.pages, subjects),
        {} if documents_at else reading.changed,
        frozenset(tree),
        frozenset(reading.after) - {unread.file for unread in compared.unread},
        docs_items.moves(differences),
        tuple(dict.fromkeys(subjects)),
        None if documents_at else Library.of(reading.was, subjects),
    )
    incoming = [(item, look_new(item, shelf)) for item in items]
    kept = [(replace(item, commit=item.commit or new), seen) for item, seen in incoming if _counts(item, seen)]
    named = frozenset(ident for step in steps for commit in step.commits for ident in commit.items)
    return Analysis(tuple(grouped(_with_near(kept, shelf, reading.after))), shelf, named)


def _is_left_out(path: str, ignore: tuple[str, ...]) -> bool:
    return is_foreign(path) or matches(path, ignore)


def _compare(before: Mapping[str, str], after: Mapping[str, str], packages: Packages | None = None) -> Compared:
    """Return how the surface differs. Where a reader fails, which is a fault of ours, it costs its files, not the landing."""
    from loki_hooks.surface.compare import compare_sources
    from loki_hooks.surface.packages import UNKNOWN

    try:
        return compare_sources(before, after, packages or UNKNOWN)
    except Exception as error:  # noqa: BLE001  whatever a parser does to a file that nobody thought of
        reason = f"its reader failed ({type(error).__name__})"
        changed = sorted(path for path in {**before, **after} if before.get(path) != after.get(path))
    if len(changed) == 1:
        return Compared(unread=(Unread(changed[0], reason),))
    alone = []
    for path in changed:
        was, now = ({p: side[p] for p in side if p == path or p not in changed} for side in (before, after))
        alone.append(_compare(was, now, packages))
    return Compared(tuple(c for one in alone for c in one.changes), tuple(u for one in alone for u in one.unread))


def _items(
    git: Git,
    compared: Compared,
    differences: list[Difference],
    steps: Sequence[Landing],
    patterns: tuple[str, ...],
    reading: _Reading,
) -> list[Item]:
    moved = docs_items.moves(differences)
    hidden = docs_items.hidden_names(compared, moved, lambda path: names_in(reading.after.get(path, "")))
    compared = replace(compared, changes=tuple(c for c in compared.changes if c.file not in hidden))
    elsewhere = {**docs_items.moved_names(compared, moved), **hidden}
    unread = docs_items.of_unread(compared, differences)
    files = {item.file for item in unread}
    candidates = [
        replace(item, breaking=True, reason=_import_elsewhere(elsewhere[item.file])) if item.file in elsewhere else item
        for item in docs_items.of_files(differences, lambda path: is_document(path, patterns))
        if item.file not in files and not _says_nothing(item)
    ]
    items = [*docs_items.of_surface(compared, differences), *unread, *candidates]
    made = _made_by(git, [item for item in items if item.symbol], steps, reading.packages)
    found = docs_items.attributed(items, steps, made)
    # A docs stream that tidies documents makes no work for the next one.
    return [item for item in found if item.aspect != "file" or item.stream.partition("-")[0] not in WRITERS]


def _says_nothing(item: Item) -> bool:
    """Whether a change of the file says nothing to who reads of it: a test, a manifest, what is about the project itself."""
    return item.trigger == Trigger.FILE_CHANGED and (is_test(item.file) or is_housekeeping(item.file))


def _import_elsewhere(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} must be imported from its new place"


def _counts(item: Item, seen: Sighting) -> bool:
    """A file counts where a document mentions it, where it could not be read, or where its names moved with it."""
    if item.aspect != "file" or item.breaking or seen.docs or seen.documented:
        return True
    from loki_hooks.surface.compare import reader_of

    return bool(item.reason) and bool(reader_of(item.file))


def _with_near(
    incoming: Iterable[tuple[Item, Sighting]], shelf: Shelf, sources: Mapping[str, str]
) -> list[tuple[Item, Sighting]]:
    """Say of what no document mentions (docstrings apart) where its like is documented."""
    told = {page.path for page in shelf.library.pages if page.place in {Place.README, Place.DOCS, Place.API}}
    known: dict[str, frozenset[str]] = {}
    found = []
    for item, seen in incoming:
        subject = subject_of(item, shelf.names)
        mentioned = not told.isdisjoint(path for path, _ in seen.docs)
        if mentioned or seen.documented or subject is None or subject.about is About.FILE:
            found.append((item, seen))
            continue
        if item.file not in known:
            known[item.file] = names_in(sources.get(item.file, ""))
        words = set(WORD.findall(item.after)) - set(WORD.findall(item.before)) if item.before else set()
        found.append((replace(item, near=tuple(shelf.library.near(subject, known[item.file], words))), seen))
    return found


# Which commit changed what ---------------------------------------------------------------------------------------------


def _made_by(
    git: Git, items: Sequence[Item], steps: Sequence[Landing], packages: Packages
) -> dict[tuple[str, str, str], str]:
    """Return (aspect, symbol, file) → the newest commit that changed it, for files that several commits of the range touched."""
    wanted = {item.file for item in items}
    commits = [commit for step in reversed(steps) for commit in step.commits]
    often: dict[str, int] = {}
    for commit in commits:
        for path in wanted.intersection(commit.touched):
            often[path] = often.get(path, 0) + 1
    pairs = [
        (commit, path, commit.touched[path])
        for commit in commits
        for path in sorted(wanted.intersection(commit.touched))
        if often[path] > 1
    ][:MAX_STEPS]
    texts = read_texts(git, [oid for _, _, touched in pairs for oid in (touched.before, touched.after)])
    found: dict[tuple[str, str, str], str] = {}
    for oid in dict.fromkeys(commit.oid for commit, _, _ in pairs):
        mine = [(path, touched) for commit, path, touched in pairs if commit.oid == oid]
        before = {path: texts[touched.before] for path, touched in mine if touched.before in texts}
        after = {path: texts[touched.after] for path, touched in mine if touched.after in texts}
        for change in _compare(before, after, packages).changes:
            found.setdefault((change.aspect, change.symbol, change.file), oid)
    return found


# What is read ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """The sources before and after (what changed, and the context that readers ask for), and the documents."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    unread: tuple[Unread, ...]
    pages: tuple[Page, ...]
    was: tuple[Page, ...]
    changed: Mapping[str, frozenset[int]]
    packages: Packages

    @classmethod
    def of(
        cls,
        git: Git,
        differences: Sequence[Difference],
        tree: Mapping[str, str],
        patterns: tuple[str, ...],
        surface: Surface = "auto",
    ) -> _Reading:
        from loki_hooks.surface.compare import reader_of

        old = {path: blobs.before for path, _, blobs in differences if path and blobs.before}
        new = {path: blobs.after for _, path, blobs in differences if path and blobs.after}
        places = {path: place for path in tree if (place := place_of(path, patterns)) is not None}
        sources = [p for p in {**old, **new} if place_of(p, patterns) is None]
        packages = _packages(git, sources, tree, surface)
        context = _context(git, sources, {**old, **new}, tree, packages)
        before = {p: old[p] for p in sources if p in old} | {p: tree[p] for p in context if p in tree}
        after = {p: new[p] for p in sources if p in new} | {p: tree[p] for p in context if p in tree}
        docstrings = _near_first([p for p in tree if p not in places and may_have_docstrings(p)], sources)
        oids = [*before.values(), *after.values(), *(tree[p] for p in places), *old.values()]
        texts = read_texts(git, oids)
        left = max(0, min(DOCSTRING_BYTES, MAX_TOTAL - sum(map(len, texts.values()))))
        texts |= read_texts(git, [tree[p] for p in docstrings if tree[p] not in texts], total=left)
        pages = [
            Page(path, place, texts[tree[path]], translated=is_translation(path))
            for path, place in places.items()
            if tree[path] in texts
        ]
        pages += [
            page
            for path in docstrings
            if tree[path] in texts and (page := docstrings_of(path, texts[tree[path]])) is not None
        ]
        changed = frozenset(sources)
        context = set(_affordable(sorted(context), {p: len(texts.get(tree[p], "")) for p in context if p in tree}))
        before, after = ({p: o for p, o in s.items() if p in context or p in changed} for s in (before, after))
        no_text = {path for side in (before, after) for path, oid in side.items() if oid not in texts}
        return cls(
            {path: texts[oid] for path, oid in before.items() if path not in no_text},
            {path: texts[oid] for path, oid in after.items() if path not in no_text},
            tuple(Unread(path, NO_TEXT) for path in sorted(no_text) if reader_of(path)),
            tuple(pages),
            tuple(
                Page(path, place, texts[oid])
                for path, oid in old.items()
                if oid in texts and (place := place_of(path, patterns)) is not None
            ),
            _changed(pages, differences, texts),
            packages,
        )


def _packages(git: Git, sources: Sequence[str], tree: Mapping[str, str], surface: Surface) -> Packages:
    from loki_hooks.surface.packages import Packages, manifest_paths

    wanted = {path: tree[path] for path in manifest_paths(sources, tree.keys())}
    texts = read_texts(git, wanted.values())
    return Packages({path: texts[oid] for path, oid in wanted.items() if oid in texts}, tree.keys(), surface)


def _context(
    git: Git, sources: Sequence[str], blobs: Mapping[str, str], tree: Mapping[str, str], packages: Packages
) -> set[str]:
    """Return the files beside those that changed that the readers want to see; some of them lead to others."""
    from loki_hooks.surface.compare import context_paths, following_paths, follows

    found = context_paths(sources, tree.keys())
    for _ in range(FOLLOWED):
        known = {path: tree.get(path) or blobs[path] for path in (*sources, *found) if follows(path)}
        texts = read_texts(git, known.values(), total=MAX_TOTAL // 4)
        more = following_paths({p: texts[oid] for p, oid in known.items() if oid in texts}, tree.keys(), packages)
        if not more - found:
            break
        found |= more
    return found - set(sources)


def _affordable(paths: Sequence[str], sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield the files that are only looked at beside those that changed, as many as may be read."""
    left = CONTEXT_CHARACTERS
    for path in paths:
        left -= sizes.get(path, 0)
        if left >= 0:
            yield path


def _near_first(paths: Sequence[str], changed: Sequence[str]) -> list[str]:
    """Return the paths, those of the folders that changed first: what is too much to read is far away."""
    folders = {path.rpartition("/")[0] for path in changed}
    return sorted(paths, key=lambda p: (p.rpartition("/")[0] not in folders, p))


def _changed(
    pages: Iterable[Page], differences: Iterable[Difference], texts: Mapping[str, str]
) -> dict[str, frozenset[int]]:
    """Return path → the new lines of each document that changed; one that only moved has none."""
    before = {path: blobs.before for _, path, blobs in differences if path}
    return {
        page.path: changed_lines(texts.get(before[page.path], ""), page.text) for page in pages if page.path in before
    }

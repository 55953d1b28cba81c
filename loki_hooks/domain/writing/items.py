"""What a landed range obliges somebody to write, as items: from what changed of the surface and of the files.

An item says what changed (``before`` and ``after`` as a caller sees it, blob ids at file level), which commit did it, and which
documents speak of it. What makes it the same item wherever it turns up is its *subject*: the promise that it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from loki_hooks.domain.surface import Aspect, Change, Compared, What
from loki_hooks.domain.writing.documents import is_changelog, is_fragment
from loki_hooks.domain.writing.history import Commit, Landing, Touched
from loki_hooks.domain.writing.subjects import About, Subject

Difference = tuple[str, str, Touched]
"""A path before and after ('' where there was, or is, none), and its blobs."""
MAX_UNREAD = 20
"""Files that should have been readable and were not: more of them at once say no more."""
NAMES_SHOWN = 5


class Trigger(StrEnum):
    """What an item is about beside the surface (whose triggers are ``<aspect>-<what>``)."""

    FILE_CHANGED = "file-changed"
    FILE_MOVED = "file-moved"
    FILE_REMOVED = "file-removed"
    BREAKING = "breaking"
    CHANGELOG = "changelog-missing"


@dataclass(frozen=True)
class Item:
    """``docs``: the places to mend, (path, line). ``near``: documents in which its like is documented, where none mentions it."""

    trigger: str
    symbol: str
    file: str
    line: int
    before: str
    after: str
    commit: str = ""
    stream: str = ""
    docs: tuple[tuple[str, int], ...] = ()
    breaking: bool = False
    reason: str = ""
    to: str = ""
    near: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """What a group is made of: the things of one file, where more of them changed than one would read one by one."""
    mended: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def aspect(self) -> str:
        return self.trigger.partition("-")[0]

    @property
    def what(self) -> str:
        return self.trigger.partition("-")[2]

    @property
    def identity(self) -> tuple[str, str, str]:
        """The promise that the item is about. An endpoint and an option are the same in whichever file they stand."""
        return self.aspect, self.symbol, "" if self.aspect in {Aspect.ENDPOINT, Aspect.CONFIG} else self.file

    @property
    def key(self) -> str:
        """What makes it the same change, by content, whichever commit brought it here."""
        return "\0".join((*self.identity, self.before, self.now))

    @property
    def now(self) -> str:
        """What is there now: '' where nothing is."""
        return "" if self.trigger in {Trigger.FILE_MOVED, Trigger.FILE_REMOVED} else self.after

    @property
    def gone(self) -> bool:
        return not self.now and bool(self.before)

    @property
    def undocumented(self) -> bool:
        """Whether it is something that documents should mention, and none does yet."""
        return not self.docs and self.aspect not in {"file", "changelog"}

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "trigger": self.trigger,
            "symbol": self.symbol,
            "file": self.file,
            "line": self.line,
            "before": self.before,
            "after": self.after,
            "commit": self.commit,
            "stream": self.stream,
            "docs": [{"path": path, "line": line} for path, line in self.docs],
            "breaking": self.breaking,
            "undocumented": self.undocumented,
        }
        more = {
            "reason": self.reason,
            "to": self.to,
            "near": list(self.near),
            "names": list(self.names),
            "mended": [dict(m) for m in self.mended],
        }
        return found | {key: value for key, value in more.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Item:
        """Return the item, read tolerantly: a value of the wrong type counts as absent."""

        def text(key: str) -> str:
            found = value.get(key)
            return found if isinstance(found, str) else ""

        def entries(key: str) -> list[Any]:
            found = value.get(key)
            return found if isinstance(found, list) else []

        line = value.get("line")
        return cls(
            trigger=text("trigger"),
            symbol=text("symbol"),
            file=text("file"),
            line=line if type(line) is int else 1,
            before=text("before"),
            after=text("after"),
            commit=text("commit"),
            stream=text("stream"),
            docs=tuple(
                (entry["path"], entry["line"])
                for entry in entries("docs")
                if isinstance(entry, Mapping) and isinstance(entry.get("path"), str) and type(entry.get("line")) is int
            ),
            breaking=value.get("breaking") is True,
            reason=text("reason"),
            to=text("to"),
            near=tuple(path for path in entries("near") if isinstance(path, str)),
            names=tuple(name for name in entries("names") if isinstance(name, str)),
            mended=tuple(entry for entry in entries("mended") if isinstance(entry, Mapping)),
        )


def subject_of(item: Item, names: Mapping[str, int]) -> Subject | None:
    """Return what documents may mention; None for what is about a commit. ``names``: how many files have each bare name."""
    if item.trigger in {Trigger.BREAKING, Trigger.CHANGELOG}:
        return None
    if item.aspect == "file" or item.names:
        alone = names.get(item.file.rpartition("/")[2], 0) == (0 if item.gone else 1)
        return Subject(About.FILE, item.file, item.file, unique=alone, gone=item.gone)
    return Subject(About(item.aspect), item.symbol, item.file) if item.aspect in set(About) else None


def trigger_of(aspect: str, before: str, after: str) -> str:
    """Return the trigger for what was and is there."""
    return f"{aspect}-{'added' if not before else 'removed' if not after else 'changed'}"


def of_surface(compared: Compared, differences: Iterable[Difference]) -> list[Item]:
    """Return an item for each change of the surface. What only moved with its file is the file's item alone."""
    moved = moves(differences)
    return [
        Item(
            f"{change.aspect}-{change.what}",
            change.symbol,
            change.file,
            change.line,
            # What is there is never '': that says that nothing is.
            "" if change.what is What.ADDED else change.before or change.symbol,
            "" if change.what is What.REMOVED else change.after or change.symbol,
            breaking=change.breaking,
        )
        for change in _without_moves(compared.changes, moved)
    ]


def moves(differences: Iterable[Difference]) -> dict[str, str]:
    """Return old path → new path of what moved."""
    return {old: new for old, new, _ in differences if old and new and old != new}


def moved_names(compared: Compared, moved: Mapping[str, str]) -> dict[str, list[str]]:
    """Return old path → the public names that have to be imported from elsewhere, since their file moved."""
    there = {(c.symbol, c.file) for c in compared.changes if c.what is What.ADDED and c.aspect is Aspect.PUBLIC}
    found: dict[str, list[str]] = {}
    for change in compared.changes:
        if change.what is What.REMOVED and (change.symbol, moved.get(change.file, "")) in there:
            found.setdefault(change.file, []).append(change.symbol)
    return found


def hidden_names(
    compared: Compared, moved: Mapping[str, str], names_in: Callable[[str], frozenset[str]]
) -> dict[str, list[str]]:
    """Return old path → the public names that nobody can import any more, since their file moved to where nothing is public.

    ``names_in`` says what a file of the newer side defines: what is not there did not move.
    """
    came = {
        change.file for change in compared.changes if change.what is not What.REMOVED and change.aspect is Aspect.PUBLIC
    }
    found: dict[str, list[str]] = {}
    for change in compared.changes:
        to = moved.get(change.file)
        if to is not None and to not in came and change.what is What.REMOVED and change.aspect is Aspect.PUBLIC:
            found.setdefault(change.file, []).append(change.symbol)
    return {
        file: gone
        for file, gone in found.items()
        if sum(name.replace("::", ".").rpartition(".")[2] in names_in(moved[file]) for name in gone) * 2 > len(gone)
    }


def _without_moves(changes: Sequence[Change], moved: Mapping[str, str]) -> list[Change]:
    """Return the changes, with a removal and an addition of the same thing as one change, or none where it is the same.

    An endpoint and an option are the same wherever they stand; a public name only where its whole file moved.
    """

    def place(change: Change, file: str) -> tuple[Aspect, str, str]:
        return change.aspect, change.symbol, file if change.aspect is Aspect.PUBLIC else ""

    added = {place(c, c.file): c for c in changes if c.what is What.ADDED}
    found: list[Change] = []
    paired: set[Change] = set()
    for change in changes:
        other = None
        if change.what is What.REMOVED and (change.aspect is not Aspect.PUBLIC or change.file in moved):
            other = added.get(place(change, moved.get(change.file, change.file)))
        if other is None or other in paired:
            found.append(change)
            continue
        paired.add(other)
        if other.after != change.before:
            found.append(replace(other, what=What.CHANGED, before=change.before, breaking=True))
    return [change for change in found if change not in paired]


def of_files(differences: Iterable[Difference], is_document: Callable[[str], bool]) -> list[Item]:
    """Return a candidate for each file that changed, moved or went; it counts only where a document mentions it.

    A document that changed makes no work; one that moved or went leaves links behind. An added file makes none either: a
    document that names it already was ahead of it.
    """
    found = []
    for old, new, blobs in differences:
        if old and new and old != new:
            found.append(Item(Trigger.FILE_MOVED, "", old, 1, blobs.before, blobs.after, breaking=False, to=new))
        elif old and not new:
            found.append(Item(Trigger.FILE_REMOVED, "", old, 1, blobs.before, ""))
        elif old and new and not is_document(new) and blobs.before != blobs.after:
            found.append(Item(Trigger.FILE_CHANGED, "", new, 1, blobs.before, blobs.after))
    return found


def of_unread(compared: Compared, differences: Iterable[Difference]) -> list[Item]:
    """Return an item for each file that could not be read, at file level, with the reason.

    One in a language that no reader knows counts, like any file, only where a document mentions it; one that should have
    been readable always does.
    """
    blobs = {new or old: touched for old, new, touched in differences}
    found = []
    strange = [unread for unread in compared.unread if not unread.unknown][MAX_UNREAD:]
    for unread in compared.unread:
        if unread in strange:
            continue
        touched = blobs.get(unread.file, Touched("", ""))
        trigger = Trigger.FILE_CHANGED if touched.after else Trigger.FILE_REMOVED
        found.append(Item(trigger, "", unread.file, 1, touched.before, touched.after, reason=unread.reason))
    return found


def of_commits(
    steps: Sequence[Landing],
    items: Sequence[Item],
    changelog: str,
    guides: Sequence[str],
    is_document: Callable[[str], bool],
) -> list[Item]:
    """Return what the commits themselves oblige to: a breaking change that no item says, a line missing in the changelog.

    ``items``: those made of the range, with their commits. ``changelog``: its path, '' where the project keeps none.
    ``guides``: documents about upgrading. A commit of documents alone breaks nothing.
    """
    found = []
    places = tuple((path, 1) for path in (*guides, *([changelog] if changelog else [])))
    for step in steps:
        mine = {commit.oid for commit in step.commits}
        told = bool(changelog) and any(_tells(path, changelog) for path in step.paths)
        said = {item.commit for item in items if item.breaking}
        marked = [commit for commit in step.commits if commit.breaking and commit.oid not in said]
        loud = [c for c in marked if not c.touched or not all(map(is_document, c.touched))]
        if loud and not told and not any(item.breaking and item.commit in mine for item in items):
            found += [_breaking(commit, step, places) for commit in loud]
        names = [item.symbol for item in items if item.commit in mine and item.symbol]
        if changelog and names and not told:
            found.append(_missing(step, names, changelog))
    return found


def _tells(path: str, changelog: str) -> bool:
    return path == changelog or is_changelog(path) or is_fragment(path)


def _breaking(commit: Commit, step: Landing, places: tuple[tuple[str, int], ...]) -> Item:
    file = min(commit.touched, default="")
    return Item(
        Trigger.BREAKING, commit.subject, file, 1, "", commit.subject, commit.oid, step.stream, places, breaking=True
    )


def _missing(step: Landing, names: Sequence[str], changelog: str) -> Item:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - NAMES_SHOWN} more" if len(unique) > NAMES_SHOWN else ""
    symbol = ", ".join(unique[:NAMES_SHOWN]) + more
    commit = step.commits[0].oid if len(step.commits) == 1 else step.commit
    return Item(
        Trigger.CHANGELOG, symbol, changelog, 1, "", " ".join(sorted(unique)), commit, step.stream, ((changelog, 1),)
    )


def attributed(items: Iterable[Item], steps: Sequence[Landing], made: Mapping[tuple[str, str, str], str]) -> list[Item]:
    """Return the items with the commit that made each, and the stream that brought it.

    ``made``: (aspect, symbol, file) → the commit that is known to have made the change; else it is the newest one that
    touched the file, else the newest landing.
    """
    newest: dict[str, str] = {}
    streams: dict[str, str] = {}
    for step in reversed(steps):
        for commit in step.commits:
            streams[commit.oid] = step.stream
            for path in commit.touched:
                newest.setdefault(path, commit.oid)
    last = steps[-1].commit if steps else ""
    found = []
    for item in items:
        maker = (
            made.get((item.aspect, item.symbol, item.file))
            or newest.get(item.file)
            or (newest.get(item.to) if item.to else None)
            or last
        )
        found.append(replace(item, commit=maker, stream=streams.get(maker, "")))
    return found

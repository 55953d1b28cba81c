"""``<common>/loki/install.json``: what `install` changed, and how it was before, so that `uninstall` can put it back.

``{"version": 1, "way": "native" | "pre-commit", "changes": [...]}``, in the order in which they were made; each
change is recorded before it is made. A change is one of

    {"change": "write", "path", "before": IMAGE, "after": sha256 | null, "inserted": [texts], "made": [folders]}
    {"change": "move", "source", "target", "image": IMAGE}
    {"change": "config", "key", "before": [values], "after": value}

IMAGE is null (there was nothing), ``{"mode": 493, "data": base64}`` or ``{"link": target}``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.errors import LokiError
from loki_hooks.system.files import MAX_BYTES, write_atomic
from loki_hooks.system.json import dump_json, read_json

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

VERSION = 1
HOOK_MODE = 0o755


@dataclass(frozen=True)
class Image:
    """A file as it was: its bytes and permission bits, or what it linked to; neither: it was not there."""

    data: bytes | None = None
    mode: int = 0
    link: str | None = None

    @property
    def absent(self) -> bool:
        return self.data is None and self.link is None

    @property
    def digest(self) -> str | None:
        """The sha256 of what is there, with its mode; None for nothing."""
        if self.absent:
            return None
        whole = b"link " + os.fsencode(self.link) if self.link is not None else b"%o " % self.mode + (self.data or b"")
        return hashlib.sha256(whole).hexdigest()

    def to_json(self) -> dict[str, Any] | None:
        if self.link is not None:
            return {"link": self.link}
        return None if self.data is None else {"mode": self.mode, "data": base64.b64encode(self.data).decode("ascii")}

    @classmethod
    def from_json(cls, value: object) -> Image:
        """Return the image. Raises ``ValueError`` for anything else."""
        if value is None:
            return cls()
        if not isinstance(value, dict):
            raise ValueError("image")  # noqa: TRY004  documented: one error for whatever is wrong in the file
        if isinstance(value.get("link"), str):
            return cls(link=value["link"])
        try:
            return cls(base64.b64decode(value["data"], validate=True), int(value["mode"]))
        except (KeyError, TypeError, binascii.Error) as error:
            raise ValueError("image") from error


def image_of(path: Path) -> Image:
    """Return how ``path`` is now. Raises ``LokiError`` for what is neither a file nor a link."""
    try:
        if path.is_symlink():
            return Image(link=str(path.readlink()))
        if not path.exists():
            return Image()
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise LokiError(f"{path} is not a file that loki-hooks can put back later", "move it away")
        return Image(path.read_bytes(), path.stat().st_mode & 0o7777)
    except OSError as error:
        raise LokiError(f"cannot read {path}: {error.strerror or error}") from error


def put(path: Path, image: Image) -> None:
    """Make ``path`` be as ``image`` says."""
    if image.absent:
        path.unlink(missing_ok=True)
    elif image.link is not None:
        path.unlink(missing_ok=True)
        path.symlink_to(image.link)
    else:
        write_atomic(path, image.data or b"")
        path.chmod(image.mode)


def keep_edited(path: Path, after: str | None) -> Path | None:
    """Keep a copy beside a hook of ours that is about to go where somebody has written into it since; return where.

    ``after``: the digest of what we wrote. None is returned where nothing but its mode is another.
    """
    now = image_of(path)
    if now.data is None or after in {None, now.digest, Image(now.data, HOOK_MODE).digest}:
        return None
    numbers = itertools.count(1)
    aside = path.with_name(f"{path.name}.edited")
    while os.path.lexists(aside):
        aside = path.with_name(f"{path.name}.edited-{next(numbers)}")
    put(aside, now)
    return aside


@dataclass(frozen=True)
class Written:
    path: Path
    before: Image
    after: str | None
    inserted: tuple[str, ...] = ()
    made: tuple[Path, ...] = ()


@dataclass(frozen=True)
class MovedFile:
    source: Path
    target: Path
    image: Image


@dataclass(frozen=True)
class Configured:
    key: str
    before: tuple[str, ...]
    after: str


Change = Written | MovedFile | Configured


@dataclass(frozen=True)
class InstallRecord:
    """``way`` is '' when nothing was installed."""

    way: str = ""
    changes: tuple[Change, ...] = ()

    def with_change(self, change: Change) -> InstallRecord:
        """Return the record with one more change. A file that was written before keeps how it was before that."""
        kept = list(self.changes)
        if isinstance(change, Written) and self._moved_away_since(change.path):
            # What stood there, in our place, has its own entry: undone in turn, it goes back once ours is out of its way.
            kept = [old for old in kept if not (isinstance(old, Written) and old.path == change.path)]
        for index, old in enumerate(kept):
            if isinstance(old, Written) and isinstance(change, Written) and old.path == change.path:
                inserted = tuple(dict.fromkeys((*old.inserted, *change.inserted)))
                kept[index] = Written(old.path, old.before, change.after, inserted, (*old.made, *change.made))
                return InstallRecord(self.way, tuple(kept))
            if isinstance(old, Configured) and isinstance(change, Configured) and old.key == change.key:
                kept[index] = Configured(old.key, old.before, change.after)
                return InstallRecord(self.way, tuple(kept))
        return InstallRecord(self.way, (*kept, change))

    def _moved_away_since(self, path: Path) -> bool:
        """Whether something was moved from ``path`` after we wrote there."""
        about = [
            c for c in self.changes if (c.source if isinstance(c, MovedFile) else getattr(c, "path", None)) == path
        ]
        return len(about) > 1 and isinstance(about[0], Written) and isinstance(about[-1], MovedFile)


def record_path(site: Site) -> Path:
    return site.private / "install.json"


def read_record(site: Site) -> InstallRecord:
    """Return the record, an empty one when there is none. Raises ``LokiError`` when it cannot be understood."""
    path = record_path(site)
    value = read_json(path)
    if value is None and not os.path.lexists(path):
        return InstallRecord()
    try:
        if value["version"] != VERSION:
            raise ValueError("version")
        return InstallRecord(str(value["way"]), tuple(_change(entry) for entry in value["changes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise LokiError(
            f"{path} cannot be understood: what was installed is not known",
            "take the hooks out by hand, then remove that file",
        ) from error


def write_record(site: Site, record: InstallRecord) -> None:
    value = {"version": VERSION, "way": record.way, "changes": [_to_json(change) for change in record.changes]}
    write_atomic(record_path(site), dump_json(value), 0o600)


def _to_json(change: Change) -> dict[str, Any]:
    if isinstance(change, Written):
        return {
            "change": "write",
            "path": str(change.path),
            "before": change.before.to_json(),
            "after": change.after,
            "inserted": list(change.inserted),
            "made": [str(path) for path in change.made],
        }
    if isinstance(change, MovedFile):
        return {
            "change": "move",
            "source": str(change.source),
            "target": str(change.target),
            "image": change.image.to_json(),
        }
    return {"change": "config", "key": change.key, "before": list(change.before), "after": change.after}


def _change(entry: Any) -> Change:
    if entry["change"] == "write":
        return Written(
            Path(entry["path"]),
            Image.from_json(entry["before"]),
            entry["after"],
            tuple(entry["inserted"]),
            tuple(Path(path) for path in entry["made"]),
        )
    if entry["change"] == "move":
        return MovedFile(Path(entry["source"]), Path(entry["target"]), Image.from_json(entry["image"]))
    if entry["change"] == "config":
        return Configured(str(entry["key"]), tuple(entry["before"]), str(entry["after"]))
    raise ValueError(entry["change"])

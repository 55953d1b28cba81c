"""Take out of a ``.loki/`` that others use too what is ours. Links are never followed; ``found`` is never touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.domain.install.own_files import IGNORE_FILE, Whose, whose
from loki_hooks.system.files import MAX_BYTES, read_plain
from loki_hooks.system.site import FOLDERS, Site

_OURS = frozenset({*FOLDERS, "queue", "trash"})


@dataclass(frozen=True)
class Contents:
    """The files of a ``.loki/``, as paths from it. ``found`` (None: there was no ``.loki/``) were there before us."""

    machinery: tuple[str, ...]
    keepsakes: tuple[str, ...]
    others: tuple[str, ...]
    found: frozenset[str] | None


def contents(site: Site) -> Contents:
    """Return what is in the site's ``.loki/``, by whose it is."""
    found = site.found()
    sorted_by: dict[Whose, list[str]] = {kind: [] for kind in Whose}
    for name, is_file in _walk(site.loki):
        kind = whose(name, read_plain(site.loki / name, 8 * MAX_BYTES)) if is_file else Whose.OTHERS
        if kind is Whose.MACHINERY and name in (found or ()):
            kind = Whose.OTHERS
        sorted_by[kind].append(name)
    machinery, keepsakes, others = (tuple(sorted_by[kind]) for kind in Whose)
    return Contents(machinery, keepsakes, others, found)


def _walk(loki: Path) -> list[tuple[str, bool]]:
    """Return what is below: each file, link and special file, and whether it is a plain file; empty folders of others too."""
    seen = []
    for base, folders, files in os.walk(loki):
        for name in sorted((*files, *folders)):
            path = Path(base, name)
            inside = path.relative_to(loki).as_posix()
            if path.is_symlink() or not path.is_dir():
                seen.append((inside, path.is_file() and not path.is_symlink()))
            elif not _is_ours(inside) and not any(path.iterdir()):
                seen.append((inside, False))
    return sorted(seen)


def _is_ours(folder: str) -> bool:
    return folder in _OURS or folder.startswith(("queue/", "state/"))


def remove_machinery(site: Site, there: Contents) -> bool:
    """Remove our files and the folders that they leave empty; return whether ``.loki/`` is gone.

    Its ``.gitignore`` stays where it hides what others put here since; those who were here before had none.
    """
    keep_hidden = there.found is None and bool(there.others)
    for name in there.machinery:
        if name != IGNORE_FILE or not keep_hidden:
            with contextlib.suppress(OSError):
                (site.loki / name).unlink()
    _remove_empty(site.loki, there.found or ())
    if there.found is None:
        with contextlib.suppress(OSError):
            site.loki.rmdir()
    return not site.loki.exists()


def _remove_empty(loki: Path, found: Collection[str]) -> None:
    for base, _, _ in os.walk(loki, topdown=False):
        inside = Path(base).relative_to(loki).as_posix()
        if _is_ours(inside) and inside not in found:
            with contextlib.suppress(OSError):
                Path(base).rmdir()

"""Whether a checkout is nothing but the blobs' bytes: only then may somebody else than git write the files. Pure.

Proved from what git itself would look at: the configuration, the index, and the attributes of every path
(gitattributes(5)). Whatever is not known to be plain is not: then git does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loki_hooks.domain.worktrees.index_file import IndexEntry

ATTRIBUTES = ("text", "crlf", "eol", "ident", "filter", "working-tree-encoding")
_ABSENT = frozenset({"unspecified", "unset"})
_LINE_ENDS = {  # values that leave a blob's bytes alone where the platform's line end is LF and core.* say nothing else
    "text": frozenset({"unspecified", "unset", "set", "auto"}),
    "crlf": frozenset({"unspecified", "unset", "set", "input"}),
    "eol": frozenset({"unspecified", "unset", "lf"}),
}
_MODES = frozenset({0o100644, 0o100755, 0o120000})
_FALSE = frozenset({"false", "no", "off", "0"})
_NEVER_TRUE = (
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.splitindex",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.protecthfs",
    "index.sparse",
)
_NEVER_FALSE = ("core.symlinks", "core.filemode")
_NEVER_SET = ("core.worktree", "core.sharedrepository", "extensions.partialclone")
_PLAIN_NAMES = re.compile(rb"[^\x01-\x1f\\:~\x7f-\xff]*")
_ODD_PARTS = re.compile(rb"(?:^|[/\0])(?:\.git|\.{0,2})(?:[/\0]|$)", re.IGNORECASE)


def why_not_plain_config(config: Mapping[str, str]) -> str:
    """Return '' or which setting (lower-case key → last value) could make a checkout more than the blobs' bytes."""
    for key in _NEVER_TRUE:
        if key in config and config[key].lower() not in _FALSE:
            return key
    for key in _NEVER_FALSE:
        if config.get(key, "true").lower() in {*_FALSE, ""}:
            return key
    for key in _NEVER_SET:
        if key in config and config[key].lower() not in {*_FALSE, "umask"}:
            return key
    if config.get("core.autocrlf", "false").lower() not in {*_FALSE, "input"}:
        return "core.autocrlf"
    if config.get("core.eol", "lf").lower() not in {"lf", "native"}:
        return "core.eol"
    return next((key for key in config if key.startswith("remote.") and key.endswith(".promisor")), "")


def why_not_plain_entries(entries: Sequence[IndexEntry]) -> str:
    """Return '' or what in the index is more than files, programs and symbolic links with harmless names."""
    for entry in entries:
        if entry.odd or entry.mode not in _MODES:
            return f"the entry {_text(entry.path)} (mode {entry.mode:o})"
    names = b"\0".join(entry.path for entry in entries)
    if _PLAIN_NAMES.fullmatch(names) and not _ODD_PARTS.search(names):
        return ""
    return next((f"the name {_text(e.path)}" for e in entries if not _is_plain_text(e.path)), "")


def _is_plain_text(path: bytes) -> bool:
    """Whether a path is printable UTF-8 (no control or formatting character) that no system reads as `.git`."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text.isprintable() and not set(text) & set("\\:~") and not _ODD_PARTS.search(path)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "replace")


def why_not_plain_attributes(pairs: Iterable[tuple[str, str]]) -> str:
    """Return '' or an attribute that changes a file's bytes; ``pairs``: every (attribute, value) that some path has."""
    for name, value in sorted(pairs):
        if value not in _LINE_ENDS.get(name, _ABSENT):
            return f"the attribute {name} ({value})"
    return ""

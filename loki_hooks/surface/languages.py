"""Which languages are read, told by the suffixes of files."""

from __future__ import annotations

from pathlib import PurePosixPath

LANGUAGES = {
    "python": (".py", ".pyi"),
    "javascript": (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"),
    "go": (".go",),
    "rust": (".rs",),
    "java": (".java",),
    "ruby": (".rb", ".ru", ".rake"),
}
"""By the reader's name (its module is ``<name>/reader.py``) the suffixes of the files that are its own."""


def language_of(path: str) -> str:
    """Return the language of the file by its suffix, '' for none that is read here."""
    suffix = PurePosixPath(path).suffix.lower()
    return next((name for name, suffixes in LANGUAGES.items() if suffix in suffixes), "")

"""Find a shipped hook script or template, in a checkout (editable install) or installed from a wheel.

A wheel carries them as ``loki_hooks/_assets/…`` (hatchling's force-include); an editable install
leaves them at the top level of the checkout, beside the package.
"""

from __future__ import annotations

import os
from pathlib import Path

from loki_hooks.errors import LokiError

_PACKAGE = Path(os.path.realpath(__file__)).parent


def asset_dir(kind: str) -> Path:
    """Return the folder of ``kind`` (``"hooks"`` or ``"templates"``). Raises ``LokiError`` if the install is broken."""
    for candidate in (_PACKAGE / "_assets" / kind, _PACKAGE.parent / kind):
        if candidate.is_dir():
            return candidate
    raise LokiError(f"this installation has no {kind} folder", "reinstall loki-hooks")


def template_text(name: str) -> str:
    """Return the text of ``templates/<name>``."""
    return (asset_dir("templates") / name).read_text(encoding="utf-8")


def package_dir() -> Path:
    """Return the folder of the installed package itself."""
    return _PACKAGE

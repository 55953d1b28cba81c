"""What came of parsing a configuration, kept so that a push whose result is known need not load what parses it.

    <common>/loki/parsed/<key>.json   {"code", "value"}

``key`` is a hash of the file's bytes, what they are called, and the code that parses them: whatever changes, it is
another one. ``value`` is the ``Config``: a dataclass is ``[name, {field: value}]``, a tuple ``{"t": […]}``, a mapping
``{"m": {…}}``, a way to land ``{"w": …}``.
``code`` is the clone's own over key and value: what is damaged or was put there by others is not used.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import loki_hooks
from loki_hooks.domain import config as values
from loki_hooks.domain.config import Config
from loki_hooks.domain.landing.ways import Way
from loki_hooks.errors import LokiError
from loki_hooks.system.files import entries, read_plain, write_atomic
from loki_hooks.system.json import parse_json
from loki_hooks.system.site import Site
from loki_hooks.system.store.clone_key import code_over

KEPT = 8
_PARSERS = (
    "system/config/load.py",
    "domain/config.py",
    "domain/landing/ways.py",
    "domain/limits.py",
    "domain/names.py",
    "domain/sessions/agents.py",
    "domain/streams/stages.py",
)


def remembered(site: Site, raw: bytes, source: str, parse: Callable[[], Config]) -> Config:
    """Return what ``parse`` makes of ``raw``, from what was kept where that is so. Raises what ``parse`` raises.

    Nothing is kept where loki-hooks is not on.
    """
    if not site.enabled:
        return parse()
    key = _key(raw, source)
    path = site.private / "parsed" / f"{key}.json"
    known = parse_json(read_plain(path))
    if isinstance(known, dict) and isinstance(known.get("value"), str):
        value = known["value"]
        if hmac.compare_digest(str(known.get("code")).encode("utf-8", "replace"), _code(site, key, value).encode()):
            with suppress(ValueError, TypeError, KeyError):
                config = _decoded(json.loads(value))
                if isinstance(config, Config):
                    return config
    config = parse()
    value = json.dumps(_encoded(config))
    with suppress(LokiError):  # it only saves time
        write_atomic(path, json.dumps({"code": _code(site, key, value), "value": value}), mode=0o600)
        _forget(path)
    return config


def _key(raw: bytes, source: str) -> str:
    digest = hashlib.sha256(f"{loki_hooks.__version__}\0{source}\0".encode("utf-8", "surrogateescape"))
    package = Path(loki_hooks.__file__).parent
    for name in _PARSERS:
        with suppress(OSError):
            seen = (package / name).stat()
            digest.update(f"{seen.st_mtime_ns} {seen.st_size}\0".encode())
    digest.update(raw)
    return digest.hexdigest()


def _code(site: Site, key: str, value: str) -> str:
    return code_over(site, f"config\0{key}\0{value}".encode("utf-8", "surrogatepass"))


def _forget(written: Path) -> None:
    found = [entry for entry in entries(written.parent) if entry.name.endswith(".json") and entry.name != written.name]
    for entry in sorted(found, key=lambda entry: entry.stat().st_mtime_ns)[: 1 - KEPT]:
        Path(entry.path).unlink(missing_ok=True)


def _encoded(value: Any) -> Any:
    if is_dataclass(value):
        return [type(value).__name__, {f.name: _encoded(getattr(value, f.name)) for f in fields(value)}]
    if isinstance(value, Way):
        return {"w": value.value}
    if isinstance(value, tuple):
        return {"t": [_encoded(part) for part in value]}
    if isinstance(value, Mapping):
        return {"m": {key: _encoded(part) for key, part in value.items()}}
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        name, parts = value
        return getattr(values, name)(**{key: _decoded(part) for key, part in parts.items()})
    if isinstance(value, dict):
        ((kind, parts),) = value.items()
        if kind == "w":
            return Way(parts)
        if kind == "t":
            return tuple(_decoded(part) for part in parts)
        return {key: _decoded(part) for key, part in parts.items()}
    return value

"""The formats of plans: each is one module here and one line in ``FORMATS``. The first that fits reads."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Protocol, cast

from loki_hooks.domain.plan.task import Draft, Grain, Problem

FORMATS = {
    "github": "loki_hooks.surface.plan.github",
    "task-master": "loki_hooks.surface.plan.taskmaster",
    "loki-hooks": "loki_hooks.surface.plan.own",
    "spec-kit": "loki_hooks.surface.plan.speckit",
    "checklist": "loki_hooks.surface.plan.checklist",
}
"""Name → module, which is a ``Format``. The order counts: a task list of spec-kit is a checklist, too."""


@dataclass(frozen=True)
class PlanSource:
    """The text of a plan. ``value`` is what is in it where it is TOML, YAML or JSON, else None."""

    name: str
    text: str
    value: Any = None
    tag: str = ""
    """Which of several lists in it (``tasks.json#tag``)."""

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()

    def line_of(self, needle: str, start: int = 0) -> int:
        """Return the line (from 1) at which ``needle`` first stands after the offset ``start``; 0 for nowhere."""
        at = self.text.find(needle, start)
        return 0 if at < 0 else self.text.count("\n", 0, at) + 1


class Format(Protocol):
    """A module that reads one format."""

    def fits(self, source: PlanSource) -> bool: ...

    def read(self, source: PlanSource, grain: Grain) -> Draft: ...


def read_plan(name: str, text: str, grain: Grain, tag: str = "") -> Draft:
    """Return what the plan in ``text`` says. ``name`` (a path, ``gh:…`` or ``-``) helps to tell its format."""
    source = PlanSource(name, text, tag=tag)
    try:
        source = replace(source, value=_value(source))
    except _NotReadError as error:
        return Draft("unknown", problems=(Problem("", error.args[0], error.args[1]),))
    for form in FORMATS.values():
        reader = cast(Format, importlib.import_module(form))
        if reader.fits(source):
            return reader.read(source, grain)
    known = "a TOML, YAML or JSON plan, a Markdown checklist, spec-kit's tasks.md, or Task Master's tasks.json"
    return Draft("unknown", problems=(Problem("", f"this is none of the formats of a plan: {known}"),))


class _NotReadError(ValueError):
    """Why, and in which line."""


def _value(source: PlanSource) -> Any:
    kind = source.suffix
    if kind in {".json", ""} and source.text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(source.text)
        except json.JSONDecodeError as error:
            if kind:
                raise _NotReadError(f"it is not JSON: {error.msg}", error.lineno) from error
        except RecursionError as error:
            raise _NotReadError("it is nested too deep", 0) from error
    if kind == ".json":
        raise _NotReadError("it is not JSON: no object and no array", 1)
    if kind == ".toml" or (not kind and "[[tasks]]" in source.text):
        return _toml(source.text)
    if kind in {".yaml", ".yml"}:
        return _yaml(source.text)
    return None


def _toml(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        import re

        line = re.search(r"line (\d+)", str(error))
        raise _NotReadError(f"it is not TOML: {error}", int(line.group(1)) if line else 0) from error
    except RecursionError as error:
        raise _NotReadError("it is nested too deep", 0) from error


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _NotReadError(f"it is not YAML: {error.problem}", line) from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise _NotReadError(f"it is not YAML: {error}", 0) from error

"""What a value of the configuration may be beside its type: written in the type's annotation, read by pydantic.

pydantic asks what it finds in an annotation for a schema, so nothing of it is loaded here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from loki_hooks.domain.names import check_template
from loki_hooks.errors import BadInputError

OURS = {"ours": True}
"""The metadata of a field that is no key of the file."""


class Limit:
    """Bounds, in pydantic's words: ``ge``, ``gt``, ``le``, ``min_length``, ``pattern``, ``allow_inf_nan``."""

    def __init__(self, **bounds: object) -> None:
        self.bounds = bounds

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        schema = handler(source)
        assert schema["type"] in {"int", "float", "str", "tuple"}, f"{schema['type']} takes no {', '.join(self.bounds)}"
        return {**schema, **self.bounds}


class Check:
    """A rule of our own: ``why`` returns what is wrong with a value, '' for nothing."""

    def __init__(self, why: Callable[[Any], str]) -> None:
        self.why = why

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        function = {"type": "no-info", "function": self._checked}
        return {"type": "function-after", "function": function, "schema": handler(source)}

    def _checked(self, value: Any) -> Any:
        if why := self.why(value):
            raise ValueError(why)
        return value


def _template(text: str) -> str:
    try:
        check_template(text)
    except BadInputError as error:
        return f"{error.message}; {error.hint}"
    return ""


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        return f"{text!r} is no regular expression: {error}"
    return ""


Text = Annotated[str, Limit(min_length=1)]
Template = Annotated[str, Limit(min_length=1), Check(_template)]
EmptyOrTemplate = Annotated[str, Check(_template)]
Expression = Annotated[str, Limit(min_length=1), Check(_expression)]
Seconds = Annotated[float, Limit(ge=0, allow_inf_nan=False)]
SafeName = Annotated[str, Limit(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Kind = Annotated[str, Limit(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Variable = Annotated[str, Limit(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
IgnorePattern = Annotated[str, Limit(pattern=r"^[^-!\s][^\x00\n]*$")]

"""The configuration's schema: one pydantic model a table. Loaded only when a configuration file is read."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.names import check_template
from loki_hooks.domain.streams.stages import STAGES, is_order
from loki_hooks.errors import BadInputError

Text = Annotated[str, StringConstraints(min_length=1)]
CommandField = Text | Annotated[list[Text], Field(min_length=1)]


class Table(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # unknown keys warn, with the nearest known one


def _template(value: str) -> str:
    try:
        return check_template(value)
    except BadInputError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


class WorktreesTable(Table):
    path: Text = "../{project}-{stream}"
    max: Annotated[int, Field(ge=1)] | None = None

    _check = field_validator("path")(_template)


class AgentTable(Table):
    command: CommandField
    model_args: list[Text] | None = None
    read_args: list[Text] | None = None


Stages = list[Literal["analyze", "build", "review"]]


def _in_order(value: Stages) -> Stages:
    if not is_order(value):
        raise ValueError(f"stages are some of {', '.join(STAGES)}, in this order")
    return value


class LaunchTable(Table):
    agent: Text | None = None
    model: Text | None = None
    args: list[Text] = []
    read_dirs: list[Text] = []
    stages: Stages | None = None

    _check = field_validator("stages")(lambda value: None if value is None else _in_order(value))


class RateLimitTable(Table):
    words: list[Text] | None = None
    wait: Annotated[float, Field(gt=0, le=86400)] = 60
    longest: Annotated[float, Field(gt=0, le=86400)] = 3600
    tries: Annotated[int, Field(ge=0, le=1000)] = 10

    @field_validator("words")
    @classmethod
    def _patterns(cls, value: list[str] | None) -> list[str] | None:
        for word in value or ():
            try:
                re.compile(word)
            except re.error as error:
                raise ValueError(f"{word!r} is no regular expression: {error}") from error
        return value


class SessionTable(Table):
    agent: Text = "claude"
    max: Annotated[int, Field(ge=1)] = 3
    timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    commit: Literal["all", "never"] = "all"
    model: Text | None = None
    args: list[Text] = []
    read_dirs: list[Text] = []
    stages: Stages = ["build"]
    kinds: dict[Text, LaunchTable] = {}
    memory: bool = False
    rate_limit: RateLimitTable = RateLimitTable()

    _check = field_validator("stages")(_in_order)


class EnvironmentTable(Table):
    copy_: Annotated[list[Text], Field(alias="copy")] = [".env", ".env.*"]
    link: list[Text] = []
    set: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = {}
    setup: Literal["auto", False] | CommandField = "auto"
    ports: Annotated[int, Field(ge=0, le=100)] = 0

    @field_validator("set")
    @classmethod
    def _values(cls, value: dict[str, str]) -> dict[str, str]:
        return {key: _template(text) for key, text in value.items()}


class GateTable(Table):
    command: CommandField
    branches: list[Text] = ["{streams}", "{integration}"]
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1800
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    worktree: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "testing"
    flaky_passes: bool = False
    fingerprint: list[str] = []
    fresh: bool = False
    keep: list[Annotated[str, StringConstraints(pattern=r"^[^-!\s][^\x00\n]*$")]] = []


class PushTable(Table):
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 240


How = Annotated[Way, Field(strict=False)]


class MergeTable(Table):
    auto: bool = True
    how: How | dict[Text, How] = Way.NO_FF
    batch: Annotated[int, Field(ge=1, le=64)] = 8
    push: bool = False
    additive: list[Text] = ["CHANGELOG*"]


class ResultsTable(Table):
    accept: Literal["own", "all"] = "own"


class CleanupTable(Table):
    auto: bool = True
    retention_days: Annotated[int, Field(ge=0)] = 30
    caches: list[Text] = []


class SyncTable(Table):
    how: Literal["rebase", "merge"] = "rebase"


class DocsTable(Table):
    paths: list[Text] = ["README*", "docs/**"]
    auto: bool = False


class BlogTable(Table):
    path: Annotated[str, StringConstraints(pattern=r"^[^/.].*$")] | None = None
    auto: bool = False

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value is not None and ".." in value.split("/"):
            raise ValueError("it is a folder of the repository")
        return value


class File(Table):
    integration_branch: Text | None = None
    worktrees: WorktreesTable = WorktreesTable()
    branches: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")], Text] = {}
    agents: dict[Text, AgentTable] = {}
    session: SessionTable = SessionTable()
    environment: EnvironmentTable = EnvironmentTable()
    gates: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")], GateTable] = {}
    push: PushTable = PushTable()
    results: ResultsTable = ResultsTable()
    merge: MergeTable = MergeTable()
    cleanup: CleanupTable = CleanupTable()
    sync: SyncTable = SyncTable()
    docs: DocsTable = DocsTable()
    blog: BlogTable = BlogTable()

    @field_validator("branches")
    @classmethod
    def _templates(cls, value: dict[str, str]) -> dict[str, str]:
        return {key: _template(text) for key, text in value.items()}

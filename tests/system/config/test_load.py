"""The configuration's file: what it means, every error at once with its path, and a hint for a key that there is not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from loki_hooks.assets import package_dir
from loki_hooks.domain.config import Config, Gate
from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.sessions.agents import PRESETS
from loki_hooks.errors import BadInputError
from loki_hooks.system.config import cache
from loki_hooks.system.config.load import parse
from loki_hooks.system.store import known


def errors(text: str) -> list[str]:
    """Return what is wrong with the configuration, a line each."""
    with pytest.raises(BadInputError) as caught:
        parse(text.encode(), "x.toml")
    head, *lines = caught.value.message.splitlines()
    assert head == f"x.toml has {len(lines)} error{'s' if len(lines) > 1 else ''}:"
    return [line.strip() for line in lines]


def test_an_empty_file_is_all_defaults() -> None:
    assert parse(b"", "") == Config()
    assert parse(b"[tool]", "", ("tool", "loki-hooks")) == Config()


def test_every_error_is_shown_at_once_with_its_path() -> None:
    text = """\
integration_branch = 3
[worktrees]
path = "{nmae}"
max = 0
[branches]
Bad = "x"
feature = ""
[agents.mine]
model_args = []
[session]
timeout = inf
commit = "some"
args = ["", 2020-01-01]
stages = ["review", "build"]
model = 2020-01-01
[session.kinds.docs]
stages = ["plan"]
[session.rate_limit]
words = ["("]
[environment]
copy = "x"
set = {"1A" = "x", B = "{x}"}
setup = true
[gates.unit]
command = []
keep = ["!x"]
[gates."a b"]
command = "x"
[merge]
how = {docs = "fast"}
batch = 65
[blog]
path = "a/../b"
[push]
budget = nan
"""
    found = errors(text)
    assert [line.partition(":")[0] for line in found] == [
        "integration_branch",
        "worktrees.path",
        "worktrees.max",
        "branches.Bad",
        "branches.feature",
        "agents.mine.command",
        "session.timeout",
        "session.commit",
        "session.model",
        "session.args.0",
        "session.args.1",
        "session.stages",
        "session.kinds.docs.stages.0",
        "session.rate_limit.words.0",
        "environment.copy",
        "environment.set.1A",
        "environment.set.B",
        "environment.setup",
        "environment.setup",
        "environment.setup",
        "gates.unit.command",
        "gates.unit.command",
        "gates.unit.keep.0",
        "gates.a b",
        "push.budget",
        "merge.how",
        "merge.how.docs",
        "merge.batch",
        "blog.path",
    ]
    assert "worktrees.path: unknown placeholder {nmae} in '{nmae}'; did you mean {name}?" in found[1]
    assert "agents.mine.command: Field required" in found
    assert "session.commit: Input should be 'all' or 'never'" in found
    assert "session.stages: stages are some of analyze, build, review, in this order" in found
    assert "merge.how.docs: Input should be 'no-ff', 'squash' or 'pr'" in found
    assert "blog.path: it is a folder of the repository" in found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("session = 3", "session: Input should be a table"),
        ("gates = []", "gates: Input should be a table"),
        ('[gates]\nunit = "x"', "gates.unit: Input should be a table"),
        ('[session]\nmax = "3"', "session.max: Input should be a valid integer"),
        ("[merge]\nauto = 1", "merge.auto: Input should be a valid boolean"),
        ("[gates.command]\nretries = 1", "gates.command.command: Field required"),
        (f"[environment]\ncopy = {'[' * 300}{']' * 300}", "the whole: arrays or tables are nested too deep"),
    ],
)
def test_what_is_of_another_type_is_named(text: str, line: str) -> None:
    assert errors(text) == [line]


def test_an_unknown_key_is_a_warning_with_the_nearest_known_one() -> None:
    text = """\
gate = 1
source = "elsewhere"
warnings = []
[session]
modle = "m"
[session.kinds.docs]
agnt = "claude"
[gates.unit]
command = "x"
name = "other"
tiemout = 3
zzzzzz = 1
[agents.mine]
command = "x"
end = "exit-status"
"""
    config = parse(text.encode(), "x.toml")
    assert set(config.warnings) == {
        "x.toml: unknown key gate (did you mean gates?)",
        "x.toml: unknown key source",
        "x.toml: unknown key warnings",
        "x.toml: unknown key session.modle (did you mean session.model?)",
        "x.toml: unknown key session.kinds.docs.agnt (did you mean session.kinds.docs.agent?)",
        "x.toml: unknown key gates.unit.name",
        "x.toml: unknown key gates.unit.tiemout (did you mean gates.unit.timeout?)",
        "x.toml: unknown key gates.unit.zzzzzz",
        "x.toml: unknown key agents.mine.end",
    }
    assert config.source == "x.toml"
    assert config.gates == {"unit": Gate("unit", "x")}


def test_what_may_be_written_in_two_ways() -> None:
    one = parse(b'[merge]\nhow = "squash"\n[environment]\nsetup = false', "")
    assert [one.merge.how_of(kind) for kind in ("feature", "docs")] == [Way.SQUASH, Way.SQUASH]
    assert one.environment.setup is False
    two = parse(b'[merge.how]\ndocs = "pr"\n[environment]\nsetup = ["make", "x"]', "")
    assert [two.merge.how_of(kind) for kind in ("feature", "docs")] == [Way.NO_FF, Way.PR]
    assert all(isinstance(two.merge.how_of(kind), Way) for kind in ("feature", "docs"))
    assert two.environment.setup == ("make", "x")


def test_an_agent_that_only_changes_a_presets_command_is_in_all_else_as_the_preset() -> None:
    config = parse(b'[agents.codex]\ncommand = "mine"\n[agents.gemini]\ncommand = ["g"]\nmodel_args = []', "")
    assert config.agents["codex"].model_args == PRESETS["codex"].model_args
    assert config.agents["codex"].command == "mine"
    assert (config.agents["gemini"].model_args, config.agents["gemini"].read_args) == ((), PRESETS["gemini"].read_args)
    assert config.agents["claude"] == PRESETS["claude"]


def test_branches_are_added_to_the_standing_ones() -> None:
    branches = parse(b'[branches]\nspike = "s/{name}"\ndocs = "d"', "").branches
    assert (branches["spike"], branches["docs"], branches["feature"]) == ("s/{name}", "d", "feature/{name}")


def test_a_changed_parser_is_noticed_by_what_is_kept() -> None:
    """The lists name source files: one that is not there would be passed over."""
    package = package_dir()
    for name in (*cache._PARSERS, *known._CODE):
        assert (package / name).is_file(), name
    for name in ("domain/config.py", "system/config/load.py"):
        assert domain_imports(package / name) <= {"domain/config.py", *cache._PARSERS}, name


def domain_imports(path: Path) -> set[str]:
    words = [node.module or "" for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {f"{word.removeprefix('loki_hooks.').replace('.', '/')}.py" for word in words if ".domain." in word}

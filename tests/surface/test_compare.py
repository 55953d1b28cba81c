"""What readers find between two versions of sources: the labelled set, and what holds for any text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.labelled_cases import NOTHING, Case, cases, in_words, look, read_case, score

from loki_hooks.domain.surface import Compared, Unread
from loki_hooks.surface.compare import MAX_CHARACTERS, compare_sources, context_paths, reader_of
from loki_hooks.surface.languages import LANGUAGES

CASES = list(cases())
PYTHON = [c for c in CASES if c.language == "python"]
MODULES = sorted({text for c in PYTHON for p, text in (*c.before.items(), *c.after.items()) if p.endswith(".py")})
_VARIABLE = re.compile(r"\{[^{}]*\}")
"""Of a path: it is told by its newer name."""
SETTINGS = ("config.toml", "config.yaml", "config.json", "settings.schema.json", ".env.example")
FILES = ["pkg/__init__.py", "pkg/app.py", "app.pyi", *SETTINGS, *(f"src/code{s[0]}" for s in LANGUAGES.values())]


def test_the_labelled_set_is_read_with_precision_and_recall_over_95_percent() -> None:
    """All languages together; what the cases miss or find wrongly is printed by ``benchmarks/labelled.py``."""
    assert len(CASES) >= 60
    total, broken = NOTHING, NOTHING
    unread: dict[str, frozenset[str]] = {}
    for case in CASES:
        seen = look(case)
        total += score(case.expected, seen.found)
        both = case.expected & seen.found
        broken += score(case.breaking & both, seen.breaking & both)
        unread |= {f"{case.language}/{case.name}": seen.unread} if seen.unread else {}
    assert unread == {}
    assert min(total.precision, total.recall) > 0.95, total
    assert min(broken.precision, broken.recall) > 0.95, broken


@pytest.mark.parametrize("language", sorted({c.language for c in CASES}))
def test_every_language_alone_is_read_nearly_as_well(language: str) -> None:
    total = sum((score(c.expected, look(c).found) for c in CASES if c.language == language), NOTHING)
    assert min(total.precision, total.recall) > 0.9, total


GAINED = frozenset({"Client", "Event", "Quiet"})
"""Types of Rust that gain a trait which most types have: no news, while losing it breaks callers."""


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.language}-{c.name}")
def test_a_case_turned_round_finds_the_mirror_image(case: Case) -> None:
    """What was added is then removed, what was removed is added, and what changed changed."""
    there = in_words(compare_sources(case.before, case.after)).found
    back = in_words(compare_sources(case.after, case.before)).found
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    words = (line.split(" ", 2) for line in back)
    turned = {f"{aspect} {mirror[what]} {symbol}" for aspect, what, symbol in words}
    gained = {f"public changed {name}" for name in GAINED if case.language == "rust"}
    assert {_VARIABLE.sub("{}", line) for line in there - gained} == {
        _VARIABLE.sub("{}", line) for line in turned - gained
    }


@given(st.sampled_from(MODULES))
def test_a_module_written_anew_from_its_tree_is_the_same(text: str) -> None:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return  # of a newer Python than the one that runs
    anew = "# A comment.\n" + ast.unparse(tree) + "\n"
    assert compare_sources({"pkg/app.py": text}, {"pkg/app.py": anew}) == Compared()


@given(st.data())
@settings(max_examples=60)
def test_no_text_is_too_strange_to_compare(data: st.DataObject) -> None:
    """Any text, and real modules with a piece cut out; equal sides differ in nothing."""
    anything = st.text(max_size=60)
    cut = st.builds(
        lambda text, at, size: text[: at % (len(text) + 1)] + text[at % (len(text) + 1) + size :],
        st.sampled_from(MODULES),
        st.integers(0, 5000),
        st.integers(0, 80),
    )
    sides = st.dictionaries(st.sampled_from(FILES), st.one_of(anything, cut, st.sampled_from(MODULES)), max_size=3)
    before, after = data.draw(sides), data.draw(sides)
    found = compare_sources(before, after)
    differing = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    assert {u.file for u in found.unread} <= differing
    assert compare_sources(before, before) == Compared()


def test_a_file_that_cannot_be_read_is_named_and_hides_nothing_else() -> None:
    deep = "f(" + "a.b()." * 5_000 + "c)\n"
    after = {
        "app.py": "def greet(name): ...\n",
        "broken.py": "def greet(\n",
        "deep.py": "@" + deep + "def it(): ...\n",
        "huge.py": "x = 1\n" * (MAX_CHARACTERS // 6 + 1),
        "nul.py": "x = '\0'\n",
        "App.kt": "fun main() {}\n",
        "config.yaml": "a: [1\n",
        "defaults.toml": "a = \n",
        "settings.json": "{'a': 1}",
        "notes.md": "anything",
        "data.json": "not even JSON",
        "tests/test_app.kt": "fun test() {}",
        "node_modules/x/index.py": "def x(",
    }
    found = compare_sources({}, after)
    assert in_words(found).found == {"public added greet"}
    assert {u.file for u in found.unread} == {
        *("App.kt", "broken.py", "config.yaml", "deep.py", "defaults.toml", "huge.py", "nul.py", "settings.json")
    }
    assert Unread("App.kt", "no parser for .kt", unknown=True) in found.unread


def test_lines_and_signatures_of_what_changed() -> None:
    before = {"pkg/app.py": "class Client:\n    def get(self, path: 'str', *, tries=3) -> bytes: ...\n", "a.toml": ""}
    after = {"pkg/app.py": "\n\nclass Client:\n    async def get(self, path: str, /, token) -> bytes: ...\n"}
    (change,) = compare_sources(before, after).changes
    assert (change.file, change.line, change.symbol, change.breaking) == ("pkg/app.py", 4, "Client.get", True)
    assert change.before == "(path: str, *, tries=3) -> bytes"
    assert change.after == "async (path: str, /, token) -> bytes"


def test_settings_keep_their_lines_and_a_renamed_file_its_keys() -> None:
    text = "[server]\nport = 1\n\n[client]\nport = 2\n"
    found = compare_sources({"config/config.toml": text}, {"config/settings.toml": text.replace("= 2", "= 3")})
    assert [(c.what, c.symbol, c.file, c.line) for c in found.changes] == [
        ("changed", "client.port", "config/settings.toml", 5)
    ]


def test_context_is_what_tells_the_public_names_and_prefixes() -> None:
    tree = [
        "src/pkg/__init__.py",
        "src/pkg/web/__init__.py",
        "src/pkg/web/users.py",
        "src/pkg/main.py",
        "src/other/__init__.py",
    ]
    assert context_paths(["src/pkg/web/users.py"], tree) == {tree[0], tree[1], "src/pkg/main.py"}
    assert context_paths(["README.md"], tree) == set()
    beside = ["pkg/__init__.py", "pkg/client.py", "pkg/_net/http.py", "other.py"]
    assert context_paths(["pkg/_net/base.py"], beside) == {"pkg/__init__.py", "pkg/client.py"}
    assert reader_of("src/pkg/web/users.py") == "python"
    assert reader_of("tests/test_users.py") == ""


def test_a_malformed_case_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.case"
    bad.write_text("# x\n=== beside a.py\n")
    with pytest.raises(ValueError, match="no such section"):
        read_case(bad)

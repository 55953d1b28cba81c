"""What holds for every language that is read by tree-sitter: any text, any depth, any layout."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.labelled_cases import cases, in_words

from loki_hooks.domain.surface import Compared
from loki_hooks.surface import syntax
from loki_hooks.surface.compare import compare_sources, context_paths
from loki_hooks.surface.languages import LANGUAGES as READ
from loki_hooks.surface.languages import language_of
from loki_hooks.surface.packages import UNKNOWN
from loki_hooks.surface.reader import load
from loki_hooks.surface.syntax import parse

LANGUAGES = ("javascript", "typescript", "go", "rust", "java", "ruby")
CASES = [case for case in cases() if case.language in LANGUAGES]
FILES = {path: text for case in CASES for side in (case.before, case.after) for path, text in side.items()}
SOURCES = sorted((PurePosixPath(path).suffix, text) for path, text in FILES.items())
HASH = (".rb",)
NESTED = {
    ".js": ("export const x = ", "(", "1", ")", ";"),
    ".ts": ("export type X = ", "Array<", "string", ">", ";"),
    ".go": ("package a\nvar X = ", "(", "1", ")", "\n"),
    ".rs": ("pub type X = ", "Vec<", "u8", ">", ";"),
    ".java": ("public class X { public int y = ", "(", "1", ")", "; }"),
    ".rb": ("X = ", "[", "1", "]", "\n"),
}


@given(st.sampled_from(SOURCES), st.data())
@settings(max_examples=150, deadline=None)
def test_comments_empty_lines_and_line_ends_say_nothing(source: tuple[str, str], data: st.DataObject) -> None:
    suffix, text = source
    remark = "# A remark.\n" if suffix in HASH else "// A remark.\n"
    lines = text.splitlines(keepends=True)
    starts = [at for at in range(len(lines)) if lines[at][:1].isalpha() and (not at or lines[at - 1] == "\n")] or [0]
    at = data.draw(st.sampled_from(starts))
    anew = "".join([*lines[:at], remark, "\n\n", *lines[at:]])
    anew = data.draw(st.sampled_from([anew, anew.replace("\n", "\r\n"), "\ufeff" + anew]))
    path = f"lib/code{suffix}"
    assert compare_sources({path: text}, {path: anew}) == Compared()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_text_is_too_strange_to_compare(data: st.DataObject) -> None:
    """Any text, and real files with a piece cut out; equal sides differ in nothing."""
    suffix, text = data.draw(st.sampled_from(SOURCES))
    at, size = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 60))
    cut = data.draw(st.one_of(st.just(text[:at] + text[at + size :]), st.text(max_size=40)))
    path = f"lib/code{suffix}"
    found = compare_sources({path: text}, {path: cut})
    assert not found.changes or all("the rest was read" in one.reason for one in found.unread)
    assert compare_sources({path: cut}, {path: cut}) == Compared()


@pytest.mark.parametrize("suffix", sorted(NESTED))
def test_depth_overflows_no_stack(suffix: str) -> None:
    start, opening, inside, closing, end = NESTED[suffix]
    deep, flat = ({f"lib/X{suffix}": f"{start}{opening * n}{inside}{closing * n}{end}"} for n in (9_000, 1))
    found = compare_sources(deep, flat)
    assert found.unread == ()
    chain = {f"lib/X{suffix}": f"{start}{inside}{'.a(1)' * 5_000}{end}"}
    assert not compare_sources(chain, chain).changes


def test_an_error_in_a_body_spoils_nothing_and_one_outside_the_file() -> None:
    before = {"a.ts": "export function f(a: string) { return a; }\n", "b.ts": "export const x = 1;\n"}
    inside = {"a.ts": "export function f(a: string, b: string) { return a +* b; }\n", "b.ts": "export class {\n"}
    found = compare_sources(before, inside)
    assert in_words(found).found == {"public changed f"}
    assert [(one.file, one.reason) for one in found.unread] == [("b.ts", "syntax error in line 1")]


def test_what_changed_stands_with_its_line_and_its_signature() -> None:
    before = {"src/api.ts": "export function greet(name: string): string { return name }\n"}
    after = {"src/api.ts": "\n\nexport async function greet(name?: 'a'|'b'): Promise<string> { return name }\n"}
    (change,) = compare_sources(before, after).changes
    assert (change.file, change.line, change.breaking) == ("src/api.ts", 3, True)
    assert change.before == "(name: string): string"
    assert change.after == 'async (name?: "a" | "b"): Promise<string>'


def test_context_is_where_names_are_handed_on() -> None:
    tree = ["src/index.ts", "src/http/index.ts", "src/http/get.ts", "src/http/post.ts", "src/lib.rs", "src/net/mod.rs"]
    tree += ["src/net/tcp.rs", "main.go", "pkg/a.go"]
    assert context_paths(["src/http/get.ts"], tree) == {"src/index.ts", "src/http/index.ts"}
    assert context_paths(["src/http/index.ts"], tree) == {"src/index.ts", "src/http/get.ts", "src/http/post.ts"}
    assert context_paths(["src/net/tcp.rs"], tree) == {"src/lib.rs", "src/net/mod.rs"}
    assert context_paths(["pkg/a.go"], tree) == set()


def test_every_language_has_its_reader() -> None:
    for language, suffixes in READ.items():
        reader = load(language)
        assert language_of(f"src/code{suffixes[0].upper()}") == language
        assert not reader.changes({}, {}, UNKNOWN).changes
        assert reader.context([], []) == set()


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(KeyError):
        parse("cobol", "DISPLAY 1.")


def test_a_language_without_its_grammar_is_looked_at_file_by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(syntax._GRAMMARS, "go", ("tree_sitter_that_is_not_there", "language"))
    syntax._parser.cache_clear()
    before = {"a.go": "package a\n", "a.rb": "module A\n  def self.b\n  end\nend\n"}
    after = {"a.go": "package a\n\nfunc New() {}\n", "a.rb": "module A\n  def self.b(c)\n  end\nend\n"}
    found = compare_sources(before, after)
    syntax._parser.cache_clear()
    assert in_words(found).found == {"public changed A.b"}
    assert [(one.file, one.reason, one.unknown) for one in found.unread] == [
        ("a.go", "no reader of go is installed", True)
    ]


def test_what_an_error_spoils_is_said_and_the_rest_is_read() -> None:
    before = {
        "a.ts": "export function f(a: string) {}\nexport interface G { a: string }\nexport const x = 1;\nexport const y = 2;\n"
    }
    after = {
        "a.ts": before["a.ts"]
        .replace("a: string }", "a: str?ing&&; }")
        .replace("(a: string)", "(a: string, b: string)")
    }
    found = compare_sources(before, after)
    assert in_words(found).found == {"public changed f"}
    assert [(one.file, one.reason) for one in found.unread] == [("a.ts", "syntax error in line 2: the rest was read")]

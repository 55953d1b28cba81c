"""What is worth telling, and when: from commit messages, landings and tags."""

from __future__ import annotations

import pytest

from loki_hooks.domain.writing.blog import (
    blog_folder,
    figures_in,
    is_security_fix,
    published,
    stories_of,
    stories_of_tag,
    version_before,
    version_of,
)
from loki_hooks.domain.writing.history import Commit, Touched, landings


def commit(oid: str, message: str, *parents: str) -> Commit:
    return Commit(oid, parents, "Ann", message, {"a.py": Touched("1", "2")})


def test_a_landing_has_what_came_with_it_and_a_streams_features_are_one_story() -> None:
    squashed = "Add auth\n\n- feat(api)!: tokens\n- fix: typo\n\nLoki-Stream: feature-auth"
    listed = [
        commit("m", "Merge stream ui into main\n\nLoki-Stream: feature-ui", "s", "u2"),
        commit("u2", "feat: buttons", "u1"),
        commit("u1", "feat: windows", "b"),
        commit("s", squashed, "b"),
    ]
    steps = landings(listed, "m")
    assert [(s.commit, s.stream, [c.oid for c in s.commits]) for s in steps] == [
        ("s", "feature-auth", ["s"]),
        ("m", "feature-ui", ["m", "u2", "u1"]),
    ]
    assert listed[3].breaking
    assert [(s.symbol, len(s.commits)) for s in stories_of(steps)] == [("tokens", 1), ("windows", 2)]


@pytest.mark.parametrize(
    ("message", "figures"),
    [
        ("perf: 40% faster", ("40%",)),
        ("perf: start\n\nFrom 1.5 s to 300 ms with 64 MiB.", ("1.5 s", "300 ms", "64 MiB")),
        ("perf: handle version 2 of 10 files, see #12", ()),
        ("perf: 3x", ("3x",)),
    ],
)
def test_a_figure_has_a_unit(message: str, figures: tuple[str, ...]) -> None:
    assert figures_in(message) == figures


def test_versions() -> None:
    tags = ["v1.0.0", "v0.9", "v0.10.0", "v1.0.0-rc1", "cli-v2.0.0", "nightly", "2026.11.20"]
    assert [tag for tag in tags if (v := version_of(tag)) and v.milestone] == ["v1.0.0", "cli-v2.0.0"]
    assert (version_before("v1.0.0", tags), version_before("cli-v2.0.0", tags)) == ("v0.10.0", "")
    fix, feature = commit("f", "fix(security): leak"), commit("g", "feat: grow")
    assert is_security_fix(fix)
    assert is_security_fix(commit("h", "Close GHSA-abcd-efgh-ijkl"))
    assert not is_security_fix(commit("i", "fix: secure the lid"))
    assert [(s.trigger, s.symbol) for s in stories_of_tag("v1.1.0", [feature, fix], frozenset())] == [
        ("security", "leak (v1.1.0)"),
        ("feature", "v1.1.0"),
    ]
    assert [s.trigger for s in stories_of_tag("v1.1.0", [feature], frozenset({"g"}))] == []
    assert [s.trigger for s in stories_of_tag("v1.1.1", [feature], frozenset())] == []


def test_where_a_blog_is_and_what_publishes_an_item() -> None:
    assert blog_folder(["_posts/a.md", "blog/models.py"], "") == "_posts"
    assert blog_folder(["blog/models.py", "blog/views.py"], "") == "", "a program called blog is none"
    assert blog_folder([], "site/news/") == "site/news"
    items = {"a" * 16: {"tag": "v1.0.0"}, "b" * 16: {"tag": ""}, "c" * 16: {"tag": "v1.0"}}
    posts = {"blog/x.md": f"<!-- {'b' * 16} -->", "blog/release.md": "# Version 1.0.0\n"}
    assert published(items, posts) == {"a" * 16: "blog/release.md", "b" * 16: "blog/x.md"}

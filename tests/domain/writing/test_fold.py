"""One promise is one live item, whatever lands, and however often it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.writing.documents import docstrings_of, is_document, place_of
from loki_hooks.domain.writing.fold import Shelf, Sighting, fold, item_of, look_new
from loki_hooks.domain.writing.items import Item, trigger_of
from loki_hooks.domain.writing.mentions import Library
from loki_hooks.domain.writing.pages import Page, Place, changed_lines
from loki_hooks.domain.writing.queue import Edit, ItemState, QueueEntry, item_id
from loki_hooks.domain.writing.subjects import About, Subject

SHELF = Shelf(Library.of([], []))
BY: dict[str, Any] = {"commit": "c", "stream": ""}
PATTERNS = ("README*", "docs/**")


def applied(queue: dict[str, QueueEntry], edits: Sequence[Edit]) -> dict[str, QueueEntry]:
    """Do what ``queue_files.revise`` does, in memory."""
    queue = dict(queue)
    for edit in edits:
        ident = edit.ident or item_id(edit.key)
        if (ident in queue) is not bool(edit.ident):
            continue
        head = {"queued_at": queue[ident].value["queued_at"] if edit.ident else f"{len(queue):06}"}
        held = edit.ident in queue and queue[ident].held
        state = ItemState.DONE if edit.closed else ItemState.CLAIMED if held else ItemState.OPEN
        queue[ident] = QueueEntry(ident, {**edit.value, **head}, state, held and not edit.closed)
    return queue


def item(before: str, after: str) -> Item:
    return Item(trigger_of("public", before, after), "greet", "app.py", 1, before, after)


@given(st.lists(st.sampled_from(["", "()", "(a)", "(a, b)"]), min_size=2, max_size=8), st.data())
def test_the_live_item_says_from_what_was_first_to_what_is_now(states: list[str], data: st.DataObject) -> None:
    queue: dict[str, QueueEntry] = {}
    first = states[0]
    for commit, (before, after) in enumerate(pairwise(states)):
        if before == after:
            continue
        change = [(item(before, after), Sighting(()))]
        by = {**BY, "commit": str(commit)}
        queue = applied(queue, fold(list(queue.values()), change, SHELF, by))
        assert applied(queue, fold(list(queue.values()), change, SHELF, by)) == queue, "seen twice is seen once"
        live = [entry for entry in queue.values() if entry.live]
        assert [(item_of(e).before, item_of(e).after) for e in live] == ([(first, after)] if after != first else [])
        written: bool = data.draw(st.booleans())
        if live and written:
            (entry,) = live
            queue[entry.ident] = QueueEntry(entry.ident, entry.value, ItemState.DONE)
            first = after
        elif not live:
            first = after


def test_what_a_worker_holds_stays_with_it() -> None:
    queue = applied({}, fold([], [(item("()", "(a)"), Sighting((("README.md", 3),)))], SHELF, BY))
    (ident,) = queue
    queue[ident] = QueueEntry(ident, queue[ident].value, ItemState.CLAIMED, held=True)
    queue = applied(queue, fold(list(queue.values()), [(item("(a)", "()"), Sighting(()))], SHELF, BY))
    (entry,) = queue.values()
    assert entry.state is ItemState.CLAIMED
    assert (entry.value["closed_by"]["how"], entry.value["meanwhile"][-1]["what"]) == (
        "it is as it was before",
        "it was closed",
    )


MARKDOWN = """\
# Client

Call `Client.get` or client.get(); people get a lot. Use `read_line`.

```python
client.get(url)
response.get(key)
greet("x")
```

## greet

The word greet is one of many.
"""


def named(subject: Subject, text: str = MARKDOWN, path: str = "README.md") -> list[tuple[int, int]]:
    place = place_of(path, PATTERNS)
    assert place is not None
    library = Library.of([Page(path, place, text)], [subject])
    return sorted((m.line, m.strength) for m in library.mentions(subject))


@pytest.mark.parametrize(
    ("subject", "text", "wanted"),
    [
        (Subject(About.PUBLIC, "Client.get", "src/net.py"), MARKDOWN, [(3, 4), (6, 3)]),
        (Subject(About.PUBLIC, "get", "src/net.py"), MARKDOWN, []),
        (Subject(About.PUBLIC, "get", "src/net.py"), "Use `net.get`, or `get()`. You get it.\n", [(1, 4)]),
        (Subject(About.PUBLIC, "read_line", "a.py"), MARKDOWN, [(3, 3)]),
        (Subject(About.PUBLIC, "greet", "app.py"), MARKDOWN, [(8, 3), (11, 3), (13, 1)]),
        (Subject(About.PUBLIC, "greet", "app.py"), "We greeted; greet-all, _greet and greets are others.\n", []),
        (
            Subject(About.ENDPOINT, "GET /users/{id}"),
            "GET /users/:id\n`/users/<id>`\n/users/{name}/posts\n",
            [(1, 4), (2, 3)],
        ),
        (Subject(About.ENDPOINT, "GET /users/{id}"), "    curl http://h:80/api/users/42?x=1\n", [(1, 2)]),
        (Subject(About.ENDPOINT, "GET /"), "Either / or; see /users. `GET /` is the start.\n", [(1, 4)]),
        (
            Subject(About.CONFIG, "--dry-run"),
            "`--dry-run`\n`dry_run = 1`\n--dry-running\na dry run\n",
            [(1, 4), (2, 2)],
        ),
        (Subject(About.CONFIG, "APP_PORT"), "Set APP_PORT=1.\nMY_APP_PORT no\n", [(1, 4)]),
        (Subject(About.CONFIG, "server.port"), "```toml\n[client]\nport = 2\n[server]\nport = 1\n```\n", [(5, 3)]),
        (
            Subject(About.FILE, "src/app.py"),
            "See `src/app.py`, not src/app.pyc or my/src/app.py.\napp.py too\n",
            [(1, 4), (2, 2)],
        ),
        (Subject(About.FILE, "src/app.py", unique=False), "app.py\n", []),
        (Subject(About.FILE, "src/pkg/net.py", gone=True), "from pkg.net import x\n", [(1, 3)]),
    ],
)
def test_how_surely_a_line_mentions_a_thing(subject: Subject, text: str, wanted: list[tuple[int, int]]) -> None:
    assert named(subject, text) == wanted


def test_the_surest_place_comes_first_and_plain_words_only_where_nothing_is_surer() -> None:
    pages = [
        Page("docs/deep/more.md", Place.DOCS, "Use `app.greet`.\n"),
        Page("CHANGELOG.md", Place.CHANGELOG, "- `app.greet` is new\n"),
        Page("README.md", Place.README, "Use `app.greet`.\n\nPeople greet.\n"),
        Page("docs/a.md", Place.DOCS, "    greet()\n"),
    ]
    source = '"""Say ``greet()``."""\n\ngreet = 1  # greet\n'
    page = docstrings_of("b.py", source)
    assert page is not None
    change = item("()", "(a)")
    shelf = Shelf(Library.of([*pages, page], [Subject(About.PUBLIC, "greet", "app.py")]))
    assert look_new(change, shelf).docs == (
        ("README.md", 1),
        ("docs/deep/more.md", 1),
        ("docs/a.md", 1),
        ("b.py", 1),
        ("CHANGELOG.md", 1),
    )


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("README.md", Place.README),
        ("packages/a/readme.rst", Place.README),
        ("docs/a/b.md", Place.DOCS),
        ("docs/conf.py", None),
        ("docs/logo.png", None),
        ("CHANGES.rst", Place.CHANGELOG),
        ("api/openapi.yaml", Place.API),
        ("node_modules/x/README.md", None),
        ("src/app.py", None),
    ],
)
def test_what_is_a_document(path: str, place: Place | None) -> None:
    assert place_of(path, PATTERNS) is place
    assert not is_document("src/app.py", PATTERNS)


@given(st.lists(st.sampled_from(["a", "b", "", "  a "])), st.lists(st.sampled_from(["a", "b", "", "  a "])))
def test_changed_lines_are_lines_of_the_newer_text_and_none_when_only_white_space_differs(
    old: list[str], new: list[str]
) -> None:
    found = changed_lines("\n".join(old), "\n".join(new))
    assert all(0 < number <= len("\n".join(new).splitlines()) for number in found)
    if [line.strip() for line in old] == [line.strip() for line in new]:
        assert not found

"""What lands obliges somebody to write: the docs queue over the life of a small project, as git and people make it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import Repo, eventually

from loki_hooks.actions.writing.docs import analyse
from loki_hooks.domain.surface import Compared
from loki_hooks.domain.writing.items import Item
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.python import reader
from loki_hooks.system.git.git import Git
from loki_hooks.system.site import discover

README = """\
# project

Call `greet()` first; the code is in `src/app.py`.

## Leaving

Then `leave()`. Set `APP_COLOUR` for colours.

## Web

    curl http://localhost:8000/users/42
"""
API = "# API\n\n`app.greet` says hello.\n\n`app.leave` says goodbye.\n"
APP = '''\
"""The application; begin with ``greet()``; :func:`leave` ends it."""

import os

COLOUR = os.environ.get("APP_COLOUR", "red")


def greet():
    return 1


def leave():
    return 2
'''
WEB = """\
from flask import Flask

app = Flask(__name__)


@app.get("/users/<int:ident>")
def user(ident):
    return str(ident)
"""
FILES = {
    "README.md": README,
    "docs/api.md": API,
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- Begin.\n",
    "src/app.py": APP,
    "src/web.py": WEB,
}


@pytest.fixture
def project(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """The project with loki on, followed up to here."""
    monkeypatch.setenv("LOKI_TRUST", "1")
    repo.git("rm", "-q", "app.py")
    repo.commit("Describe", FILES)
    discover(repo.path).enable("test")
    once(repo)
    return repo


def once(repo: Repo) -> None:
    done = repo.loki("run", "--once")
    assert done.code == 0, done.err


def items(repo: Repo) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the items that wait, by trigger and symbol (or file)."""
    listed = json.loads(repo.loki("queue", "list", "docs", "--json").out)
    found = {(i["trigger"], i["symbol"] or i["file"]): i for i in listed}
    assert len(found) == len(listed), "one promise is one item"
    assert ("DOCS_NEEDED" in {p.name for p in repo.signals.iterdir()}) is bool(listed)
    return found


def land(repo: Repo, message: str, files: dict[str, str]) -> str:
    commit = repo.commit(message, files)
    once(repo)
    return commit


def finished(repo: Repo) -> dict[tuple[str, str], dict[str, Any]]:
    done = (repo.path / ".loki" / "queue" / "docs" / "done").glob("*.json")
    return {(i["trigger"], i["symbol"] or i["file"]): i for i in (json.loads(p.read_text()) for p in done)}


def places(item: dict[str, Any]) -> list[tuple[str, int]]:
    return [(place["path"], place["line"]) for place in item["docs"]]


def test_what_changed_is_named_folded_and_closes_with_the_documents(project: Repo) -> None:
    named = APP.replace("def greet():", "def greet(name):")
    commit = land(project, "Greet by name", {"src/app.py": named + "\n\ndef wave(hand):\n    return hand\n"})
    found = items(project)
    assert set(found) == {
        ("public-changed", "greet"),
        ("public-added", "wave"),
        ("file-changed", "src/app.py"),
        ("changelog-missing", "greet, wave"),
    }
    greet = found["public-changed", "greet"]
    assert places(greet) == [("docs/api.md", 3), ("README.md", 3), ("src/app.py", 1)]
    assert (greet["breaking"], greet["commit"], greet["file"]) == (True, commit, "src/app.py")
    assert ("name" in greet["before"], "name" in greet["after"]) == (False, True)
    assert found["public-added", "wave"]["undocumented"]
    assert "wave src/app.py:16 → nothing mentions it yet" in project.loki("queue", "list", "docs").out

    # It changes on: still one item. One document is mended: it leaves the list. The new thing is mentioned: closed.
    land(project, "Greet loudly", {"src/app.py": named.replace("greet(name)", "greet(name, loud)")})
    found = items(project)
    assert "loud" in found["public-changed", "greet"]["after"]
    assert found["public-changed", "greet"]["before"] == greet["before"]
    assert found["public-changed", "greet"]["id"] == greet["id"]
    assert ("public-added", "wave") not in found, "what was new and is gone again asks for nothing"
    land(project, "docs: say it", {"docs/api.md": API.replace("`app.greet`", "`app.greet(name, loud)`")})
    assert places(items(project)["public-changed", "greet"]) == [("README.md", 3), ("src/app.py", 1)]

    # Back to where it was: nothing is left to say of it, though nobody wrote a word.
    land(project, "Greet as ever", {"src/app.py": APP})
    assert ("public-changed", "greet") not in items(project)
    assert finished(project)["public-changed", "greet"]["closed_by"]["how"] == "it is as it was before"

    # The same change once more is another one, and is documented as it lands.
    land(
        project, "Greet by name again", {"src/app.py": named, "README.md": README.replace("`greet()`", "`greet(name)`")}
    )
    assert places(items(project)["public-changed", "greet"]) == [("docs/api.md", 3), ("src/app.py", 1)]


def test_endpoints_options_files_and_what_cannot_be_read(project: Repo) -> None:
    land(
        project,
        "feat!: no users",
        {
            "src/web.py": WEB.partition("@app")[0],
            "src/app.py": APP.replace('"red"', '"blue"'),
            "src/broken.py": "def half(:\n",
            "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- Users are gone, colours are blue.\n- Begin.\n",
        },
    )
    found = items(project)
    gone = found["endpoint-removed", "GET /users/{ident}"]
    assert (places(gone), gone["breaking"]) == ([("README.md", 11)], True)
    assert places(found["config-changed", "APP_COLOUR"]) == [("README.md", 7)]
    broken = found["file-changed", "src/broken.py"]
    assert broken["reason"]
    assert not [trigger for trigger, _ in found if trigger in {"breaking", "changelog-missing"}]

    # A file moves: its old path is named, and everything in it moves along without another word.
    project.git("mv", "src/app.py", "src/application.py")
    land(project, "Move", {})
    moved = items(project)["file-moved", "src/app.py"]
    assert (places(moved), moved["to"]) == ([("README.md", 3)], "src/application.py")
    assert items(project)["config-changed", "APP_COLOUR"]["file"] == "src/application.py"

    # Documents alone make no new work; what they mend is done, whoever mended it.
    before = set(items(project))
    changed = README.replace("src/app.py", "src/application.py").partition("## Web")[0]
    land(project, "docs: tidy", {"README.md": changed})
    assert set(items(project)) == before - {("file-moved", "src/app.py"), ("endpoint-removed", "GET /users/{ident}")}
    assert "README.md" in finished(project)["file-moved", "src/app.py"]["closed_by"]["how"]

    # What can be read again needs nobody's look; a commit may name the item that it settles.
    ident = items(project)["config-changed", "APP_COLOUR"]["id"]
    project.commit("Mend it", {"src/broken.py": "HALF = 1\n"})
    once(project)
    land(project, f"Look at it\n\nLoki-Item: {ident}", {"src/broken.py": "HALF = 2\n"})
    left = items(project)
    assert ("file-changed", "src/broken.py") not in left
    assert ("config-changed", "APP_COLOUR") not in left


def test_a_live_worker_keeps_its_item_and_learns_what_became_of_it(project: Repo) -> None:
    land(project, "Leave politely", {"src/app.py": APP.replace("def leave():", "def leave(word):")})
    ident = items(project)["public-changed", "leave"]["id"]
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert project.loki("queue", "claim", "docs", ident, "--owner", str(worker.pid)).code == 0
        land(
            project,
            "docs: leave",
            {"README.md": README.replace("leave()", "leave(word)"), "docs/api.md": API.replace("leave", "leave(word)")},
        )
        held = items(project)["public-changed", "leave"]
        assert (held["state"], held["closed_by"]["how"]) == ("claimed", "documented in README.md, docs/api.md")
        assert held["meanwhile"][-1]["what"] == "it was closed"
    finally:
        worker.communicate(b"\n", timeout=20)
    once(project)
    assert ("public-changed", "leave") not in items(project)
    assert finished(project)["public-changed", "leave"]["closed_by"]["how"].startswith("documented")


def test_one_change_is_one_item_however_it_comes_in(project: Repo) -> None:
    """By a merge with the real hook, then again by a squash of a rebased copy, with the reference set back in between."""
    done = project.loki("install", "--native")
    assert done.code == 0, done.err
    once(project)
    start = project.git("rev-parse", "HEAD")
    project.git("switch", "-q", "-c", "topic")
    made = project.commit("Leave politely", {"src/app.py": APP.replace("def leave():", "def leave(word):")})
    project.git("switch", "-q", "main")
    project.git("merge", "-q", "--no-ff", "--no-edit", "topic", env={"LOKI_TRUST": "1"})
    folder = project.path / ".loki" / "queue" / "docs"
    eventually(lambda: list(folder.glob("*.json")), 30)
    eventually(lambda: project.git("rev-parse", "refs/loki/processed") == project.git("rev-parse", "HEAD"), 30)
    first = items(project)
    assert first["public-changed", "leave"]["commit"] == made

    project.git("reset", "-q", "--hard", start)
    project.git("update-ref", "refs/loki/processed", start)
    project.git("merge", "-q", "--squash", "topic")
    project.commit("Leave politely (squashed)")
    once(project)
    assert items(project) == first
    assert project.loki("queue", "done", "docs", first["public-changed", "leave"]["id"]).code == 0
    assert finished(project)["public-changed", "leave"]["closed_by"]["how"] == "said to be done by hand"
    for item in items(project).values():
        project.loki("queue", "done", "docs", item["id"])
    assert items(project) == {}
    assert list(project.signals.iterdir()) == []


def test_a_reader_that_fails_costs_its_file_and_nothing_else(project: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    read = reader.changes

    def fail(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
        if "src/odd.py" in after:
            raise RuntimeError("a fault of ours")
        return read(before, after, packages)

    monkeypatch.setattr(reader, "changes", fail)
    old = project.git("rev-parse", "HEAD")
    named = APP.replace("def greet():", "def greet(name):")
    new = project.commit("Two", {"src/app.py": named, "src/odd.py": "def odd():\n    pass\n"})
    incoming = analyse(Git(project.path), old, new, ("README*", "docs/**")).incoming
    assert {(item.trigger, item.symbol or item.file) for item, _ in incoming} == {
        ("public-changed", "greet"),
        ("file-changed", "src/app.py"),
        ("file-changed", "src/odd.py"),
        ("changelog-missing", "greet"),
    }


def found(project: Repo, old: str, new: str, **said: Any) -> dict[tuple[str, str], Item]:
    """Return the items of a range by trigger and symbol (or file)."""
    incoming = analyse(Git(project.path), old, new, ("README*", "docs/**"), **said).incoming
    return {(item.trigger, item.symbol or item.file): item for item, _ in incoming}


def many(parameter: str, less: str = "") -> str:
    """Return a module of twelve functions, the last two of which have ``less`` for their parameter."""
    return "".join(f"def name{n}({less or parameter if n >= 10 else parameter}): ...\n" for n in range(12))


def test_many_changes_of_one_file_are_one_item_with_their_names_and_documents(project: Repo) -> None:
    old = project.commit("Many", {"src/many.py": many(""), "docs/many.md": "# `name3()`\n"})
    new = project.commit("Change all", {"src/many.py": many("more")})
    items = found(project, old, new)
    group = items["public-changed", "src/many.py"]
    assert group.names == tuple(f"name{n}" for n in range(12))
    assert group.breaking
    assert group.reason.startswith("12 public names changed: name0, name1")
    assert not {symbol for trigger, symbol in items if trigger.startswith("public-") and symbol.startswith("name")}
    incoming = analyse(Git(project.path), old, new, ()).incoming
    assert next(seen.docs for item, seen in incoming if item.names) == (("docs/many.md", 1),)
    ten = project.commit("Change ten", {"src/many.py": many("x", "more")})
    assert len({key for key in found(project, new, ten) if key[0] == "public-changed"}) == 10


def test_what_moves_to_where_nobody_can_import_it_is_one_item_a_file(project: Repo) -> None:
    code = "package store\n\n" + "".join(f"func Do{n}() {{}}\n" for n in range(4))
    old = project.commit("Store", {"go.mod": "module x\n", "store/store.go": code})
    project.git("mv", "store", "internal")
    new = project.commit("Hide", {})
    items = found(project, old, new)
    assert ("file-moved", "store/store.go") in items
    assert (
        "can" in items["file-moved", "store/store.go"].reason or "must" in items["file-moved", "store/store.go"].reason
    )
    assert not {key for key in items if key[0] == "public-removed"}


def test_the_configuration_says_what_is_looked_at(project: Repo) -> None:
    old = project.git("rev-parse", "HEAD")
    named = APP.replace("def greet():", "def greet(name):")
    new = project.commit(
        "Two", {"src/app.py": named, "src/odd/a.py": "def odd(): ...\n", "src/odd/b.py": "import os\nos.environ['B']\n"}
    )
    assert {("public-changed", "greet"), ("public-added", "odd"), ("config-added", "B")} <= found(
        project, old, new
    ).keys()
    ignoring = found(project, old, new, ignore=("src/odd",))
    assert ("public-changed", "greet") in ignoring
    assert not {key for key in ignoring if key[1] in {"odd", "B"}}
    application = found(project, old, new, surface="application").keys()
    assert ("config-added", "B") in application
    assert not {key for key in application if key[0].startswith("public-")}


def test_what_is_amended_reset_or_reverted_away_leaves_nothing_to_write(project: Repo) -> None:
    land(project, "feat!: wave", {"src/app.py": APP + "\n\ndef wave():\n    return 3\n"})
    asked = {("public-added", "wave"), ("file-changed", "src/app.py"), ("changelog-missing", "wave")}
    assert set(items(project)) == {*asked, ("breaking", "feat!: wave")}
    project.git("commit", "-q", "--amend", "-m", "feat!: wave a hand")
    once(project)
    assert set(items(project)) == {*asked, ("breaking", "feat!: wave a hand")}
    (project.path / "src" / "app.py").write_text(APP)
    project.git("commit", "-q", "-a", "--amend", "--allow-empty", "-m", "Nothing")
    once(project)
    assert items(project) == {}

    land(project, "Greet by name", {"src/app.py": APP.replace("greet()", "greet(name)")})
    greeting = set(items(project))
    assert ("changelog-missing", "greet") in greeting
    project.git("revert", "--no-edit", "HEAD")
    once(project)
    assert items(project) == {}
    project.git("revert", "--no-edit", "HEAD")
    once(project)
    assert set(items(project)) == greeting
    project.git("reset", "-q", "--hard", "HEAD~1")
    once(project)
    assert items(project) == {}


def test_what_is_half_documented_as_it_lands_keeps_the_other_half(project: Repo) -> None:
    table = (
        "# project\n\nSee `src/app.py`.\n\n| function | |\n|---|---|\n| `greet()` | hello |\n| `leave()` | goodbye |\n"
    )
    land(project, "Show a table", {"README.md": table, "docs/api.md": "# API\n"})
    both = APP.replace("greet():", "greet(name):").replace("leave():", "leave(name):")
    land(project, "Name both", {"src/app.py": both, "README.md": table.replace("`greet()`", "`greet(name)`")})
    left = {key: places(item) for key, item in items(project).items() if key[0] == "public-changed"}
    assert left == {("public-changed", "greet"): [("src/app.py", 1)], ("public-changed", "leave"): [("README.md", 8)]}

    project.git("mv", "src/app.py", "src/core.py")
    land(
        project,
        "Move, and say so",
        {"README.md": (project.path / "README.md").read_text().replace("app.py", "core.py")},
    )
    assert not {symbol for trigger, symbol in items(project) if trigger == "file-moved"}

    renamed = {
        path: (project.path / path).read_text().replace("leave", "depart") for path in ("src/core.py", "README.md")
    }
    land(project, "Rename, and say so", renamed)
    assert not {key for key in items(project) if key[0] == "public-removed"}

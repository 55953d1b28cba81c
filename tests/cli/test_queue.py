"""`loki-hooks queue`, as people and agents use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import SCRIPTS, Repo

from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.writing.queue import item_id
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.site import Site, discover
from loki_hooks.system.store import queues
from loki_hooks.system.store.state import StateStore

ITEM = {
    "trigger": "changed",
    "symbol": "greet",
    "file": "app.py",
    "line": 1,
    "commit": "c1",
    "docs": [{"path": "README.md", "line": 3}],
}


@pytest.fixture
def site(repo: Repo) -> Site:
    """The repository with loki on and one docs item."""
    found = discover(repo.path)
    found.enable("test")
    queues.put(found, "docs", ITEM, "one")
    return found


def test_list_has_the_keys_that_programs_rely_on(repo: Repo, site: Site) -> None:
    (item,) = json.loads(repo.loki("queue", "list", "docs", "--json").out)
    assert {key: item[key] for key in ("id", *ITEM, "state")} == {"id": item_id("one"), **ITEM, "state": "open"}
    assert repo.loki("queue", "list", "blog", "--json").out == "[]\n"
    empty = repo.loki("queue", "list", "spawn")
    assert (empty.code, empty.out) == (0, "")


def test_list_shows_people_a_line_an_item(repo: Repo, site: Site) -> None:
    queues.put(site, "docs", {**ITEM, "file": "a\nb\x1b[2J.py"}, "two")
    lines = repo.loki("queue", "list", "docs").out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:2] == [item_id("one"), "open"]
    assert "greet app.py:1" in lines[1]


def test_the_claim_belongs_to_who_ran_the_command(repo: Repo, site: Site) -> None:
    """A shell that claims keeps the item as long as it lives; then it goes back."""
    script = f"'{SCRIPTS / 'loki-hooks'}' queue claim docs --json; read -r line; exit 0"
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=repo.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert shell.stdout is not None
    item = _first_document(shell)
    assert (item["id"], item["state"]) == (item_id("one"), "claimed")
    assert repo.loki("queue", "claim", "docs").code == 1
    assert repo.loki("queue", "claim", "docs", item_id("one")).code == 1
    assert json.loads(repo.loki("queue", "list", "docs", "--json").out)[0]["state"] == "claimed"
    shell.communicate("\n", timeout=20)
    assert json.loads(repo.loki("queue", "list", "docs", "--json").out)[0]["state"] == "open"
    assert repo.loki("queue", "claim", "docs", item_id("one")).out == f"{item_id('one')}\n"


def _first_document(shell: subprocess.Popen[str]) -> dict[str, object]:
    assert shell.stdout is not None
    text = ""
    while True:
        text += shell.stdout.readline()
        try:
            value = json.loads(text)
        except ValueError:
            continue
        assert isinstance(value, dict)
        return value


def test_in_a_streams_worktree_the_session_owns_the_claim(repo: Repo, site: Site) -> None:
    """An agent runs every command in a shell of its own; its session lasts."""
    path = repo.path.parent / "project-docs"
    repo.git("worktree", "add", "-q", str(path), "-b", "parallel-docs")
    session = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    record = StreamRecord(
        "docs", "docs", Status.RUNNING, path=str(path), branch="parallel-docs", session=identify(session.pid)
    )
    StateStore(site).update(lambda s: s.with_stream(record))
    script = f"'{SCRIPTS / 'loki-hooks'}' queue claim docs; true"
    subprocess.run(["bash", "-c", script], cwd=path, check=True)
    assert queues.listed(site, "docs")[0]["state"] == "claimed"
    session.communicate(b"\n", timeout=20)
    assert queues.listed(site, "docs")[0]["state"] == "open"


def test_an_owner_can_be_named(repo: Repo, site: Site) -> None:
    script = f"'{SCRIPTS / 'loki-hooks'}' queue claim docs --owner {os.getpid()}; true"
    subprocess.run(["bash", "-c", script], cwd=repo.path, check=True)
    assert queues.listed(site, "docs")[0]["state"] == "claimed"
    assert repo.loki("queue", "claim", "docs", "--owner", str(2**22 + 1)).code == 2


def test_done_takes_it_off_the_list_and_can_be_repeated(repo: Repo, site: Site) -> None:
    ident = item_id("one")
    for said in ("is done", "was done already"):
        done = repo.loki("queue", "done", "docs", ident)
        assert (done.code, done.out) == (0, "")
        assert said in done.err
    assert repo.loki("queue", "list", "docs", "--json").out == "[]\n"
    assert repo.loki("queue", "claim", "docs", ident).code == 1


@pytest.mark.parametrize(
    "words",
    [
        ["list", "dosc"],
        ["list", "../docs"],
        ["claim", "docs", "../x"],
        ["claim", "docs", "0" * 16],
        ["done", "docs", "0" * 16],
        ["done", "docs", ""],
        ["done", "docs"],
        ["list"],
    ],
)
def test_wrong_words_are_exit_2(repo: Repo, site: Site, words: list[str]) -> None:
    done = repo.loki("queue", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("loki-hooks: ")
    assert "\nhint: " in done.err

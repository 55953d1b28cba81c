"""Queues on disk: an event is one item, an item has one owner, and a dead owner's claim goes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Repo

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.domain.writing.queue import ItemState, item_id, require_queue
from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.processes.alive import identify, myself
from loki_hooks.system.site import Site, discover
from loki_hooks.system.store import queues

DEAD = ProcessId(2**22 + 1, "never")


@pytest.fixture
def site(repo: Repo) -> Site:
    return discover(repo.path)


def open_folder(site: Site) -> Path:
    return site.loki / "queue" / "docs"


def python(site: Site, code: str) -> subprocess.Popen[str]:
    """Start a process that runs ``code`` with ``site`` and ``queues`` at hand."""
    head = (
        "import sys, time\nfrom pathlib import Path\nfrom loki_hooks.system.store import queues\n"
        "from loki_hooks.system.processes.alive import myself\nfrom loki_hooks.system.site import discover\n"
        f"site = discover(Path({str(site.root)!r}))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_the_same_event_is_one_item_open_claimed_or_done(site: Site) -> None:
    ident, made = queues.put(site, "docs", {"trigger": "changed", "file": "app.py"}, "changed|app.py|c1")
    assert (ident, made) == (item_id("changed|app.py|c1"), True)
    assert queues.put(site, "docs", {}, "changed|app.py|c1") == (ident, False)
    assert queues.claim(site, "docs", None, myself()) is not None
    assert queues.put(site, "docs", {}, "changed|app.py|c1") == (ident, False)
    assert queues.done(site, "docs", ident)
    assert queues.put(site, "docs", {}, "changed|app.py|c1") == (ident, False)
    assert queues.listed(site, "docs") == []
    assert not queues.done(site, "docs", ident)
    assert queues.put(site, "blog", {}, "changed|app.py|c1") == (ident, True)


def test_an_item_has_every_key_that_programs_rely_on(site: Site) -> None:
    queues.put(site, "docs", {"file": "a.py", "line": 3, "more": 1, "state": "x", "id": "y"}, "k")
    (item,) = queues.listed(site, "docs")
    assert {k: v for k, v in item.items() if k != "queued_at"} == {
        "id": item_id("k"),
        "trigger": "",
        "symbol": None,
        "file": "a.py",
        "line": 3,
        "commit": "",
        "docs": [],
        "more": 1,
        "state": "open",
    }


def test_items_are_claimed_oldest_first_or_by_id(site: Site) -> None:
    ids = [queues.put(site, "docs", {"n": n}, str(n))[0] for n in range(4)]
    assert [item["id"] for item in queues.listed(site, "docs")] == ids
    assert (queues.claim(site, "docs", ids[2], myself()) or {})["id"] == ids[2]
    assert queues.claim(site, "docs", ids[2], myself()) is None
    assert (queues.claim(site, "docs", None, myself()) or {})["id"] == ids[0]
    assert [(i["id"], i["state"]) for i in queues.listed(site, "docs")] == [
        (ids[0], "claimed"),
        (ids[1], "open"),
        (ids[2], "claimed"),
        (ids[3], "open"),
    ]
    assert (open_folder(site) / "claimed" / f"{ids[0]}.json").is_file()


def test_what_a_dead_owner_claimed_goes_back(site: Site) -> None:
    ident, _ = queues.put(site, "docs", {}, "k")
    assert queues.claim(site, "docs", None, DEAD)
    assert queues.listed(site, "docs")[0]["state"] == "open"
    assert queues.release_dead(site, "docs") == [ident]
    assert queues.release_dead(site, "docs") == []
    assert (queues.claim(site, "docs", None, DEAD) or {})["id"] == ident
    assert (queues.claim(site, "docs", ident, myself()) or {})["id"] == ident, "claiming releases the dead first"
    assert queues.release_dead(site, "docs") == []
    assert queues.claim(site, "docs", ident, myself()) is None


def test_a_pid_that_was_used_again_is_another_owner(site: Site) -> None:
    queues.put(site, "docs", {}, "k")
    queues.claim(site, "docs", None, ProcessId(os.getpid(), "another start"))
    assert len(queues.release_dead(site, "docs")) == 1


def test_a_claim_made_by_hand_is_held_because_its_owner_is_unknown(site: Site) -> None:
    ident, _ = queues.put(site, "docs", {}, "k")
    folder = site.folder("queue", "docs", "claimed")
    (open_folder(site) / f"{ident}.json").rename(folder / f"{ident}.json")
    assert queues.release_dead(site, "docs") == []
    assert queues.state_of(site, "docs", ident) is ItemState.CLAIMED
    assert queues.done(site, "docs", ident)


def test_of_many_processes_exactly_one_gets_each_item(site: Site) -> None:
    """8 processes race to put, claim and finish the same 12 items."""
    code = (
        "sys.stdin.readline()\n"
        "for n in range(12): queues.put(site, 'docs', {'n': n}, str(n))\n"
        "while (item := queues.claim(site, 'docs', None, myself())):\n"
        "    print(item['n'])\n"
        "    queues.done(site, 'docs', item['id'])\n"
    )
    racers = [python(site, code) for _ in range(8)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    got = [line for racer in racers for line in racer.communicate(timeout=60)[0].split()]
    assert [racer.returncode for racer in racers] == [0] * 8
    assert sorted(map(int, got)) == list(range(12))
    assert queues.listed(site, "docs") == []
    assert len(list((open_folder(site) / "done").glob("*.json"))) == 12


def test_a_worker_that_is_killed_gives_its_item_back(site: Site) -> None:
    ident, _ = queues.put(site, "docs", {}, "k")
    worker = python(site, "queues.claim(site, 'docs', None, myself())\nprint('mine', flush=True)\ntime.sleep(60)\n")
    assert worker.stdout is not None
    assert worker.stdout.readline() == "mine\n"
    assert queues.claim(site, "docs", None, myself()) is None
    worker.send_signal(signal.SIGKILL)
    worker.communicate(timeout=20)
    item = queues.claim(site, "docs", None, myself())
    assert item is not None
    assert item["id"] == ident


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.006, 0.01])
def test_killed_at_any_moment_nothing_is_lost_doubled_or_locked(site: Site, delay: float) -> None:
    ids = {queues.put(site, "docs", {}, str(n))[0] for n in range(30)}
    code = (
        "print('go', flush=True)\n"
        "while (item := queues.claim(site, 'docs', None, myself())): queues.done(site, 'docs', item['id'])\n"
    )
    worker = python(site, code)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "go\n"
    subprocess.run(["sleep", str(delay)])
    worker.kill()
    worker.communicate(timeout=20)
    queues.release_dead(site, "docs")
    still = {item["id"] for item in queues.listed(site, "docs") if item["state"] == "open"}
    finished = {path.stem for path in (open_folder(site) / "done").glob("*.json")}
    assert still | finished == ids
    assert not still & finished


def test_what_is_no_item_is_passed_over(site: Site, tmp_path: Path) -> None:
    """Links are not followed, FIFOs not opened, large and broken files not read."""
    good, _ = queues.put(site, "docs", {"file": "a.py"}, "good")
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps({"secret": True}))
    folder = open_folder(site)
    site.folder("queue", "docs", "claimed")
    for place in (folder, folder / "claimed"):
        (place / f"{'0' * 16}.json").symlink_to(outside)
        (place / f"{'1' * 16}.json").mkdir()
        os.mkfifo(place / f"{'2' * 16}.json")
        (place / f"{'3' * 16}.json").write_text('{"half": ')
        (place / f"{'4' * 16}.json").write_text("[1, 2]")
        (place / f"{'5' * 16}.json").write_text('{"big": "' + "x" * (queues.MAX_ITEM_BYTES + 1) + '"}')
        (place / f"{'6' * 16}.json").write_bytes(b"\xff\xfe\x00")
        (place / f"{'7' * 16}.json").write_text("[" * 100_000)
        (place / "notes.json").write_text("{}")
        (place / f"{'8' * 16}.json.ack").write_text("{}")
    assert [item["id"] for item in queues.listed(site, "docs")] == [good]
    assert queues.release_dead(site, "docs") == []
    assert (queues.claim(site, "docs", None, myself()) or {})["id"] == good
    assert queues.claim(site, "docs", None, myself()) is None
    for digit in "01234567":
        assert queues.claim(site, "docs", digit * 16, myself()) is None
        with pytest.raises(BadInputError):
            queues.done(site, "docs", digit * 16)
    assert json.loads(outside.read_text()) == {"secret": True}


def test_an_item_whose_owner_file_is_blocked_does_not_stop_the_others(site: Site) -> None:
    first, _ = queues.put(site, "docs", {}, "1")
    second, _ = queues.put(site, "docs", {}, "2")
    (site.folder("queue", "docs", "claimed") / f".{first}.owner").mkdir()
    assert (queues.claim(site, "docs", None, myself()) or {})["id"] == second


def test_a_queue_folder_that_is_a_link_is_refused(site: Site, tmp_path: Path) -> None:
    site.folder("queue")
    (tmp_path / "elsewhere").mkdir()
    open_folder(site).symlink_to(tmp_path / "elsewhere")
    assert queues.listed(site, "docs") == []
    with pytest.raises(LokiError, match="not a folder"):
        queues.put(site, "docs", {}, "k")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("word", ["", "..", "docs/../spawn", "nope"])
def test_there_are_no_other_queues(site: Site, word: str) -> None:
    with pytest.raises(BadInputError, match="no queue"):
        require_queue(word)
    with pytest.raises(BadInputError):
        queues.listed(site, word)


@pytest.mark.parametrize("word", ["", "../x", "A" * 16, "0" * 15, "0" * 17, "0" * 16 + "\n"])
def test_an_id_that_no_item_has_is_refused(site: Site, word: str) -> None:
    with pytest.raises(BadInputError):
        queues.done(site, "docs", word)


def test_the_owner_of_a_claim_is_told_on_disk(site: Site) -> None:
    ident, _ = queues.put(site, "docs", {}, "k")
    parent = identify(os.getppid())
    assert parent is not None
    queues.claim(site, "docs", ident, parent)
    owner = json.loads((open_folder(site) / "claimed" / f".{ident}.owner").read_text())
    assert ProcessId.from_json(owner) == parent

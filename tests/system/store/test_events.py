"""The log of events: read from where one stopped, a line at a time."""

from __future__ import annotations

from conftest import Repo
from support.scripted import turn_on

from loki_hooks.system.site import discover
from loki_hooks.system.store import events


def test_who_goes_on_reading_gets_each_event_once_and_none_by_halves(repo: Repo) -> None:
    turn_on(repo)
    site = discover(repo.path)
    assert events.read_since(site, events.end(site)) == ([], 0)
    events.record(site, "one")
    found, position = events.read_since(site, 0)
    assert [e["event"] for e in found] == ["one"]
    events.record(site, "two", detail="x\ny")
    log = site.loki / "state" / "events.jsonl"
    with log.open("a") as sink:
        sink.write('no json\n{"event": "thr')
    found, position = events.read_since(site, position)
    assert [e["event"] for e in found] == ["two"]
    with log.open("a") as sink:
        sink.write('ee"}\n')
    found, position = events.read_since(site, position)
    assert [e["event"] for e in found] == ["three"]
    assert position == events.end(site)
    log.write_text('{"event": "anew"}\n')
    assert [e["event"] for e in events.read_since(site, position)[0]] == ["anew"]
    assert [e["event"] for e in events.read_all(site)] == ["anew"]

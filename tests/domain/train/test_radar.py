"""The radar's decisions: what is remembered, what is read of a hostile file, who goes first onto the train."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.train.order import train_order
from loki_hooks.domain.train.radar import (
    Radar,
    StreamLook,
    conflicts_between,
    pair_of,
    pairs_among,
    plain_path,
    shown_files,
    warning,
)

oids = st.integers(0, 40).map(lambda n: f"{n:040x}")
marks = st.sampled_from(["", "a1", "b2"])
files = st.lists(st.text(max_size=8), max_size=3).map(tuple)
names = st.text("abcdef", min_size=1, max_size=4)
looks = st.builds(StreamLook, oids, marks, oids)
pair = st.tuples(oids, oids).filter(lambda p: p[0] != p[1]).map(lambda p: pair_of(*p))
radars = st.builds(
    Radar,
    seen_at=st.sampled_from(["", "2026-11-20T10:00:00Z"]),
    onto=st.one_of(st.just(""), oids),
    looks=st.dictionaries(names, looks, max_size=6),
    pairs=st.dictionaries(pair, files, max_size=12),
    alone=st.dictionaries(st.tuples(oids, oids), st.one_of(st.just(""), oids), max_size=6),
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | oids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | oids, inner, max_size=3),
    max_leaves=12,
)


@given(radars)
def test_what_is_written_is_read_again(radar: Radar) -> None:
    assert Radar.from_json(json.loads(json.dumps(radar.to_json()))) == radar


@given(anything, st.dictionaries(st.sampled_from(["seen_at", "onto", "looks", "pairs", "alone"]), anything))
def test_a_hostile_file_is_only_not_known(value: Any, parts: dict[str, Any]) -> None:
    for hostile in (value, {"version": 1, **parts}):
        radar = Radar.from_json(hostile)
        assert Radar.from_json(radar.to_json()) == radar
        assert all(len(a) in {40, 64} and len(b) in {40, 64} for a, b in radar.pairs)


def test_an_id_with_a_line_break_is_none() -> None:
    bad = "0" * 40 + "\n"
    assert Radar.from_json({"version": 1, "onto": bad, "pairs": {bad: {"1" * 40: ["x"]}}}) == Radar()


@given(radars)
def test_pruning_keeps_exactly_the_pairs_of_those_that_are_there(radar: Radar) -> None:
    kept = radar.pruned()
    live = {radar.onto} | {c for look in radar.looks.values() for c in (look.tip, look.head)}
    assert {p for p in radar.pairs if set(p) <= live} == set(kept.pairs)
    assert kept.pruned() == kept


@given(st.lists(oids, max_size=8))
def test_every_pair_once_and_none_with_itself(heads: list[str]) -> None:
    found = pairs_among(heads)
    count = len(set(heads))
    assert len(found) == len(set(found)) == count * (count - 1) // 2
    assert all(a < b for a, b in found)


@given(radars, names, oids, marks)
def test_a_clean_stream_stands_for_its_tip_and_a_changed_one_is_not_known(
    radar: Radar, name: str, tip: str, mark: str
) -> None:
    head = radar.head_for(name, tip, mark)
    if not mark:
        assert head == tip
    elif head is not None:
        assert radar.looks[name] == StreamLook(tip, mark, head)


@given(st.dictionaries(names, oids, max_size=6), st.dictionaries(pair, files, max_size=12))
def test_conflicts_are_the_same_from_both_sides(
    heads: dict[str, str], pairs: dict[tuple[str, str], tuple[str, ...]]
) -> None:
    found = conflicts_between(heads, pairs)
    assert found.keys() == heads.keys()
    for name, others in found.items():
        assert name not in others
        for other, where in others.items():
            assert where
            assert found[other][name] == where


def test_a_path_that_git_renamed_for_a_folder_is_called_as_it_is() -> None:
    a, b = "a" * 40, "b" * 40
    assert plain_path(f"x~{a}", (a, b)) == "x"
    assert plain_path(f"x~{b}_0", (a, b)) == "x"
    assert plain_path(f"x~{'c' * 40}", (a, b)) == f"x~{'c' * 40}"


@given(st.dictionaries(names, st.lists(st.text(max_size=20), min_size=1, max_size=6)))
def test_the_warning_is_one_printable_line(conflicts: dict[str, list[str]]) -> None:
    line = warning(conflicts)
    assert line.isprintable()
    assert bool(line) == bool(conflicts)


def test_many_files_are_counted() -> None:
    assert shown_files(["a", "b"]) == "a, b"
    assert shown_files(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert shown_files(["a\nb"]) == "a\\nb"


# The train's order -----------------------------------------------------------------------------------------


def stream(name: str, ended: int, priority: int = 0) -> StreamRecord:
    return StreamRecord("feature", name, Status.READY, priority=priority, ended_at=f"2026-11-20T10:00:{ended:02}Z")


def order(records: list[StreamRecord], conflicts: dict[str, list[str]], batch: int = 8) -> list[str]:
    full = {f"feature-{a}": [f"feature-{b}" for b in others] for a, others in conflicts.items()}
    return [r.name for r in train_order(records, full, batch)]


def test_priority_then_those_without_a_conflict_then_age() -> None:
    records = [stream("old", 1), stream("clash", 2), stream("new", 9), stream("urgent", 8, priority=5)]
    assert order(records, {"old": ["clash"], "clash": ["old"]}) == ["urgent", "new", "old", "clash"]


def test_a_conflict_with_somebody_who_is_not_ready_puts_nobody_back() -> None:
    assert order([stream("a", 1), stream("b", 2)], {"a": ["elsewhere"], "b": []}) == ["a", "b"]


ready = st.lists(
    st.builds(stream, names, st.integers(0, 59), st.integers(0, 2)),
    unique_by=(lambda r: r.name, lambda r: r.ended_at),
    max_size=12,
)


@given(ready, st.dictionaries(names, st.lists(names, max_size=3), max_size=8), st.integers(1, 8))
def test_nobody_is_lost_and_who_waits_longest_is_always_on_the_next_train(
    records: list[StreamRecord], conflicts: dict[str, list[str]], batch: int
) -> None:
    found = order(records, conflicts, batch)
    assert sorted(found) == sorted(r.name for r in records)
    if records:
        assert min(records, key=lambda r: r.ended_at).name in found[:batch]

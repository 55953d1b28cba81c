"""What expires, what never does."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import given
from hypothesis import strategies as st
from support.finishing import begun, listed
from support.scripted import Yard

from loki_hooks.actions.removal.retention import expire, expire_when_due
from loki_hooks.domain.removal.retention import LOOKS, Retained, age_of_stamp, due_for_long, expired


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def long_ago(days: int = 40) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y%m%dT%H%M%S%fZ")


def aged(path: Path, days: int = 40) -> Path:
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


def let_expire(made: Yard) -> int:
    """What three passes on three days do."""
    return sum(expire(made.context()) for _ in range(LOOKS))


def trash(made: Yard, stream: str, when: str) -> str:
    ref = f"refs/loki/trash/{stream}/{when}"
    made.repo.git("update-ref", "--create-reflog", ref, "main")
    for kind in ("archive", "trash"):
        made.repo.write(f".loki/{kind}/{stream}-{when}/record.json", "{}")
    return ref


def test_what_is_older_than_the_retention_goes_and_the_rest_stays(repo: Repo) -> None:
    made = begun(repo, "a", more="[cleanup]\nretention_days = 30\n")
    old, young = trash(made, "feature-x", long_ago(31)), trash(made, "feature-x", long_ago(29))
    done = repo.write(f".loki/queue/docs/done/{'a' * 16}.json", "{}")
    repo.write(f".loki/queue/docs/done/{'d' * 16}.json", "{}")
    log = repo.write(".loki/logs/gate-unit.log", "x")
    mine = repo.write(".loki/logs/session-feature-a.log", "x")
    for path in (done, log, mine):
        aged(path)
    assert let_expire(made) > 0
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/loki/trash") == young
    kept = young.replace("refs/loki/trash/feature-x/", "feature-x-")
    assert [p.name for p in (made.loki_dir / "archive").iterdir()] == [kept]
    assert len(list((made.loki_dir / "trash").iterdir())) == 1
    assert not done.exists()
    assert (done.parent / f"{'d' * 16}.json").exists()
    assert not log.exists()
    assert mine.exists(), "a living stream's log"
    assert repo.try_git("rev-parse", "-q", "--verify", old).code


def test_gate_results_that_may_still_be_needed_stay(repo: Repo) -> None:
    made = begun(repo, "a", more="[merge]\nauto = false\n")
    made.ready("a")
    made.run()
    refs = repo.git("for-each-ref", "--format=%(refname)", "refs/loki/gates").splitlines()
    assert refs
    other = f"refs/loki/gates/{'1' * 40}/abc"
    repo.git("update-ref", "--create-reflog", other, repo.git("rev-parse", refs[0]))
    for ref in (*refs, other):
        aged(repo.path / ".git" / "logs" / ref)
    let_expire(made)
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/loki/gates").splitlines() == refs
    assert repo.git("rev-parse", "refs/loki/base/feature-a")


def test_a_pass_does_it_once_a_day(repo: Repo) -> None:
    made = begun(repo)
    made.run()
    old = trash(made, "feature-x", long_ago())
    made.run()
    assert repo.git("rev-parse", old), "it was done today"
    for _ in range(LOOKS):
        assert repo.git("rev-parse", old)
        (repo.path / ".git" / "loki" / "expired").write_text("2020-01-01T00:00:00Z\n")
        made.run()
    assert repo.try_git("rev-parse", "-q", "--verify", old).code
    assert expire_when_due(made.context()) == 0
    assert made.events("expired")


def test_nothing_expires_by_age_with_zero_days(repo: Repo) -> None:
    made = begun(repo, more="[cleanup]\nretention_days = 0\n")
    trash(made, "feature-x", long_ago(4000))
    let_expire(made)
    assert len(listed(made)) == 1


def test_links_are_not_followed(repo: Repo) -> None:
    made = begun(repo)
    outside = repo.path.parent / "mine"
    repo.write("file", "mine", outside)
    (made.loki_dir / "archive").mkdir(parents=True, exist_ok=True)
    (made.loki_dir / "archive" / f"feature-x-{long_ago()}").symlink_to(outside)
    let_expire(made)
    assert (outside / "file").read_text() == "mine"


ages = st.none() | st.floats(0, 1000)
entries = st.lists(st.tuples(st.text(min_size=1), ages), unique_by=lambda e: e[0], max_size=20)


@given(entries, st.integers(0, 100), st.integers(0, 10), st.sets(st.text(min_size=1), max_size=3))
def test_only_what_is_old_or_over_the_limit_goes(
    found: list[tuple[str, float | None]], days: int, most: int, needed: set[str]
) -> None:
    gone = set(expired([Retained(n, d) for n, d in found], days=days, most=most, needed=frozenset(needed)))
    assert not gone & needed
    age_of = dict(found)
    for name in gone:
        age = age_of[name]
        younger = sum(1 for other, a in found if other != name and (a or 0) <= (age or 0))
        assert younger >= most or (days and age is not None and age > days)
    for name in set(age_of) - gone - needed:
        assert not (days and (age_of[name] or 0) > days)
    assert len(set(age_of) - gone - needed) <= max(most, 0) + len(needed)


def test_the_age_of_a_stamp() -> None:
    now = datetime(2026, 11, 20, 20, 15, tzinfo=UTC)
    assert age_of_stamp("feature-x-20261119T201500000000Z", now) == 1
    assert age_of_stamp("refs/loki/trash/feature-x/20261119T201500000000Z", now) == 1
    assert age_of_stamp("feature-x", now) is None
    assert age_of_stamp("run-20261119T201500", now) is None, "somebody else's"


@given(st.lists(st.sets(st.sampled_from("abcd")), max_size=8))
def test_what_goes_was_due_at_each_of_the_last_looks(looks: list[set[str]]) -> None:
    counts: dict[str, int] = {}
    for number, due in enumerate(looks, 1):
        gone, counts = due_for_long(due, counts)
        assert set(gone) | counts.keys() == due
        assert all(name in earlier for name in gone for earlier in looks[max(number - LOOKS, 0) : number])
        assert number >= LOOKS or not gone


def test_no_jump_of_the_clock_empties_the_trash(repo: Repo) -> None:
    made = begun(repo)
    old = trash(made, "feature-x", long_ago())
    marker = repo.path / ".git" / "loki" / "expired"
    expire_when_due(made.context())
    for _ in range(LOOKS):  # the clock goes on by years, the machine has not run for a day
        marker.write_text(" ".join(["2020-01-01T00:00:00Z", *marker.read_text().split()[1:]]) + "\n")
        assert expire_when_due(made.context()) == 0
    assert repo.git("rev-parse", old)


def test_only_our_own_files_expire(repo: Repo) -> None:
    made = begun(repo, "a")
    when = long_ago()
    names: tuple[str, ...] = (
        "logs/autonomy-20260901.log",
        "logs/gate-keeper.log",
        "logs/session-20260901.log",
        "logs/setup-notes.log",
    )
    names += (
        "queue/docs/done/theirs.json",
        "state/cache.corrupt-1",
        f"archive/theirs-{when}/notes",
        "archive/x-20260901T101010/n",
    )
    others = [aged(repo.write(f".loki/{name}", "theirs")) for name in names]
    let_expire(made)
    assert all(path.exists() for path in others)

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
from loki_hooks.domain.removal.retention import Retained, age_of_stamp, expired


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def long_ago(days: int = 40) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y%m%dT%H%M%S%fZ")


def aged(path: Path, days: int = 40) -> Path:
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


def trash(made: Yard, stream: str, when: str) -> str:
    ref = f"refs/loki/trash/{stream}/{when}"
    made.repo.git("update-ref", "--create-reflog", ref, "main")
    for kind in ("archive", "trash"):
        made.repo.write(f".loki/{kind}/{stream}-{when}/file", "x")
    return ref


def test_what_is_older_than_the_retention_goes_and_the_rest_stays(repo: Repo) -> None:
    made = begun(repo, "a", more="[cleanup]\nretention_days = 30\n")
    old, young = trash(made, "feature-x", long_ago(31)), trash(made, "feature-x", long_ago(29))
    done = repo.write(".loki/queue/docs/done/abc.json", "{}")
    repo.write(".loki/queue/docs/done/def.json", "{}")
    log = repo.write(".loki/logs/gate-x.log", "x")
    mine = repo.write(".loki/logs/session-feature-a.log", "x")
    for path in (done, log, mine):
        aged(path)
    assert expire(made.context()) > 0
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/loki/trash") == young
    kept = young.replace("refs/loki/trash/feature-x/", "feature-x-")
    assert [p.name for p in (made.loki_dir / "archive").iterdir()] == [kept]
    assert len(list((made.loki_dir / "trash").iterdir())) == 1
    assert not done.exists()
    assert (done.parent / "def.json").exists()
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
    expire(made.context())
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/loki/gates").splitlines() == refs
    assert repo.git("rev-parse", "refs/loki/base/feature-a")


def test_a_pass_does_it_once_a_day(repo: Repo) -> None:
    made = begun(repo)
    made.run()
    old = trash(made, "feature-x", long_ago())
    made.run()
    assert repo.git("rev-parse", old), "it was done today"
    (repo.path / ".git" / "loki" / "expired").write_text("2020-01-01T00:00:00Z\n")
    made.run()
    assert repo.try_git("rev-parse", "-q", "--verify", old).code
    assert expire_when_due(made.context()) == 0
    assert made.events("expired")


def test_nothing_expires_by_age_with_zero_days(repo: Repo) -> None:
    made = begun(repo, more="[cleanup]\nretention_days = 0\n")
    trash(made, "feature-x", long_ago(4000))
    expire(made.context())
    assert len(listed(made)) == 1


def test_links_are_not_followed(repo: Repo) -> None:
    made = begun(repo)
    outside = repo.path.parent / "mine"
    repo.write("file", "mine", outside)
    (made.loki_dir / "archive").mkdir(parents=True, exist_ok=True)
    (made.loki_dir / "archive" / f"feature-x-{long_ago()}").symlink_to(outside)
    expire(made.context())
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

"""What is inferred of a session, when its provider turned it away, and what memory allows: pure, by properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.reconcile.decide import decide
from loki_hooks.domain.reconcile.facts import Facts, StreamFacts
from loki_hooks.domain.reconcile.sessions import Start
from loki_hooks.domain.reconcile.streams import Note
from loki_hooks.domain.sessions.agents import RATE_WORDS
from loki_hooks.domain.sessions.cap import CapDecision, Footprints, lowered_for_memory
from loki_hooks.domain.sessions.ending import Ending, plain_line, seconds_to_wait, turned_away, waits_for_its_provider
from loki_hooks.domain.sessions.evidence import Evidence, Sign, infer, shown_age
from loki_hooks.domain.sessions.named_time import LONGEST, seconds_until_named
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status

ages = st.floats(0, 1e6, allow_nan=False)
signs = st.none() | st.builds(Sign, st.text(max_size=5), st.just("2026-11-20T10:00:00Z"), ages)


@given(
    st.builds(
        Evidence,
        st.booleans(),
        st.integers(0, 5),
        st.none() | st.floats(0, 400),
        st.none() | st.integers(0),
        signs,
        signs,
        signs,
    )
)
def test_what_is_inferred_says_from_what(seen: Evidence) -> None:
    activity = infer(seen)
    assert activity.sources
    assert all(activity.sources)
    assert (activity.state == "gone") == (not seen.runner_alive)
    if seen.runner_alive and seen.processes:
        recent = any(sign is not None and sign.age < 30 for sign in (seen.line, seen.change, seen.commit))
        assert (activity.state == "working") == (recent or (seen.cpu or 0) >= 2)
    assert seen.to_json()["activity"]["state"] == activity.state


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e5, "2 d"), (-3, "0 s")]
)
def test_ages_as_people_say_them(seconds: float, shown: str) -> None:
    assert shown_age(seconds) == shown


@pytest.mark.parametrize(
    "line",
    [
        "API Error: Request rejected (429) · This request would exceed your rate limit",
        "Claude AI usage limit reached|1763659200",
        "5-hour limit reached ∙ resets 3pm",
        "You've hit your usage limit. Try later.",
        "stream error: exceeded retry limit, last status: 429 Too Many Requests",
        "litellm.RateLimitError: AnthropicException",
        'status: "RESOURCE_EXHAUSTED"',
        "Quota exceeded for quota metric",
        "You exceeded your current quota",
        '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        "\x1b[31mToo Many Requests\x1b[0m",
        "12:30:01 error: rate_limit_error",
    ],
)
def test_the_words_of_the_presets_programs_are_known(line: str) -> None:
    assert turned_away(f"12:00:00 working\n{line}\n", RATE_WORDS)


@pytest.mark.parametrize(
    "line",
    [
        "429 tests passed",
        "added a limiter for the API",
        "see issue #429",
        "the time limit of the test was raised",
        "quota.py changed",
        "commit 429abc",
        "E   assert 429 == 200",
        "Rate limiting is in place; the middleware answers 429 now.",
        "FAILED tests/test_api.py::test_rate_limit_exceeded",
        "Added the message 'rate limit exceeded' to the client.",
        "E   AssertionError: 'rate limit reached' not in page",
        "+    raise RateLimitError('too many requests')",
    ],
)
def test_other_words_are_not(line: str) -> None:
    assert turned_away(line, RATE_WORDS) == ""


def test_only_the_end_of_a_log_counts() -> None:
    assert turned_away("rate limit reached\n" + "went on\n" * 15, RATE_WORDS) == ""
    assert turned_away("rate limit reached\n" + "went on\n" * 14, RATE_WORDS) == "rate limit reached"


@given(st.text())
def test_any_text_is_searched_and_any_line_shown_plain(text: str) -> None:
    assert turned_away(text, ()) == ""
    assert len(turned_away(text, ["."])) <= 1000
    assert plain_line(f"12:00:00 {text}") == plain_line(text) or text[:9].endswith(" ")


@given(st.integers(0, 10_000), st.floats(0.001, 1e5), st.floats(0.001, 1e5))
def test_the_wait_grows_to_its_longest(tries: int, wait: float, longest: float) -> None:
    seconds = seconds_to_wait("rate limit", 0, tries, wait, longest)
    assert wait <= seconds <= max(wait, longest) or seconds == pytest.approx(wait)
    assert seconds <= seconds_to_wait("rate limit", 0, tries + 1, wait, longest)


NOON = 1_795_953_600.0  # 2026-11-29 12:00:00 UTC, a Sunday


@pytest.mark.parametrize(
    ("said", "hours"),
    [
        ("You've hit your session limit · resets 3:30pm (UTC)", 3.5),
        ("5-hour limit reached ∙ resets 3pm (Europe/Berlin)", 2),
        ("You've hit your usage limit · resets 9am (America/Sao_Paulo)", None),  # that is now
        ("You've hit your session limit · resets 11:30am (UTC)", 23.5),
        ("Your limit resets Dec 1, 3am (UTC)", 39),
        ("weekly limit reached, resets Mon 12pm (UTC)", 24),
        ("You've hit your usage limit. Try again at 13:45 UTC.", 1.75),
        ("usage limit reached; try again in 2 days 3 hours 12 minutes", 51.2),
        ("Too many requests. Please retry after 30 minutes", 0.5),
        ("Quota exceeded. Your quota will reset after 2h15m0s.", 2.25),
        ("RESOURCE_EXHAUSTED, limit lasts until 2026-11-29T13:00:00Z", 1),
        ("usage limit reached, try again in 30 days", None),
        ("rate limit reached for requests", None),
    ],
)
def test_a_time_that_is_named_is_kept(said: str, hours: float | None) -> None:
    found = seconds_until_named(said, NOON)
    assert found is None if hours is None else found == pytest.approx(hours * 3600)


@given(st.text(), st.floats(0, 2e9))
def test_no_text_names_a_time_that_is_over_or_too_far_away(said: str, now: float) -> None:
    found = seconds_until_named(f"resets {said}", now)
    assert found is None or 0 < found <= LONGEST


def test_a_provider_that_names_a_time_is_believed_within_reason() -> None:
    assert seconds_to_wait("usage limit reached|1763659200", 1763659100, 3, 60, 3600) == 100
    assert seconds_to_wait("usage limit reached|1763659200", 1763659300, 0, 60, 3600) == 60
    assert seconds_to_wait("usage limit reached|1999999999", 1763659300, 0, 60, 3600) == 60


@given(st.integers(-3, 3), st.booleans(), st.booleans(), st.integers(0, 2), st.booleans(), st.integers(0, 12))
def test_only_a_failed_session_waits_for_its_provider(
    code: int, stopped: bool, timed_out: bool, commits: int, away: bool, tries: int
) -> None:
    ending = Ending(
        code, stopped=stopped, timed_out=timed_out, commits=commits, turned_away="rate limit" if away else ""
    )
    waits = waits_for_its_provider(ending, tries, 10)
    assert waits == (away and not stopped and not timed_out and tries < 10 and (code != 0 or commits == 0))


def queued(not_before: str, **more: object) -> StreamFacts:
    record = StreamRecord("feature", "x", Status.QUEUED, base="a", not_before=not_before, **more)  # type: ignore[arg-type]
    return StreamFacts(record, tip="a")


def test_what_waits_for_its_provider_starts_when_the_time_has_come() -> None:
    noon = "2026-11-20T12:00:00.000000Z"
    for now, verb in (("2026-11-20T11:59:59.999999Z", Note), (noon, Start)):
        steps = [s for s in decide(Facts("a", (queued(noon),), cap=1, now=now, processed="a")) if s.stream]
        assert [type(s) for s in steps] == [verb]
    other = StreamFacts(StreamRecord("feature", "y", Status.QUEUED, base="a"), tip="a")
    both = decide(Facts("a", (queued(noon, priority=9), other), cap=1, now="", processed="a"))
    assert [s.stream for s in both if isinstance(s, Start)] == ["feature-y"], (
        "one that waits for a time holds nobody up"
    )


sizes = st.integers(0, 2**40)


@given(st.integers(1, 1000), st.lists(sizes, max_size=8), sizes, st.booleans())
def test_memory_only_ever_lowers_and_never_below_what_runs_or_one(
    cap: int, running: list[int], free: int, dynamic: bool
) -> None:
    before = CapDecision(cap, dynamic, 1000, "because", None, None, ())
    after = lowered_for_memory(before, Footprints(tuple(running), free))
    assert 1 <= after.cap <= cap
    assert after.cap >= min(cap, max(1, len(running))) or not running
    if not dynamic or not any(running):
        assert after == before
    if after.cap < cap:
        one_more = (after.cap + 1 - len(running)) * max(running)
        assert one_more + sum(max(running) - size for size in running) > free, "one more would not have fitted"


def test_what_fits_is_counted_with_the_growth_of_those_that_run() -> None:
    before = CapDecision(10, True, 10, "because", None, None, ())
    assert lowered_for_memory(before, Footprints((100, 100), 350)).cap == 5
    assert lowered_for_memory(before, Footprints((100, 40), 350)).cap == 4
    assert lowered_for_memory(before, Footprints((100,), 0)).cap == 1

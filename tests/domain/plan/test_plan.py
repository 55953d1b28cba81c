"""From a draft to a plan: order, overlaps, the critical path; and everything that is wrong, at once."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.plan.check import MAX_TASKS, Known, checked
from loki_hooks.domain.plan.task import Draft, Edge, OnOverlap, Plan, PlanTask, Skipped, Why

KNOWN = Known(kinds={"feature", "docs"}, agents={"claude"})


def plan(*tasks: PlanTask, overlap: OnOverlap = OnOverlap.SEQUENCE, known: Known = KNOWN, **more: object) -> Plan:
    return checked(Draft("loki-hooks", "", overlap, tasks, **more), "plan.toml", known)  # type: ignore[arg-type]


def task(ident: str, *after: str, **more: object) -> PlanTask:
    return PlanTask(ident, depends_on=tuple(Edge(one) for one in after), **more)  # type: ignore[arg-type]


def said(made: Plan) -> str:
    return "\n".join(str(problem) for problem in made.problems)


@st.composite
def plans(draw: st.DrawFn) -> list[PlanTask]:
    number = draw(st.integers(1, 12))
    names = [f"t{n}" for n in range(number)]
    return [
        task(
            name,
            *draw(st.lists(st.sampled_from(names[:n]), unique=True, max_size=3) if n else st.just([])),
            files=tuple(draw(st.lists(st.sampled_from(["a/**", "a/b.py", "c.py", "d/*"]), max_size=2))),
            priority=draw(st.integers(-1, 2)),
            estimate=draw(st.sampled_from([0, 1, 3])),
        )
        for n, name in enumerate(names)
    ]


@given(plans(), st.randoms(use_true_random=False))
def test_each_task_comes_after_what_it_waits_for_and_no_two_that_overlap_run_side_by_side(tasks, random) -> None:  # type: ignore[no-untyped-def]
    random.shuffle(tasks)
    made = plan(*tasks)
    assert not made.problems
    place = {t.id: n for n, t in enumerate(made.tasks)}
    assert len(place) == len(tasks)
    before: dict[str, set[str]] = {}
    for t in made.tasks:
        assert all(place[edge.id] < place[t.id] for edge in t.depends_on)
        before[t.id] = {edge.id for edge in t.depends_on}.union(*(before[edge.id] for edge in t.depends_on))
    assert all(o.a in before[o.b] for o in made.overlaps)
    ends = {t.id: made.start[t.id] + t.weight for t in made.tasks}
    assert sum(t.weight for t in made.tasks if t.id in made.critical_path) == max(ends.values())


def test_two_that_overlap_run_one_after_the_other_unless_the_plan_says_otherwise() -> None:
    two = (task("a", files=("src/**",)), task("b", files=("src/x.py",)))
    made = plan(*two)
    assert made.tasks[1].depends_on == (Edge("a", Why.OVERLAP),)
    assert [(o.a, o.b, o.files, o.resolved) for o in made.overlaps] == [("a", "b", ("src/x.py",), "sequence")]
    assert plan(*two, overlap=OnOverlap.PARALLEL).tasks[1].depends_on == ()
    assert plan(*two, overlap=OnOverlap.ASK).overlaps[0].resolved == "sequence"  # nobody to ask
    assert plan(two[0], task("b", "a", files=("src/x.py",))).overlaps[0].resolved == "ordered"


def test_the_more_urgent_of_two_that_overlap_goes_first() -> None:
    made = plan(task("a", files=("x",)), task("b", files=("x",), priority=1))
    assert [(t.id, [e.id for e in t.depends_on]) for t in made.tasks] == [("b", []), ("a", ["b"])]


def test_a_circle_is_named_with_its_members() -> None:
    assert "waits for itself: a → c → b → a" in said(plan(task("a", "c"), task("b", "a"), task("c", "b"), task("d")))
    assert "waits for itself: a → a" in said(plan(task("a", "a")))


def test_everything_that_is_wrong_is_said_at_once() -> None:
    made = plan(
        task("api", line=3),
        task("API", line=4),
        task("auth", "apii", line=5),
        task("no name", line=6),
        task("x", kind="featur", agent="claud", files=("../y",), stages=("review", "build"), line=7),
        task("taken", line=8),
        known=Known({"feature"}, {"claude"}, taken={"feature-taken": "there is a stream taken already (running)"}),
    )
    text = said(made)
    for part in (
        "line 4: API: has the id of another task, 'api' (line 3)",
        "line 5: auth: waits for 'apii', which is no task of the plan; did you mean 'api'?",
        "'no name' is not a name",
        "there is no kind 'featur'; did you mean feature?",
        "there is no agent 'claud'; did you mean claude?",
        "the glob '../y' leads out of the repository",
        "are no stages",
        "there is a stream taken already (running)",
    ):
        assert part in text
    assert [p.line for p in made.problems] == sorted(p.line for p in made.problems)


def test_what_is_done_is_not_waited_for() -> None:
    made = plan(
        task("a"), task("b", "a", "old"), skipped=(Skipped("old", "done"),), known=Known({"feature"}, (), done={"a"})
    )
    assert [(t.id, t.depends_on) for t in made.tasks] == [("b", ())]
    assert [(s.id, s.why) for s in made.skipped] == [("old", "done"), ("a", "it has landed")]


def test_a_plan_of_nothing_and_one_that_is_too_long_are_problems() -> None:
    assert "no task" in said(plan())
    assert "the most" in said(plan(*(task(f"t{n}") for n in range(MAX_TASKS + 1))))


def test_two_hundred_tasks_are_planned_within_a_second_of_processor_time() -> None:
    begin = time.process_time()
    made = plan(
        *(
            task(f"t{n}", *([f"t{n - 7}"] if n > 7 else []), files=(f"src/m{n % 40}/**", "docs/*.md"))
            for n in range(200)
        )
    )
    assert len(made.tasks) == 200
    assert time.process_time() - begin < 5  # far above what it takes: a square of a square would be over it

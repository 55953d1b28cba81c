"""Each format of a plan: how it is told, what becomes of its tasks at both grains, and input that is no plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.plan.check import Known, checked
from loki_hooks.domain.plan.task import Draft, Grain, OnOverlap, Plan, Why
from loki_hooks.surface.plan.reader import FORMATS, read_plan

KNOWN = Known(kinds={"feature", "docs"}, agents={"claude", "codex"})

OWN = """\
[plan]
goal = "people can log in"
overlap = "parallel"
[[tasks]]
id = "api"
title = "The interface"
prompt = "Write it.\\nTest it."
files = ["src/api/**"]
priority = 2
[[tasks]]
id = "auth"
needs = ["api"]
kind = "docs"
agent = "codex"
estimate = 3
stages = ["analyze", "build"]
"""
CHECKLIST = """\
# Log in

Some prose with [x] in it.

- [ ] **api**: The interface (files: src/api/**, `tests/api.py`) (see also: RFC 7519)
  It has to be small.
- [ ] auth: Log in with a token (after: api) (priority: 3)
  - [x] keys
  - [ ] tokens (files: src/auth/token.py)
  - [-] cookies
- [x] old: Done long ago
```
- [ ] not: a task
```
<!-- - [ ] nor: this -->
## Later
- [ ] Write the user guide (depends on: auth, old) (kind: docs)
- [ ] Write the user guide
"""
SPEC_KIT = """\
# Tasks: Log in

## Format: `[ID] [P?] [Story] Description`

## Phase 1: Setup (Shared Infrastructure)
- [x] T001 Create the structure
- [ ] T002 Configure linting in pyproject.toml

## Phase 2: Foundational (Blocking Prerequisites)
- [ ] T003 Create the schema
- [ ] T004 [P] Write src/db/models.py
- [ ] T005 [P] Write src/db/session.py

## Phase 3: User Story 1 - Log in (Priority: P1) 🎯 MVP
### Tests for User Story 1
- [ ] T006 [P] [US1] Contract test in tests/contract/test_login.py
### Implementation
- [ ] T007 [US1] Create src/login.py (depends on T003-T005)

## Phase 4: User Story 2 - Log out (Priority: P2)
- [ ] T008 [US2] Create src/logout.py (depends on T007)

## Phase N: Polish & Cross-Cutting Concerns
- [ ] T009 [P] Documentation updates in docs/
"""
TASK_MASTER: dict[str, Any] = {
    "master": {
        "tasks": [
            {"id": 1, "title": "Begin", "status": "done", "dependencies": [], "subtasks": []},
            {
                "id": 2,
                "title": "Interface",
                "description": "Small.",
                "details": "With care.",
                "testStrategy": "By hand.",
                "status": "pending",
                "priority": "high",
                "dependencies": [1],
                "relevantFiles": [
                    {"path": "src/api.ts", "action": "modify"},
                    {"path": "src/other.ts", "action": "reference"},
                ],
                "subtasks": [
                    {"id": 1, "title": "Types", "status": "done", "dependencies": []},
                    {"id": 2, "title": "Routes", "status": "pending", "dependencies": [1]},
                    {"id": 3, "title": "Errors", "status": "pending", "dependencies": [2, "3.1"]},
                ],
            },
            {"id": 3, "title": "Log", "status": "pending", "dependencies": [], "subtasks": [
                {"id": 1, "title": "Lines", "status": "pending", "dependencies": []},
            ]},
            {"id": 4, "title": "Later", "status": "deferred", "dependencies": ["2"]},
        ],
        "metadata": {"description": "The product"},
    },
    "other": {"tasks": [{"id": 1, "title": "Else", "status": "pending", "dependencies": []}]},
}  # fmt: skip
ISSUES = {
    "issues": [
        {
            "number": 12,
            "title": "Log in",
            "body": "With a token.",
            "state": "open",
            "blocked_by": [9],
            "sub_issues": [13, 14],
        },
        {"number": 13, "title": "Keys", "body": None, "state": "open", "blocked_by": [], "sub_issues": []},
        {"number": 14, "title": "Old", "body": "", "state": "closed", "blocked_by": [], "sub_issues": []},
        {"number": 9, "title": "Interface", "body": "", "state": "open", "blocked_by": [], "sub_issues": []},
    ]
}


def plan(name: str, text: str, grain: Grain = Grain.STORY, tag: str = "") -> Plan:
    return checked(read_plan(name, text, grain, tag), name, KNOWN)


def edges(made: Plan) -> dict[str, list[str]]:
    assert not made.problems, made.problems
    return {task.id: [edge.id for edge in task.depends_on] for task in made.tasks}


def said(made: Plan | Draft) -> str:
    return "\n".join(str(problem) for problem in made.problems)


# Our own ---------------------------------------------------------------------------------------------------


def test_our_own_plan_is_the_same_in_toml_yaml_and_json() -> None:
    import tomllib

    value = tomllib.loads(OWN)
    made = read_plan("plan.toml", OWN, Grain.STORY)
    assert (made.format, made.goal, made.overlap) == ("loki-hooks", "people can log in", OnOverlap.PARALLEL)
    api, auth = made.tasks
    assert (api.prompt, api.files, api.priority, api.line) == ("Write it.\nTest it.", ("src/api/**",), 2, 4)
    assert (auth.prompt, auth.kind, auth.agent, auth.estimate, auth.line) == ("auth", "docs", "codex", 3.0, 10)
    assert auth.stages == ("analyze", "build")
    assert edges(plan("plan.toml", OWN)) == {"api": [], "auth": ["api"]}
    for name, text in (
        ("plan.json", json.dumps(value)),
        ("plan.yaml", json.dumps(value)),
        ("-", json.dumps(value)),
        ("-", OWN),
    ):
        assert edges(plan(name, text)) == {"api": [], "auth": ["api"]}


def test_an_id_may_be_a_number_in_yaml() -> None:
    text = "tasks:\n  - id: 12\n    title: One\n  - id: 13\n    depends_on: [12]\n"
    assert edges(plan("plan.yml", text)) == {"12": [], "13": ["12"]}


def test_every_key_that_is_not_known_or_of_the_wrong_kind_is_said() -> None:
    text = (
        '[plan]\ngoal = 3\noverlap = "maybe"\n[[tasks]]\nid = "a"\ndepend_on = ["b"]\nfiles = 3\npriority = "x"\nestimate = -1\n'
        'best_of = 2\nrepo = "x"\n[[tasks]]\ntitle = "no id"\n[other]\n'
    )
    text = said(plan("plan.toml", text))
    for part in (
        "goal has to be a text",
        "overlap has to be one of sequence, ask, parallel",
        "line 4: a: unknown key 'depend_on'; did you mean depends_on?",
        "files has to be a list of texts",
        "priority has to be a whole number",
        "estimate has to be a number",
        "best_of cannot be more than 1",
        "repo has to be this repository",
        "line 12: task 2 has no id",
        "unknown key 'other'",
    ):
        assert part in text, text


# Checklists ------------------------------------------------------------------------------------------------


def test_a_checklist_is_a_stream_for_each_top_level_item() -> None:
    made = plan("TODO.md", CHECKLIST)
    assert edges(made) == {"auth": ["api"], "api": [], "write-the-user-guide": ["auth"], "write-the-user-guide-2": []}
    by_id = {task.id: task for task in made.tasks}
    assert by_id["api"].files == ("src/api/**", "tests/api.py")
    assert by_id["api"].prompt == "The interface (see also: RFC 7519)\n\nIt has to be small."
    assert "- [x] keys\n- [ ] tokens" in by_id["auth"].prompt
    assert "cookies" not in by_id["auth"].prompt
    assert by_id["auth"].files == ("src/auth/token.py",)
    assert (made.goal, by_id["write-the-user-guide"].phase) == ("Log in", "Later")
    assert [(s.id, s.why) for s in made.skipped] == [("old", "done")]


def test_at_the_finer_grain_each_line_is_a_stream() -> None:
    made = plan("TODO.md", CHECKLIST, Grain.TASK)
    assert edges(made)["tokens"] == ["api"]
    assert edges(made)["write-the-user-guide"] == ["tokens"]
    assert {(s.id, s.why) for s in made.skipped} == {("old", "done"), ("keys", "done"), ("cookies", "cancelled")}


def test_what_is_written_in_brackets_and_is_nearly_a_word_of_ours_is_not_lost() -> None:
    assert "did you mean (files: …)" in said(plan("TODO.md", "- [ ] a: x (filse: y)\n"))
    assert "priority has to be a number" in said(plan("TODO.md", "- [ ] a: x (priority: high)\n"))


# spec-kit --------------------------------------------------------------------------------------------------


def test_spec_kit_is_a_stream_for_each_story_and_the_phases_block() -> None:
    made = plan("tasks.md", SPEC_KIT)
    assert made.format == "spec-kit"
    assert edges(made) == {
        "setup": [],
        "foundational": ["setup"],
        "us1": ["foundational"],
        "us2": ["us1", "foundational"],
        "polish-cross-cutting-concerns": ["us1", "us2"],
    }
    by_id = {task.id: task for task in made.tasks}
    assert by_id["us1"].plan_items == ("T006", "T007")
    assert by_id["us1"].files == ("tests/contract/test_login.py", "src/login.py")
    assert by_id["us1"].external == "US1"
    assert by_id["us1"].priority > by_id["us2"].priority
    assert {edge.why for edge in by_id["us1"].depends_on} == {Why.WRITTEN}
    assert "- [x] T001" in by_id["setup"].prompt


def test_at_the_finer_grain_p_runs_beside_its_neighbours() -> None:
    made = edges(plan("tasks.md", SPEC_KIT, Grain.TASK))
    assert made["T002"] == []
    assert made["T003"] == ["T002"]
    assert made["T004"] == made["T005"] == ["T003"]
    assert set(made["T006"]) == {"T004", "T005"}
    assert set(made["T007"]) == {"T003", "T004", "T005", "T006"}
    assert set(made["T009"]) == {"T007", "T008"}


# Task Master -----------------------------------------------------------------------------------------------


def test_task_master_is_a_stream_for_each_task() -> None:
    made = plan("tasks.json", json.dumps(TASK_MASTER))
    assert made.format == "task-master"
    assert edges(made) == {"task-3": [], "task-2": ["task-3"]}
    two = next(task for task in made.tasks if task.id == "task-2")
    assert (two.files, two.priority, two.external) == (("src/api.ts",), 1, "2")
    assert "How to test it: By hand." in two.prompt
    assert "- [x] Types" in two.prompt
    assert {s.id: s.why for s in made.skipped} == {"task-1": "done", "task-4": "deferred"}


def test_at_the_finer_grain_each_subtask_is_a_stream() -> None:
    made = edges(plan("tasks.json", json.dumps(TASK_MASTER), Grain.TASK))
    assert made == {"task-2.2": [], "task-3.1": [], "task-2.3": ["task-2.2", "task-3.1"]}


def test_the_old_form_and_the_other_tags() -> None:
    assert edges(plan("tasks.json", json.dumps({"tasks": TASK_MASTER["other"]["tasks"]}))) == {"task-1": []}
    assert edges(plan("tasks.json", json.dumps(TASK_MASTER), tag="other")) == {"task-1": []}
    assert "did you mean 'other'" in said(plan("tasks.json", json.dumps(TASK_MASTER), tag="othre"))
    two = {"a": TASK_MASTER["other"], "b": TASK_MASTER["other"]}
    assert "there are a, b; choose one with tasks.json#TAG" in said(plan("tasks.json", json.dumps(two)))


# GitHub ----------------------------------------------------------------------------------------------------


def test_issues_wait_for_what_blocks_them_and_hold_their_sub_issues() -> None:
    made = plan("gh:", json.dumps(ISSUES))
    assert edges(made) == {"issue-9": [], "issue-12": ["issue-9"]}
    twelve = made.tasks[1]
    assert twelve.plan_items == ("#12", "#13")
    assert twelve.prompt == "Log in\n\nWith a token.\n\n- [ ] #13 Keys"
    assert edges(plan("gh:", json.dumps(ISSUES), Grain.TASK)) == {"issue-9": [], "issue-13": []}


# Bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("plan.toml", "[[tasks]\n", "not TOML"),
        ("plan.json", '{"tasks": [\n', "line 2: it is not JSON"),
        ("plan.json", "hello", "not JSON"),
        ("plan.yaml", "tasks:\n  - id: [\n", "not YAML"),
        ("plan.yaml", "a: &a [*a, *a]\n", "none of the formats"),
        ("plan.md", "# Only prose\n\nNothing to tick.\n", "none of the formats"),
        ("plan.toml", "tasks = 3\n", "tasks has to be a list"),
        ("plan.json", '{"tasks": []}', "no task in it"),
        ("plan.json", '{"tasks": [3]}', "task 1 has to be a table"),
        ("plan.json", "[" * 100_000, "it is n"),
    ],
)
def test_what_is_no_plan_is_said(name: str, text: str, expected: str) -> None:
    assert expected in said(plan(name, text))


@given(st.sampled_from(["a.md", "a.toml", "a.json", "a.yaml", "-"]), st.text(max_size=200), st.sampled_from(Grain))
def test_no_text_breaks_a_reader(name: str, text: str, grain: Grain) -> None:
    plan(name, text, grain)


@given(
    st.lists(st.sampled_from([*CHECKLIST.splitlines(), *SPEC_KIT.splitlines()]), max_size=12).map("\n".join),
    st.sampled_from(Grain),
)
def test_no_mixture_of_lines_breaks_a_reader(text: str, grain: Grain) -> None:
    made = plan("a.md", text, grain)
    assert made.problems or len({task.id for task in made.tasks}) == len(made.tasks)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tasks", "plan", "id", "title", "dependencies", "subtasks", "status", "files"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(Grain))
def test_no_value_breaks_a_reader(value: object, grain: Grain) -> None:
    plan("a.json", json.dumps(value), grain)


def test_every_format_is_a_module_with_the_two_functions() -> None:
    import importlib

    for module in FORMATS.values():
        reader = importlib.import_module(module)
        assert callable(reader.fits)
        assert callable(reader.read)

"""Prompts and argument vectors: what an agent is told, and with which words it is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Repo
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Yard, turn_on, yard

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests.spawn import preview
from loki_hooks.actions.sessions.prompt import agent_argv, render_prompt, write_prompt
from loki_hooks.actions.streams.plan import Request, plan_streams
from loki_hooks.assets import asset_dir
from loki_hooks.domain.config import Session
from loki_hooks.domain.names import STANDARD_KINDS
from loki_hooks.domain.sessions.agents import PRESETS, Agent, Launch
from loki_hooks.domain.sessions.ending import Trouble
from loki_hooks.domain.sessions.prompts import MAX_ARGUMENT, agent_words, fenced
from loki_hooks.domain.streams.record import StreamRecord, Task
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import BadInputError
from loki_hooks.system.site import discover


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def context_with(repo: Repo, text: str) -> Context:
    repo.commit("Configure", {"loki-hooks.toml": text})
    turn_on(repo)
    return Context(discover(repo.path))


def plan(context: Context, name: str = "x", **more: Any) -> StreamRecord:
    (record,) = plan_streams(context, Request((name,), **more))
    return record


# Prompts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*STANDARD_KINDS, "spike"])
@pytest.mark.parametrize("stage", ["build", "analyze", "review"])
def test_every_kind_and_stage_has_a_prompt(repo: Repo, kind: str, stage: str) -> None:
    context = context_with(repo, '[branches]\nspike = "spike/{name}"\n[gates.unit]\ncommand = "pytest -q tests"\n')
    text = render_prompt(context, plan(context, kind=kind, task="Make {{ it }} {% work %}\nMore", stages=(stage,)))
    assert "Make {{ it }} {% work %}\nMore" in text
    assert str(context.path_for(context.values(kind=kind, name="x", stream=f"{kind}-x"))) in text
    for word in (
        "CONTINUITY.md",
        {"analyze": "PLAN.md", "build": "FEATURE_READY_x", "review": "REVIEW_FAILED_x"}[stage],
        "`pytest -q tests`",
        "exit status 0",
        "Do not switch branches",
        ".env",
    ):
        assert word in text
    assert (stage in text) == (stage != "build" or "exit" in stage or stage in text)
    assert "\n\n\n\n" not in text
    assert not text.startswith("-")


def test_each_standing_kind_says_what_is_special_about_it(repo: Repo) -> None:
    context = context_with(repo, "")
    said = {kind: render_prompt(context, plan(context, kind=kind, task="T")) for kind in STANDARD_KINDS}
    assert "queue list docs" in said["docs"]
    assert "queue list blog" in said["blog"]
    assert "write tests" in said["testing"]
    assert "faults" in said["qa"]
    assert "queue list" not in said["feature"]


def test_the_prompt_tells_files_siblings_and_no_gates(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.open("other")
    repo.commit("Work", {"shared.py": "1"}, cwd=made.tree_of("other"))
    context = made.context()
    record = StreamRecord(
        "feature",
        "x",
        Status.PLANNED,
        "/nowhere",
        "feature/x",
        base=repo.git("rev-parse", "main"),
        task=Task("x", "Do it", ("app.py", "b c.py")),
    )
    text = render_prompt(context, record)
    assert "- `app.py`\n- `b c.py`\n" in text
    assert "`feature-other` on `feature/other` (`shared.py`)" in text
    assert "run them before you end" in text
    assert "What is there already" not in text


def test_dry_run_shows_the_exact_prompt_and_argv_and_makes_nothing(repo: Repo) -> None:
    made = yard(repo)
    context = made.context()
    before = sorted(str(p) for p in made.loki_dir.rglob("*")) if made.loki_dir.exists() else []
    (shown,) = json.loads(repo.loki("spawn", "x", "--task", "Do it", "--dry-run", "--json").out)
    assert (sorted(str(p) for p in made.loki_dir.rglob("*")) if made.loki_dir.exists() else []) == before
    assert not made.tree_of("x").exists()
    assert shown["argv"][-1] == "Do it"
    people = repo.loki("spawn", "x", "--task", "Do it", "--dry-run").out
    assert "    Do it\n" in people
    made.agent(
        "x",
        f"printf '%s' \"$2\" > '{made.outside}/task'; cp \"$LOKI_MAIN/.loki/state/prompts/feature-x.md\" '{made.outside}/p'\n"
        "echo x > x; git add x; git commit -q -m x\n",
    )
    made.spawn("x", "--task", "Do it")
    made.wait_for("x", "archived")
    assert (made.outside / "p").read_text() == shown["prompt"]
    assert (made.outside / "task").read_text() == "Do it"
    assert preview(context, plan(context, "y"))["argv"][0] == "sh"


def test_a_prompt_from_a_file_or_standard_input(repo: Repo, tmp_path: Path) -> None:
    yard(repo)
    file = tmp_path / "a task.md"
    file.write_bytes(b"\xef\xbb\xbfFrom a file\n")
    assert (
        "From a file"
        in json.loads(repo.loki("spawn", "x", "--prompt-file", str(file), "--dry-run", "--json").out)[0]["prompt"]
    )
    done = repo.loki("spawn", "x", "--prompt-file", "-", "--dry-run", "--json", stdin="From a pipe")
    assert "From a pipe" in json.loads(done.out)[0]["prompt"]


def test_a_prompt_that_is_too_long_for_an_argument_goes_by_its_file(repo: Repo) -> None:
    made = yard(repo)
    text = "long line of words " * 20_000
    made.agent("x", f"printf '%s' \"$2\" > '{made.outside}/task'; echo x > x; git add x; git commit -q -m x\n")
    done = repo.loki("spawn", "x", "--prompt-file", "-", stdin=text)
    assert done.code == 0, done.err
    made.wait_for("x", "archived", "failed")
    said = (made.outside / "task").read_text()
    assert len(said) < 500
    assert "state/prompts/feature-x.md" in said
    assert made.landed() == ["x"]


# Agents ---------------------------------------------------------------------------------------------------------

KINDS = """\
[session]
agent = "claude"
model = "big"
args = ["--verbose"]
read_dirs = ["../library", "feature-other", "missing"]
[session.kinds.docs]
agent = "gemini"
model = "small"
args = ["--debug"]
read_dirs = ["*"]
[session.kinds.qa]
model = "medium"
[session.kinds.blog]
agent = "aider"
read_dirs = []
"""


def test_agent_model_arguments_and_folders_by_kind(repo: Repo, tmp_path: Path) -> None:
    context = context_with(repo, KINDS)
    library = repo.path.parent / "library"
    library.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    context.store.update(
        lambda s: s.with_stream(StreamRecord("feature", "other", Status.OPEN, str(other), "feature/other"))
    )
    feature = agent_argv(context, plan(context), "P")
    assert feature == [
        "claude",
        "--dangerously-skip-permissions",
        "--model",
        "big",
        "--add-dir",
        str(library),
        "--add-dir",
        str(other),
        "--verbose",
        "-p",
        "P",
    ]
    docs = agent_argv(context, plan(context, kind="docs"), "P")
    assert docs == [
        "gemini",
        "--yolo",
        "--skip-trust",
        "--model",
        "small",
        "--include-directories",
        str(other),
        "--debug",
        "-p",
        "P",
    ]
    assert agent_argv(context, plan(context, kind="qa"), "P")[2:4] == ["--model", "medium"]
    chosen = agent_argv(context, plan(context, kind="docs", agent="codex"), "P")
    assert chosen[:3] == ["codex", "exec", "--dangerously-bypass-approvals-and-sandbox"]
    assert "--model" not in chosen
    assert "--debug" not in chosen
    assert str(other) in chosen
    with pytest.raises(BadInputError, match="aider is given folders"):
        agent_argv(context, plan(context, kind="blog"), "P")


def test_the_environment_chooses_the_agent_for_all_kinds(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_AGENT", "codex")
    context = context_with(repo, KINDS.replace('read_dirs = ["../library", "feature-other", "missing"]', ""))
    for kind in ("feature", "docs", "qa"):
        argv = agent_argv(context, plan(context, kind=kind), "P")
        assert argv[0] == "codex"
        assert not {"big", "small", "--verbose", "--debug"} & set(argv)


@pytest.mark.parametrize(
    "text",
    [
        '[session]\nagent = "cluade"\n',
        '[session.kinds.docs]\nagent = "gemni"\n',
        '[session.kinds.dosc]\nmodel = "x"\n',
        '[session.rate_limit]\nwords = ["("]\n',
        "[session.rate_limit]\nwait = 0\n",
        "[session]\nmemory = 1\n",
        '[session]\nargs = "--x"\n',
        "[agents.mine]\nmodel_args = []\n",
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(repo: Repo, text: str) -> None:
    with pytest.raises(BadInputError) as caught:
        plan(context_with(repo, text))
    assert "error" in caught.value.message


def test_what_the_configuration_adds_to_an_agent_needs_the_users_word(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOKI_TRUST")
    from loki_hooks.system.config.trust import items_of

    context = context_with(repo, KINDS)
    shown = {(item.name, item.command) for item in items_of(context.config.working, context.config.in_force)}
    assert ("session.args", "claude --verbose") in shown
    assert ("session.kinds.docs.args", "gemini --debug") in shown
    assert {"claude", "gemini", "aider"} <= {name for name, _ in shown}


def test_presets_take_a_model_and_the_prompt_stays_one_word() -> None:
    for agent in PRESETS.values():
        words = agent_words(agent, Launch(agent.name, "m", ("--more",)), {"prompt": "a b\n-c", "prompt_file": "/f"}, ())
        assert words.count("m") == 1
        assert words.count("--more") == 1
        assert ("a b\n-c" in words) != ("/f" in words)
        assert "{args}" not in agent_words(agent, Launch(agent.name), {"prompt": "p", "prompt_file": "/f"}, ())


def test_an_agent_without_a_place_for_more_says_so() -> None:
    plain = Agent("mine", ("mine", "{prompt}"))
    with pytest.raises(BadInputError, match="no place for it"):
        agent_words(plain, Launch("mine", "m"), {}, ())
    with pytest.raises(BadInputError, match="no place for them"):
        agent_words(plain, Launch("mine", "", ("-v",)), {}, ())
    with pytest.raises(BadInputError, match="needs a model"):
        agent_words(Agent("mine", "mine --with={model} '{prompt}'"), Launch("mine"), {}, ())
    assert agent_words(
        Agent("mine", "mine --with={model} '{prompt}'"), Launch("mine", "m"), {"prompt": "a 'b' $(c)"}, ()
    ) == ["mine", "--with=m", "a 'b' $(c)"]


@given(st.text(), st.lists(st.text(max_size=5), max_size=3))
def test_no_text_changes_the_number_of_words(text: str, dirs: list[str]) -> None:
    words = agent_words(PRESETS["claude"], Launch("claude", text), {"prompt": text}, dirs)
    assert len(words) == 4 + (2 if text else 0) + 2 * len(dirs)
    assert words[-1] == text


@given(st.text(), st.sampled_from(["feature", "docs"]), st.sampled_from(["", "a", "b"]))
def test_a_model_is_given_to_its_own_agent_only(model: str, kind: str, agent: str) -> None:
    session = Session(agent="a", model=model, args=("x",), kinds={"docs": Launch("b", "theirs")})
    launch = session.launch(kind, agent)
    assert launch.agent == (agent or ("b" if kind == "docs" else "a"))
    assert launch.model == ({"a": model, "b": "theirs" if kind == "docs" else ""}[launch.agent])


@given(st.text())
def test_foreign_text_stays_inside_its_block(text: str) -> None:
    for line in fenced(text).split("\n"):
        assert line.startswith("    ") or not line


def test_the_prompt_file_is_its_owners_only(repo: Repo) -> None:
    made: Yard = yard(repo)
    context = made.context()
    record = plan(context, task="x" * (MAX_ARGUMENT + 1))
    write_prompt(context, record, "secret")
    path = made.loki_dir / "state" / "prompts" / "feature-x.md"
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(path) in agent_argv(context, record, "p")[-1]


def test_every_template_is_used() -> None:
    names = {path.name for path in (asset_dir("templates") / "prompts").iterdir()}
    known = {"frame.md.j2", "build.md.j2", "analyze.md.j2", "review.md.j2"}
    assert names == known | {f"{kind}-build.md.j2" for kind in STANDARD_KINDS if kind != "feature"}
    hints = {path.name for path in (asset_dir("templates") / "hints").iterdir()}
    assert hints == {f"{trouble.value}.md.j2" for trouble in Trouble}

"""Who asks: the kernel's proof before what an environment says; workers are nobody's session."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.asker import Asker, Caller, Deed, Kin, Person, SessionAsks, refused, who
from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.domain.work import GateWork, ReconcileWork, SessionWork

SHELL = Kin(ProcessId(50, "a"))
LOGIN = Kin(ProcessId(1, "a"))
AGENT = Kin(ProcessId(40, "b"))
RUNNER = Kin(ProcessId(30, "c"), worker=SessionWork("feature-x", "token", "/p"), ours=True)
PASS = Kin(ProcessId(20, "d"), worker=ReconcileWork("timer", "native", "/p"), ours=True)
GATE = Kin(ProcessId(21, "d"), worker=GateWork("c", "t", "", 1, "/p"), ours=True)
SESSIONS = {AGENT.process: "feature-x", RUNNER.process: "feature-x"}


def asked(*chain: Kin, **more: object) -> Asker:
    return who(replace(Caller(chain), **more), SESSIONS)  # type: ignore[arg-type]


def test_a_chain_without_a_session_is_a_person() -> None:
    assert asked(SHELL, LOGIN) == Person()
    assert asked() == Person()


def test_an_agent_or_its_runner_above_is_the_proof() -> None:
    assert asked(SHELL, AGENT, RUNNER, LOGIN) == SessionAsks("feature-x")
    assert asked(SHELL, RUNNER, LOGIN) == SessionAsks("feature-x")  # its parent ended: the runner adopted it
    assert who(Caller((SHELL, RUNNER)), {}) == SessionAsks("feature-x")  # the records are lost
    assert asked(SHELL, replace(AGENT, process=ProcessId(40, "later")), LOGIN) == Person()  # a reused pid


def test_what_the_environment_says_counts_only_where_nothing_is_proved() -> None:
    assert asked(replace(SHELL, stream="feature-y"), AGENT, said="feature-y") == SessionAsks("feature-x")
    assert asked(replace(SHELL, stream="feature-y"), LOGIN) == SessionAsks("feature-y")
    assert asked(SHELL, LOGIN, said="feature-y") == SessionAsks("feature-y")


def test_a_worker_is_not_of_the_session_that_started_it() -> None:
    assert asked(PASS, RUNNER, LOGIN) == Person()
    assert asked(replace(PASS, stream="feature-y"), RUNNER) == SessionAsks("feature-y")
    assert asked(SHELL, PASS, RUNNER) == SessionAsks("")  # a hook of git's that a pass let run
    server = Kin(ProcessId(60, "e"), ours=True)  # a tmux server, of the user from then on
    assert asked(SHELL, server, RUNNER, LOGIN) == Person()
    assert asked(SHELL, server, AGENT, RUNNER) == SessionAsks("feature-x")  # an agent can say that of itself
    assert asked(SHELL, GATE, PASS, RUNNER) == SessionAsks("")


def test_what_cannot_be_followed_or_sits_in_a_session_without_a_terminal_is_no_person() -> None:
    assert asked(SHELL, whole=False) == SessionAsks("")
    assert asked(SHELL, LOGIN, inside="feature-x") == SessionAsks("feature-x")


@given(st.sampled_from(Deed), st.sampled_from(["", "feature-x", "feature-y"]))
def test_a_person_may_do_all_and_a_session_nothing_to_others(deed: Deed, stream: str) -> None:
    assert not refused(Person(), deed, stream)
    assert refused(SessionAsks(""), deed, stream)
    assert refused(SessionAsks("feature-z"), deed, stream)
    assert refused(SessionAsks("feature-x"), deed, "feature-x") == (deed not in {Deed.STOP, Deed.FINISH})

"""The merge train on a real repository: what it costs, whom it blames, what it never lands."""

from __future__ import annotations

import pytest
from conftest import Repo

from actions.scripted import Yard, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


NAMES = [f"s{i}" for i in range(8)]


def test_eight_good_streams_cost_one_gate_run(repo: Repo) -> None:
    made = yard(repo)
    made.streams({name: {f"{name}.txt": name} for name in NAMES})
    made.run()
    assert made.landed() == NAMES
    assert len(made.runs()) == 1
    made.run()
    assert len(made.runs()) == 1

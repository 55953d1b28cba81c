"""Each step that a pass can decide on has the function that takes it."""

from __future__ import annotations

from typing import get_args, get_type_hints

from loki_hooks.actions.reconcile.apply import STEPS
from loki_hooks.domain.reconcile.steps import Step


def test_every_step_has_its_function() -> None:
    assert set(STEPS) == set(get_args(Step))
    for step, take in STEPS.items():
        assert get_type_hints(take)["step"] is step
    assert len(set(STEPS.values())) == len(STEPS)

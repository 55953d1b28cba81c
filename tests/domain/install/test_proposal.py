"""Which gate is proposed for which project."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.install.proposal import LOOKED_AT, propose


@pytest.mark.parametrize(
    ("files", "tests", "command"),
    [
        ({}, True, "python3 -m pytest -q"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n", "tox.ini": "[tox]\n"}, False, "python3 -m pytest -q"),
        ({"pytest.ini": "", "uv.lock": ""}, False, "uv run python -m pytest -q"),
        ({"tox.ini": "[testenv]\ncommands = x\n"}, True, "tox -q"),
        ({"package.json": '{"scripts": {"test": "vitest"}}'}, False, "npm test"),
        ({"package.json": '{"scripts": {"test": "vitest"}}', "pnpm-lock.yaml": ""}, False, "pnpm test"),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, False, None),
        ({"package.json": "[1]", "Cargo.toml": ""}, False, "cargo test"),
        ({"go.mod": ""}, False, "go test ./..."),
        ({"Makefile": "all:\n\ntest: all\n\techo\n"}, False, "make test"),
        ({"Makefile": "test := 1\ntested:\n"}, False, None),
        ({}, False, None),
    ],
)
def test_proposals(files: dict[str, str], tests: bool, command: str | None) -> None:
    found = propose(files, tests)
    assert (found.command if found else None) == command


@given(st.dictionaries(st.sampled_from(LOOKED_AT), st.text()), st.booleans())
def test_no_content_breaks_it(files: dict[str, str], tests: bool) -> None:
    propose(files, tests)

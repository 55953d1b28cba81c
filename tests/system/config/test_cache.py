"""What is kept of a parsed configuration is the same configuration, or it is not used."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import Repo, call
from support.scripted import turn_on, yard

import loki_hooks
from loki_hooks.domain.config import Config
from loki_hooks.system.config import load as configuration
from loki_hooks.system.config.cache import remembered
from loki_hooks.system.site import Site, discover

RICH = b"""
integration_branch = "trunk"
[merge]
how = {docs = "squash", qa = "pr"}
[session.kinds.docs]
read_dirs = ["*"]
[environment]
set = {DB = "{project}_{stream}"}
setup = ["sh", "-c", "true"]
[gates.unit]
command = "true"
timeout = 2.5
fingerprint = ["gcc-14"]
[gates.strange]
command = ["sh", "-c", "exit 1"]
unknown_key = 1
"""


@pytest.fixture
def site(repo: Repo) -> Site:
    turn_on(repo)
    return discover(repo.path)


def kept(site: Site) -> Path:
    (path,) = (site.private / "parsed").glob("*.json")
    return path


def again(site: Site) -> tuple[Config, bool]:
    """Return what is remembered, and whether it was parsed."""
    calls = []

    def parse() -> Config:
        calls.append(1)
        return configuration.parse(RICH, "x.toml")

    return remembered(site, RICH, "x.toml", parse), bool(calls)


def test_it_is_the_same_and_parsed_once(site: Site) -> None:
    whole = configuration.parse(RICH, "x.toml")
    assert whole.warnings
    assert again(site) == (whole, True)
    known, parsed = again(site)
    assert (known, parsed) == (whole, False)
    assert known.merge.how_of("qa").proposes, "a way to land comes back as one, not as its name"
    assert kept(site).stat().st_mode & 0o777 == 0o600
    for number in range(12):
        remembered(site, b"# %d" % number, "x.toml", Config)
    assert len(list((site.private / "parsed").glob("*.json"))) <= 8


def test_what_is_damaged_planted_or_from_elsewhere_is_not_used(site: Site) -> None:
    whole, _ = again(site)
    path = kept(site)
    known = json.loads(path.read_text())
    loose = known["value"].replace('"exit 1"', '"exit 0"')
    for text in (
        "",
        "{",
        json.dumps({**known, "value": loose}),
        json.dumps({**known, "code": "0" * 64}),
        '{"value": "1"}',
    ):
        path.write_text(text)
        assert again(site) == (whole, True)
    (site.private / "key").write_text("another clone's")
    assert again(site) == (whole, True)
    path.unlink()
    path.mkdir()
    assert again(site) == (whole, True), "what stands in its place only costs time"


def test_where_loki_is_not_on_nothing_is_kept(repo: Repo) -> None:
    site = discover(repo.path)
    again(site)
    assert not site.private.exists()


def test_a_push_whose_result_is_known_loads_no_parser(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    yard(repo)
    assert repo.loki("test").code == 0
    line = f"refs/heads/main {repo.git('rev-parse', 'main')} refs/heads/main {'0' * 40}\n"
    main = Path(loki_hooks.__file__).with_name("__main__.py")
    words = [sys.executable, "-I", "-X", "importtime", str(main), "hook", "pre-push", "origin", "x"]
    done = call(words, repo.path, stdin=line)
    assert done.code == 0, done.err
    loaded = {text.rpartition("|")[2].strip() for text in done.err.splitlines()}
    assert "loki_hooks.actions.gates.guard" in loaded
    assert loaded.isdisjoint({"pydantic", "click", "pygit2", "psutil", "tomllib", "loki_hooks.actions.gates.run"})

"""docs.auto and blog.auto: a round begins when items wait, lands like everything else, and its items close."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Repo
from support.scripted import Yard, yard

README = "# project\n\nCall `greet()` first.\n"
DOCS = """\
echo "$0" > /dev/null
sed -i 's/`greet()`/`greet(name)`/' README.md
git commit -qam 'Say greet with a name'
"""


def items(repo: Repo, queue: str = "docs") -> list[dict[str, Any]]:
    return list(json.loads(repo.loki("queue", "list", queue, "--json").out))


def record(at: Yard, stream: str) -> dict[str, Any]:
    state = json.loads((at.loki_dir / "state" / "orchestrator.json").read_text())
    return dict(state["worktrees"].get(stream, {}))


def finished(at: Yard, queue: str) -> list[dict[str, Any]]:
    found = [json.loads(p.read_text()) for p in (at.loki_dir / "queue" / queue / "done").glob("*.json")]
    return sorted(found, key=lambda item: str(item["queued_at"]))


def test_a_docs_round_begins_lands_and_rests_and_a_later_one_begins_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    repo.commit("Describe", {"README.md": README})
    at = yard(repo, more="[docs]\nauto = true")
    at.agent("docs", DOCS)
    at.run()
    assert record(at, "docs") == {}, "nothing waits: nothing begins"

    changed = repo.commit("Greet by name", {"app.py": "def greet(name):\n    return name\n"})
    at.run()
    at.quiet()
    assert "greet(name)" in repo.git("show", "main:README.md")
    assert repo.git("log", "-1", "--format=%(trailers:key=Loki-Stream,valueonly)", "main").strip() == "docs"
    assert items(repo) == []
    (item,) = finished(at, "docs")
    assert (item["symbol"], item["commit"], item["closed_by"]["stream"]) == ("greet", changed, "docs")
    assert not (repo.signals / "DOCS_NEEDED").exists()
    assert (record(at, "docs")["status"], record(at, "docs")["path"]) == ("watching", "")
    (archive,) = (at.loki_dir / "archive").glob("docs-*")
    prompt = (archive / "prompt.md").read_text()
    assert f"public-changed `greet` (item `{item['id']}`)" in prompt
    assert "`README.md:3`" in prompt

    # A document that is right as it is: nothing to commit, and that is no failure.
    at.agent("docs", f"for i in $({SCRIPT_IDS}); do loki-hooks queue done docs $i; done")
    repo.commit("Greet politely", {"app.py": "def greet(name, title=''):\n    return title + name\n"})
    at.run()
    at.quiet()
    assert items(repo) == []
    assert finished(at, "docs")[-1]["closed_by"]["how"] == "nothing had to be changed"
    assert not (repo.signals / "DOCS_NEEDED").exists()
    assert (record(at, "docs")["status"], record(at, "docs")["reason"]) == ("watching", "")
    assert [e["reason"] for e in at.events("session-failed")] == []

    # One that changes the code makes work, but not for itself.
    at.agent("docs", "echo 'def more(): ...' >> app.py; git commit -qam more")
    repo.commit("Greet twice", {"app.py": "def greet(name, title='', twice=False):\n    return title + name\n"})
    at.run()
    at.quiet()
    assert [(item["symbol"], item["stream"]) for item in items(repo)] == [("more", "docs")]
    assert record(at, "docs")["status"] == "watching"

    # One that fails stays for a person, and is not begun again by itself.
    at.agent("docs", "exit 1")
    repo.commit("Greet loudly", {"app.py": "def greet(name, title='', loud=False):\n    return title + name\n"})
    at.run()
    at.run()
    at.quiet()
    assert record(at, "docs")["status"] == "failed"
    assert len(at.events("session-failed")) == 1
    assert [item["state"] for item in items(repo)] == ["open"]
    assert (repo.signals / "DOCS_NEEDED").exists()


SCRIPT_IDS = "loki-hooks queue list docs --json | python3 -c 'import json, sys; [print(i[\"id\"]) for i in json.load(sys.stdin)]'"


POST = """\
for i in $(%s); do printf -- '---\\ndraft: true\\nitem: %%s\\n---\\n# A post\\n' "$i" > "blog/$i.md"; done
git add blog
git commit -qm 'Draft what is worth telling'
"""


def told(repo: Repo) -> dict[tuple[str, str], dict[str, Any]]:
    there = "BLOG_POST_QUEUED" in {p.name for p in repo.signals.iterdir()}
    found = {(i["trigger"], i["symbol"]): i for i in items(repo, "blog")}
    assert there is bool(found)
    return found


def test_what_is_worth_telling_waits_with_its_material_and_is_drafted(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")
    at = yard(repo)
    repo.commit("feat: before there was a blog")
    repo.git("tag", "v0.9.0")
    at.run("--once")
    assert told(repo) == {}
    repo.commit("Begin a blog", {"blog/hello.md": "# Hello\n"})
    at.run("--once")

    by = "\n\nCo-authored-by: Ada <ada@example.invalid>\nCo-authored-by: dependabot[bot] <bot@example.invalid>"
    repo.commit(f"feat(app): wave{by}", {"app.py": "def wave():\n    return 1\n"})
    repo.commit("perf: load faster\n\nFrom 120 ms to 40 ms, 3x as fast.", {"load.py": "LOAD = 1\n"})
    repo.commit("perf: load a little faster", {"load.py": "LOAD = 2\n"})
    fixed = repo.commit("fix: no more leaks (CVE-2026-12345)", {"load.py": "LOAD = 3\n"})
    at.run("--once")
    found = told(repo)
    assert set(found) == {("feature", "wave"), ("performance", "load faster")}
    wave, faster = found["feature", "wave"], found["performance", "load faster"]
    assert (wave["people"], wave["folder"]) == (["Test", "Ada"], "blog")
    assert faster["figures"] == ["120 ms", "40 ms", "3x"]

    # What git hooks do not see: tags, and what somebody says.
    repo.git("tag", "v1.0.0")
    repo.git("tag", "1.0.0")  # the same release
    for words in ("1,000 users", "a talk", "1,000 users"):
        done = repo.loki("signal", "emit", "BLOG_POST_QUEUED", "--about", words)
        assert done.code == 0, done.err
    at.run("--once")
    found = told(repo)
    security = "no more leaks (CVE-2026-12345) (1.0.0)"
    assert set(found) - {("feature", "wave"), ("performance", "load faster")} == {
        ("milestone", "1.0.0"),
        ("milestone", "1,000 users"),
        ("milestone", "a talk"),
        ("security", security),
    }
    assert found["security", security]["commit"] == fixed
    subjects = [c["subject"] for c in found["milestone", "1.0.0"]["commits"]]
    assert subjects == ["perf: load a little faster", "perf: load faster", "feat(app): wave"]
    at.run("--once")
    assert set(told(repo)) == set(found), "a tag is told of once"

    # A post that names its item, or its version, publishes it; the rest is drafted by the blog stream.
    repo.commit("Post", {"blog/one.md": f"---\nitem: {wave['id']}\n---\n", "blog/v1.0.0.md": "# 1.0.0 is out\n"})
    at.run("--once")
    left = {("performance", "load faster"), *(("milestone", words) for words in ("1,000 users", "a talk"))}
    left |= {("security", security)}
    assert set(told(repo)) == left
    at.agent("blog", POST % SCRIPT_IDS.replace("list docs", "list blog"))
    text = (repo.path / "loki-hooks.toml").read_text()
    repo.commit("Draft by itself", {"loki-hooks.toml": f"{text}\n[blog]\nauto = true\n"})
    at.run()
    at.quiet()
    assert told(repo) == {}
    assert {f"blog/{faster['id']}.md", "blog/one.md"} <= at.on_main()
    assert record(at, "blog")["status"] == "watching"
    repo.commit("docs!: feat of words", {"blog/two.md": "# Two\n"})
    repo.commit("feat: a post", {"blog/three.md": "# Three\n"})
    at.run("--once")
    assert told(repo) == {}, "what is written is not told of"
    (archive,) = (at.loki_dir / "archive").glob("blog-*")
    prompt = (archive / "prompt.md").read_text()
    assert "- figure: 40 ms" in prompt
    assert "1,000 users" in prompt

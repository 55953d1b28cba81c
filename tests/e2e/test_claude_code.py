"""The real Claude Code in a spawned worktree, against a loopback server that speaks the Messages API.

https://docs.anthropic.com/en/api/messages-streaming has the events. The server asks for one run of the client's Bash
tool, which writes, tests and commits a change, and ends with a text.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Repo, call, eventually
from support.clients import npm_client

from loki_hooks.system.locks import hold

pytestmark = [pytest.mark.extra, pytest.mark.network]

TASK = "Teach app.py to say goodbye, with a test"
WORK = """\
set -e
cat >> app.py <<'END'


def part():
    return 'goodbye'
END
cat > test_app.py <<'END'
import unittest

import app


class Saying(unittest.TestCase):
    def test_goodbye(self):
        self.assertEqual(app.part(), 'goodbye')
END
python3 -m unittest -q test_app
git add app.py test_app.py
git commit -q -m 'Say goodbye'
pwd
"""
SAID = "I taught it to say goodbye."
CONFIG = """\
[session.rate_limit]
wait = 1
[environment]
setup = false
[gates.unit]
command = "python3 -m unittest -q test_app"
"""


class Provider(ThreadingHTTPServer):
    """Answers as the Messages API does, and keeps what it was asked. ``refuse``: so many requests get status 429 first."""

    daemon_threads = True

    def __init__(self, refuse: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refuse = refuse
        self.asked: list[dict[str, Any]] = []
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Return the content block to answer with, None to turn the client away."""
        with self.guard:
            if self.refuse:
                self.refuse -= 1
                return None
            self.asked.append(asked)
        tools = {tool.get("name") for tool in asked.get("tools", [])}
        if "Bash" in tools and '"tool_result"' not in json.dumps(asked["messages"]):
            return {
                "type": "tool_use",
                "id": "toolu_01",
                "name": "Bash",
                "input": {"command": WORK, "description": "Write, test and commit the change"},
            }
        return {"type": "text", "text": SAID}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._send(200, "text/plain", b"")

    def do_GET(self) -> None:
        self._send(404, "application/json", b"{}")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if not self.path.partition("?")[0].endswith("/messages"):
            self._send(200, "application/json", b'{"input_tokens": 1}')
            return
        block = self.server.answer(asked)
        if block is None:
            error = {
                "type": "error",
                "error": {"type": "rate_limit_error", "message": "This request would exceed your rate limit"},
            }
            self._send(429, "application/json", json.dumps(error).encode())
            return
        stop = "tool_use" if block["type"] == "tool_use" else "end_turn"
        head = {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": asked.get("model"),
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        if not asked.get("stream"):
            self._send(200, "application/json", json.dumps({**head, "content": [block], "stop_reason": stop}).encode())
            return
        self._send(
            200,
            "text/event-stream",
            b"".join(
                f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
                for event in _events(head, block, stop)
            ),
        )


def _events(head: dict[str, Any], block: dict[str, Any], stop: str) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**head, "content": [], "stop_reason": None}}
    if block["type"] == "tool_use":
        text = json.dumps(block["input"])
        yield {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}}
        for at in range(0, len(text), 200):
            yield {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": text[at : at + 200]},
            }
    else:
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": block["text"]}}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": {"output_tokens": 9},
    }
    yield {"type": "message_stop"}


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    server = Provider(refuse=getattr(request, "param", 0))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(provider: Provider, shared: Path, sealed_home: Path) -> Iterator[dict[str, str]]:
    """The environment in which the preset's command is the real client, talking to our server.

    One test at a time has it: two clients that start from one installation have been seen to take it from each other.
    """
    folder = npm_client(shared, "claude")
    env = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "ANTHROPIC_BASE_URL": provider.url,
        "ANTHROPIC_API_KEY": "none",
        "IS_SANDBOX": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    with hold(shared / "claude-runs.lock"):
        yield env


def status_of(repo: Repo) -> str:
    state = json.loads((repo.path / ".loki" / "state" / "orchestrator.json").read_text())
    return str(state["worktrees"].get("feature-farewell", {}).get("status", ""))


def events_of(repo: Repo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (repo.path / ".loki" / "state" / "events.jsonl").read_text().splitlines()]


def logs_of(repo: Repo) -> str:
    return "".join(p.read_text(errors="replace") for p in (repo.path / ".loki").rglob("session-feature-farewell.log*"))


def spawn(repo: Repo, client: dict[str, str]) -> None:
    repo.commit("Configure", {"loki-hooks.toml": CONFIG})
    done = repo.loki("install", "--native")
    assert done.code == 0, done.err
    repo.commit("Turn loki-hooks on")
    done = repo.loki("spawn", "farewell", "--task", TASK, env=client)
    assert done.code == 0, done.err


def lands(repo: Repo) -> None:
    eventually(
        lambda: status_of(repo) in {"archived", "failed", "escalated", "rejected"},
        120,
        f"it to land: {status_of(repo)}",
    )
    assert status_of(repo) == "archived", (events_of(repo)[-3:], logs_of(repo)[-2000:])
    assert "goodbye" in repo.git("show", "main:app.py")
    assert repo.git("log", "-1", "--format=%s", "main^2") == "Say goodbye"
    assert len(repo.git("log", "-1", "--format=%P", "main").split()) == 2


def test_claude_code_works_in_its_worktree_and_the_stream_lands(
    repo: Repo, provider: Provider, client: dict[str, str]
) -> None:
    spawn(repo, client)
    lands(repo)
    worked = [asked for asked in provider.asked if any(tool.get("name") == "Bash" for tool in asked.get("tools", []))]
    first, last = json.dumps(worked[0]["messages"]), json.dumps(worked[-1]["messages"])
    assert TASK in first
    assert "CONTINUITY.md" in first
    assert '"tool_result"' in last
    assert str(repo.path.parent / "project-feature-farewell") in last, "its shell was in the worktree"
    assert SAID in logs_of(repo)
    assert not (repo.path.parent / "project-feature-farewell").exists()
    assert "feature/farewell" not in repo.git("branch", "--list")


@pytest.mark.parametrize("provider", [1], indirect=True)
def test_claude_code_that_is_turned_away_is_started_again(
    repo: Repo, provider: Provider, client: dict[str, str]
) -> None:
    spawn(repo, client)
    lands(repo)
    (away,) = [event for event in events_of(repo) if event["event"] == "turned-away"]
    assert "429" in away["detail"] or "rate limit" in away["detail"]


def test_the_worktree_that_claude_code_makes_itself_lands_by_its_word_and_is_stopped_red(
    repo: Repo, client: dict[str, str]
) -> None:
    """With nothing but `install`: its own folder, its own branch, no edit of the configuration's templates."""
    repo.commit("Configure", {"loki-hooks.toml": CONFIG})
    assert repo.loki("install", "--native").code == 0
    repo.commit("Turn loki-hooks on")
    words = ["claude", "--worktree", "farewell", "--dangerously-skip-permissions", "-p", TASK]
    done = call(words, repo.path, client)
    assert done.code == 0, done

    def adopted() -> dict[str, Any] | None:
        streams = json.loads(repo.loki("status", "--json").out)["streams"]
        return next((s for s in streams if s["branch"] == "worktree-farewell"), None)

    eventually(adopted, 30, f"its worktree to be adopted: {repo.git('worktree', 'list')}")
    found = adopted()
    assert found is not None
    assert (found["name"], found["path"]) == (
        "worktree-farewell",
        str(repo.path / ".claude" / "worktrees" / "farewell"),
    )
    assert repo.git("log", "-1", "--format=%s", "worktree-farewell") == "Say goodbye"
    done = repo.loki("signal", "emit", "FEATURE_READY_worktree-farewell", cwd=Path(found["path"]))
    assert done.code == 0, done
    assert repo.loki("run").code == 0
    assert "goodbye" in repo.git("show", "main:app.py")
    repo.commit("Break it", {"app.py": "def greet():\n    return 1 / 0\n"}, cwd=Path(found["path"]))
    eventually(lambda: (adopted() or {}).get("status") == "open", 30, "new work to be seen")
    assert repo.loki("finish", "worktree-farewell", "--merge").code == 1
    assert "goodbye" in repo.git("show", "main:app.py")
    assert Path(found["path"]).is_dir()

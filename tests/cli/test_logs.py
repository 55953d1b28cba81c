"""`loki-hooks logs`: a session's output, whole to a pipe, tamed for a terminal, followed to the session's end."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, eventually
from hypothesis import given
from hypothesis import strategies as st

from cli.test_frame import on_a_terminal
from loki_hooks.cli.logs_command import _UNFINISHED, for_terminal
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.site import Site, discover
from loki_hooks.system.store.state import StateStore

LOKI = str(SCRIPTS / "loki-hooks")
NASTY = b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J \xff \x9b \xc2\x9b2J one\rtwo\r\nthree\n"


@pytest.fixture
def site(repo: Repo) -> Site:
    found = discover(repo.path)
    found.enable("test")
    return found


def put(site: Site, record: StreamRecord) -> Path:
    StateStore(site).update(lambda s: s.with_stream(record))
    return site.folder("logs") / f"session-{record.stream}.log"


AUTH = StreamRecord("feature", "auth", Status.FAILED, branch="feature/auth")


def test_a_stream_is_known_by_name_id_and_branch(repo: Repo, site: Site) -> None:
    log = put(site, AUTH)
    log.write_bytes(NASTY)
    for word in ("auth", "feature-auth", "feature/auth"):
        done = subprocess.run([LOKI, "logs", word], cwd=repo.path, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, NASTY, b""), "a pipe gets the bytes as they are"
    assert repo.loki("logs", "auth", "--path").out == f"{log}\n"


def test_an_unknown_stream_names_the_nearest(repo: Repo, site: Site) -> None:
    put(site, AUTH)
    done = repo.loki("logs", "auht")
    assert done.code == 2
    assert "did you mean auth?" in done.err
    for hostile in ("../../../etc/passwd", "x\ny", ""):
        assert repo.loki("logs", hostile).code == 2


def test_without_a_log_it_says_why(repo: Repo, site: Site) -> None:
    put(site, replace(AUTH, status=Status.QUEUED))
    done = repo.loki("logs", "auth")
    assert (done.code, done.out) == (1, "")
    assert "waits for a free place" in done.err


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_no_plain_file_is_no_log(repo: Repo, site: Site, kind: str) -> None:
    log = put(site, AUTH)
    if kind == "link":
        log.symlink_to(repo.path / "app.py")
    elif kind == "folder":
        log.mkdir()
    else:
        os.mkfifo(log)
    done = repo.loki("logs", "auth")
    assert (done.code, done.out) == (1, "")


def test_a_terminal_gets_colours_and_nothing_else_to_obey(repo: Repo, site: Site) -> None:
    put(site, AUTH).write_bytes(NASTY)
    shown = on_a_terminal([LOKI, "logs", "auth"], repo.path)
    assert shown == "\x1b[31mred\x1b[0m \\x1b]0;title\\x07 \\x1b[2J � � \\x9b2J one\ntwo\nthree\n\x1b[0m"


@given(st.text(alphabet="\x1b[]0;31mJ\x07\r\n\tab\x9b", max_size=40))
def test_no_text_drives_a_terminal_however_it_is_cut(text: str) -> None:
    shown = for_terminal(text)
    assert all(c.isprintable() or c in "\n\t" for c in re.sub(r"\x1b\[[0-9;:]*m", "", shown))
    for cut in range(len(text)):
        head = text[:cut]
        unfinished = _UNFINISHED.search(head)
        at = unfinished.start() if unfinished else cut
        assert for_terminal(text[:at]) + for_terminal(text[at:]) == shown


def test_follow_goes_on_until_the_session_has_ended(repo: Repo, site: Site) -> None:
    """The log grows, a new run's log takes its place, and the last words of the session are not lost."""
    script = (
        "import os, sys\nlog = sys.argv[1]\n"
        "def say(t):\n    open(log, 'ab').write(t)\n"
        "sys.stdin.readline(); say(b'one\\n')\n"
        "sys.stdin.readline(); os.rename(log, log + '.1'); say(b'two\\n')\n"
        "sys.stdin.readline(); say(b'last words\\xff')\n"
    )
    log = put(site, AUTH)
    session = subprocess.Popen([sys.executable, "-c", script, str(log)], stdin=subprocess.PIPE, text=True)
    put(site, replace(AUTH, status=Status.RUNNING, session=identify(session.pid)))
    out = repo.path.parent / "followed"
    with out.open("wb") as sink:
        following = subprocess.Popen(
            [LOKI, "logs", "auth", "-f"], cwd=repo.path, stdout=sink, stderr=subprocess.PIPE, text=True
        )
    assert following.stderr is not None
    assert "has not begun" in following.stderr.readline()
    assert session.stdin is not None
    for words in (b"one\n", b"one\ntwo\n"):
        session.stdin.write("\n")
        session.stdin.flush()
        eventually(functools.partial(_holds, out, words), 20)
        assert following.poll() is None
    session.communicate("\n", timeout=20)
    following.communicate(timeout=20)
    assert following.returncode == 0
    assert out.read_bytes() == b"one\ntwo\nlast words\xff"


def _holds(file: Path, content: bytes) -> bool:
    return file.read_bytes() == content


def test_follow_of_a_session_that_is_over_shows_it_and_ends(repo: Repo, site: Site) -> None:
    put(site, AUTH).write_text("done\n")
    begun = time.monotonic()
    done = repo.loki("logs", "auth", "-f", timeout=20)
    assert (done.code, done.out) == (0, "done\n")
    assert time.monotonic() - begun < 15

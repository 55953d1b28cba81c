"""The frame of the command line: what is loaded, how errors look, which exit code follows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import SCRIPTS, Done, Repo, call
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks import __version__
from loki_hooks.cli.console import json_text, printable
from loki_hooks.cli.main import COMMANDS

BOOM = """
import os, sys, types
import click
from loki_hooks.cli import main
from loki_hooks.cli.console import answer, say, table
from loki_hooks.errors import *

@click.command("boom")
def boom():
    {body}

module = types.ModuleType("loki_hooks.cli.boom_command")
module.boom = boom
sys.modules[module.__name__] = module
main.COMMANDS["boom"] = "Do as the test says."
sys.exit(main.run_cli(["boom"]))
"""


def boom(cwd: Path, body: str, env: dict[str, str] | None = None) -> Done:
    """Run a command whose body is ``body`` inside the real frame."""
    return call([sys.executable, "-c", BOOM.format(body=body.replace("\n", "\n    "))], cwd, env)


def test_help_lists_every_command_and_imports_none(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom loki_hooks.cli.main import run_cli\ncode = run_cli(['--help'])\n"
        "print([m for m in sys.modules if m.endswith('_command')], [h for h in "
        "('rich', 'pydantic', 'pygit2', 'psutil', 'jinja2', 'ruamel') if h in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = call([sys.executable, "-c", code], tmp_path)
    assert (done.code, done.err) == (0, "[] []\n")
    listed = [line.split()[0] for line in done.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == list(COMMANDS)


def test_a_command_loads_only_itself(repo: Repo) -> None:
    code = (
        "import sys\nfrom loki_hooks.cli.main import run_cli\nrun_cli(['signal', 'list'])\n"
        "print([m for m in sys.modules if m.endswith('_command')], "
        "[h for h in ('rich', 'pydantic', 'pygit2', 'psutil', 'jinja2') if h in sys.modules])"
    )
    done = call([sys.executable, "-c", code], repo.path)
    assert done.out == "['loki_hooks.cli.signal_command'] []\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there_under_its_name_and_has_help(command: str, tmp_path: Path) -> None:
    done = call([str(SCRIPTS / "loki-hooks"), command, "--help"], tmp_path, {"TMPDIR": str(tmp_path)})
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: loki-hooks {command} ")


def test_the_version_is_the_packages(repo: Repo) -> None:
    assert repo.loki("--version").out == f"loki-hooks {__version__}\n"


def test_without_words_the_help_goes_to_stderr(repo: Repo) -> None:
    done = repo.loki()
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err
    assert repo.loki("queue").code == 2


def test_an_unknown_command_names_the_nearest(repo: Repo) -> None:
    done = repo.loki("spwan", "x")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "loki-hooks: there is no command 'spwan'",
        "hint: did you mean `loki-hooks spawn`? `loki-hooks --help` lists them all",
    ]
    hostile = repo.loki("\x1b[31m\nx")
    assert hostile.code == 2
    assert "\x1b" not in hostile.err
    assert len(hostile.err.splitlines()) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--nope"],
        ["signal", "emit"],
        ["signal", "nope"],
        ["queue", "list", "docs", "--nope"],
        ["signal", "wait", "TESTS_PASSED", "--timeout", "soon"],
    ],
)
def test_wrong_usage_is_exit_2_in_the_same_form(repo: Repo, words: list[str]) -> None:
    done = repo.loki(*words)
    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith("loki-hooks: ")
    assert second.startswith("hint: try `loki-hooks")


def test_where_loki_is_not_on_it_says_what_to_do(repo: Repo, tmp_path: Path) -> None:
    done = repo.loki("signal", "list")
    assert done.code == 1
    assert "hint: turn it on with `loki-hooks install`" in done.err
    assert repo.loki("signal", "list", cwd=tmp_path).code == 1
    assert not (repo.path / ".loki").exists()


def test_an_error_of_ours_shows_what_and_a_hint_line_by_line(tmp_path: Path) -> None:
    done = boom(tmp_path, "raise BadInputError('two errors:\\n  a\\n  b\\x1b[2J', 'mend\\tthem')")
    assert (done.code, done.out) == (2, "")
    assert done.err == "loki-hooks: two errors:\n  a\n  b\\x1b[2J\nhint: mend\tthem\n"
    assert boom(tmp_path, "raise RefusedError('no')").err == "loki-hooks: no\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("pass", 0),
        ("return 1", 1),
        ("return 0", 0),
        ("sys.exit(1)", 1),
        ("raise RefusedError('no')", 1),
        ("raise BadInputError('no')", 2),
        ("raise click.UsageError('no')", 2),
        ("raise KeyboardInterrupt", 130),
        ("raise click.Abort", 130),
        ("click.get_current_context().exit(1)", 1),
        ("raise BrokenPipeError", 1),
        ("raise ValueError", 3),
        ("raise IllegalMoveError('no')", 3),
        ("sys.exit('words')", 1),
    ],
)
def test_each_end_has_its_exit_code(tmp_path: Path, body: str, code: int) -> None:
    assert boom(tmp_path, body, {"TMPDIR": str(tmp_path)}).code == code


def test_our_bug_is_exit_3_with_a_log_in_the_repository(repo: Repo) -> None:
    (repo.path / ".git" / "loki").mkdir()
    (repo.path / ".git" / "loki" / "enabled").write_text("test\n")
    done = boom(repo.path, "raise RuntimeError('it broke')")
    (log,) = (repo.path / ".loki" / "logs").glob("crash-*.log")
    assert done.code == 3
    assert "it broke" in done.err
    assert "Traceback" not in done.err
    assert str(log) in done.err
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert repo.git("status", "--porcelain") == ""


def test_our_bug_outside_of_a_repository_is_kept_in_a_temporary_file(repo: Repo, tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    for folder in (tmp_path, repo.path):  # in a repository where loki is not on, nothing is written either
        done = boom(folder, "raise RuntimeError('it broke')", {"TMPDIR": str(place)})
        assert done.code == 3
        (log,) = place.iterdir()
        assert str(log) in done.err
        assert "it broke" in log.read_text()
        log.unlink()
    assert not (repo.path / ".loki").exists()


def test_a_reader_that_leaves_is_met_with_silence(tmp_path: Path) -> None:
    """click flushes each line, print only at the end: the answer is the same."""
    for body in ("click.echo('x' * 100_000)", "answer('x' * 100_000)", "answer('x')"):
        code = BOOM.format(body=f"import time; time.sleep(0.2); {body}")
        done = call(["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "bash", sys.executable, "-c", code], tmp_path)
        assert (done.code, done.err) == (1, "")


def test_ctrl_c_is_130_and_one_line(repo: Repo) -> None:
    (repo.path / ".git" / "loki").mkdir()
    (repo.path / ".git" / "loki" / "enabled").write_text("test\n")
    waiting = subprocess.Popen(
        [str(SCRIPTS / "loki-hooks"), "signal", "wait", "TESTS_PASSED_x"],
        cwd=repo.path,
        stderr=subprocess.PIPE,
        text=True,
    )
    process, sleeps = psutil.Process(waiting.pid), 0
    while sleeps < 10:  # what still starts and imports is runnable now and then, however little it gets to run
        time.sleep(0.1)
        sleeps = sleeps + 1 if process.status() == psutil.STATUS_SLEEPING else 0
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 130
    assert err.strip() == "loki-hooks: interrupted"


def test_a_table_into_a_pipe_is_plain_and_whole(tmp_path: Path) -> None:
    wide = "x" * 500
    rows = [("a", wide), ("[b]bold[/b] :smile:", "two\nlines\x1b[2J"), (None, 3)]
    done = boom(tmp_path, f"table(('name', 'what'), {rows!r})")
    assert done.out.splitlines() == [
        "name                 what",
        f"a                    {wide}",
        "[b]bold[/b] :smile:  two\\nlines\\x1b[2J",
        "                     3",
    ]


def test_a_table_on_a_terminal_fits_it(tmp_path: Path) -> None:
    code = BOOM.format(body="table(('name', 'what'), [('a', 'word ' * 60)])")
    env = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    lines = on_a_terminal([sys.executable, "-c", code], tmp_path, env).splitlines()
    assert len(lines) > 4
    assert "word" in lines[-1]


def on_a_terminal(argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run ``argv`` with its stdout on a terminal and return what the terminal got."""
    ours, theirs = os.openpty()
    child = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    got = b""
    with os.fdopen(ours, "rb", buffering=0) as stream:
        while True:
            try:
                chunk = stream.read(4096)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not chunk:
                break
            got += chunk
    child.wait(timeout=20)
    return got.decode("utf-8", "replace").replace("\r\n", "\n")


def test_bytes_that_are_no_utf8_pass_through_an_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOOM.format(body="answer(os.fsdecode(b'/w/\\xff'))")], cwd=tmp_path, capture_output=True
    )
    assert done.stdout == b"/w/\xff\n"


@given(st.text(max_size=60))
def test_what_is_printed_never_drives_a_terminal(text: str) -> None:
    assert printable(text, keep="").isprintable()
    assert all(c.isprintable() or c in "\n\t" for c in printable(text))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=30),
        lambda i: st.lists(i, max_size=4) | st.dictionaries(st.text(max_size=8), i, max_size=4),
        max_leaves=12,
    )
)
def test_a_json_answer_is_one_document_of_printable_characters(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert all(c.isprintable() or c == "\n" for c in text)


def test_a_json_list_has_an_item_a_line() -> None:
    assert json_text([]) == "[]"
    assert json_text({"a": 1}) == '{"a": 1}'
    assert json_text([{"a": "x" * 60}, {"a": "y" * 60}]).count("\n") == 3

"""The front door for people: one lazy group, one error handler, one meaning for each exit code.

Exit codes: 0 done; 1 a finding or a refusal; 2 wrong usage or bad input; 3 our own bug, with the path of a log;
130 interrupted. A command returns nothing, returns one of these, or raises.

A command's module is imported when that command runs (or shows its own help), never for the list of commands:
the names and one-line texts stand in a table here, and a test compares them with the commands themselves.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import io
import os
import sys

import click

from loki_hooks import __version__
from loki_hooks.cli.console import PROGRAM, hint, say
from loki_hooks.domain.names import nearest, shown
from loki_hooks.domain.secrets import without_credentials
from loki_hooks.errors import LokiError

_AS_IT_CAN = "loki-as-it-can"
OUR_BUG = 3
INTERRUPTED = 130

COMMANDS: dict[str, str] = {
    "install": "Turn loki-hooks on in this repository.",
    "uninstall": "Take the hooks out and put everything back as it was.",
    "doctor": "Look for what is broken, prove it, and repair what is safe.",
    "trust": "Allow what this repository's configuration runs.",
    "plan": "Show what would become of a list of tasks.",
    "spawn": "Start agent sessions, each in a worktree of its own.",
    "cap": "Print how many sessions may run now.",
    "status": "Show the streams, and what each of them waits for.",
    "logs": "Print what a stream's session has printed.",
    "stop": "End a stream's session, or take its merge back; its work stays.",
    "resume": "Go on with a stream that ended unfinished.",
    "signal": "Emit, list, clear or wait for signals.",
    "test": "Run the gates on streams and show the results.",
    "run": "Do the next right things until nothing is left to do.",
    "queue": "List, claim or finish the items of a queue.",
    "sync": "Bring a stream up to date with the integration branch.",
    "finish": "End a stream: merge it, propose it, keep it, or give it up.",
    "lock": "Run a command that only one stream may run at a time.",
    "cleanup": "Remove the worktrees of streams that are finished.",
    "restore": "Bring back what was removed.",
    "report": "Print what has happened, and go on as it happens.",
    "completion": "Print the script by which a shell completes our commands.",
    "demo": "Watch the whole journey in a scratch repository.",
}
"""Name → one-line help, in the order of a journey. The command is ``<name>`` in ``loki_hooks.cli.<name>_command``."""


class LazyGroup(click.Group):
    """The group of all commands, which imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in COMMANDS:
            return None
        found = getattr(importlib.import_module(f"loki_hooks.cli.{cmd_name}_command"), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in COMMANDS and not word.startswith("-"):
            near = nearest(word, COMMANDS)
            meant = f"did you mean `{PROGRAM} {near}`? " if near else ""
            raise _UsageWithHintError(f"there is no command {shown(word)}", f"{meant}`{PROGRAM} --help` lists them all")
        return super().resolve_command(ctx, args)


class _UsageWithHintError(click.UsageError):
    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def commands() -> None:
    """Let many coding-agent sessions work on one repository at once, each in its own git worktree.

    Git's own hooks do the coordination; there is no server. Begin with `loki-hooks install`, then
    `loki-hooks spawn NAME --task "..."`, and look with `loki-hooks status`.
    """


def run_cli(args: list[str] | None = None) -> int:
    """Run the command line ``args`` (default: this process's) and return the exit code. Raises nothing."""
    codecs.register_error(_AS_IT_CAN, _write_as_it_can)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # bytes of a path that are no UTF-8 come out as they went in
            stream.reconfigure(errors=_AS_IT_CAN if stream is sys.stdout else "backslashreplace")
    words = sys.argv[1:] if args is None else args
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our answer left: nothing to say, and nobody to say it to
        _silence_stdout()
        return 1
    return code


def _write_as_it_can(error: UnicodeError) -> tuple[str | bytes, int]:
    """Say for ``codecs.register_error`` how a character is written that stdout's encoding does not have."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def _run(words: list[str]) -> int:
    try:
        if not words and not os.environ.get("_LOKI_HOOKS_COMPLETE"):
            click.echo(commands.get_help(commands.make_context(PROGRAM, [], resilient_parsing=True)), err=True)
            return 2
        _leave_trust_outside()
        result = commands.main(args=words, prog_name=PROGRAM, standalone_mode=False)
    except LokiError as error:
        return _tell(error)
    except click.ClickException as error:
        return _tell_usage(error)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return INTERRUPTED
    except SystemExit as ending:
        if isinstance(ending.code, str):
            say(ending.code)
            return 1
        return ending.code or 0
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  the one place that turns our own bugs into exit 3
        _tell_bug(f"this is a bug in {PROGRAM}: {type(error).__name__}: {error}")
        return OUR_BUG
    return result if type(result) is int else 0


def _leave_trust_outside() -> None:
    """Take LOKI_TRUST=1 out of our environment in a session: the workers that we start could not tell where it is from."""
    if os.environ.get("LOKI_TRUST") != "1":
        return
    from loki_hooks.system.site import discover
    from loki_hooks.system.store.asker import in_session

    with contextlib.suppress(LokiError):
        if in_session(discover()):
            del os.environ["LOKI_TRUST"]


def _tell(error: LokiError) -> int:
    if error.exit_code == OUR_BUG:
        _tell_bug(error.message)
    else:
        say(error.message)
    if error.hint:
        hint(error.hint)
    return error.exit_code


def _tell_usage(error: click.ClickException) -> int:
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # click >= 8.2: the message is the help
        click.echo(error.format_message(), err=True)
        return error.exit_code
    say(error.format_message())
    if isinstance(error, _UsageWithHintError):
        hint(error.advice)
    elif isinstance(error, click.UsageError) and error.ctx is not None:
        hint(f"try `{error.ctx.command_path} --help`")
    return error.exit_code


def _tell_bug(message: str) -> None:
    import traceback

    path = _write_crash_log(without_credentials(traceback.format_exc()))
    say(message if path is None else f"{message}\nthe details are in {path}")


def _write_crash_log(trace: str) -> str | None:
    """Keep ``trace`` where loki keeps its logs, else in a temporary file; return its path, or None when neither can be.

    Only the traceback and the command's name go in: arguments may hold a task's text, the environment may hold secrets.
    """
    python = sys.version.split()[0]
    text = f"{PROGRAM} {__version__}, Python {python}, {sys.platform}\n\n{trace}"
    with contextlib.suppress(Exception):
        from loki_hooks.system.clock import stamp
        from loki_hooks.system.files import write_atomic
        from loki_hooks.system.site import require_enabled

        path = require_enabled().folder("logs") / f"crash-{stamp()}.log"
        write_atomic(path, text, mode=0o600)
        return str(path)
    with contextlib.suppress(Exception):
        import tempfile

        handle, name = tempfile.mkstemp(prefix=f"{PROGRAM}-crash-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return name
    return None


def _silence_stdout() -> None:
    """Point stdout at nothing, so that Python's own flush at exit does not complain."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)

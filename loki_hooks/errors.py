"""The error tree. Every error a person can meet says what happened, what to do, and which exit code follows.

Exit codes (documented in the README): 1 a finding or a refusal, 2 wrong usage or bad input, 3 our own bug.
"""

from __future__ import annotations


class LokiError(Exception):
    """Something a person must know about. ``message`` says what, ``hint`` says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInputError(LokiError):
    """What was typed, configured or handed over cannot be meant: nothing was done."""

    exit_code = 2


class RefusedError(LokiError):
    """What was asked is possible, but a promise forbids it now: nothing was done."""


class NotEnabledError(RefusedError):
    """loki-hooks is not on in this repository, or there is no repository."""


class GitFailedError(LokiError):
    """A git command ended in a way that its caller did not expect."""

    def __init__(self, argv: tuple[str, ...], returncode: int, stderr: str) -> None:
        self.argv = argv
        self.returncode = returncode
        self.stderr = stderr
        why = why_line(stderr) if stderr.strip() else f"exit status {returncode}"
        while argv[:1] == ("-c",):  # settings are no help to the reader
            argv = argv[2:]
        super().__init__(f"`git {' '.join(argv)}` failed: {why}")


class SetupFailedError(LokiError):
    """A worktree's own set-up did not come to a good end: nothing was run in it."""


class IllegalMoveError(LokiError):
    """A stream was about to move between two statuses that the table does not connect."""

    exit_code = 3


class StateConflictError(LokiError):
    """The state file could not be published: others kept changing it, or it cannot be written."""


class InterruptedRunError(LokiError):
    """The run was told to stop: it has no result."""


def why_line(text: str) -> str:
    """Return the line of what git said that tells why: the first of its ``fatal:``, ``error:``, ``remote:`` or ``!``
    lines, else the last that is not blank. What follows the first is advice and consequence.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    why = (line for line in lines if line.startswith(_WHY) and line not in _WHY)
    return next(why, lines[-1] if lines else "no reason given")


_WHY = ("fatal:", "error:", "remote:", "!")

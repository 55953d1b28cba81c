"""The error tree. Every error a person can meet says what happened, what to do, and which exit code follows.

Exit codes (documented in the README): 1 a finding or a refusal, 2 wrong usage or bad input, 3 our own bug.
"""

from __future__ import annotations

import re

_TELLS = re.compile(r"(?:fatal|error|remote|ERROR|CONFLICT\b[^:]*):\s*\S|!\s")
_CHATTER = re.compile(
    r"hint:|warning:|From |To |Preparing |Cloning |Updating |Switched |HEAD is now |usage:"
    r"|remote:\s*(?:$|Enumerating|Counting|Compressing|Resolving|Total|Processing)"
)
_VAGUE = re.compile(
    r"remote end hung up|[Cc]ould not read from remote|failed to write commit object|failed to sign"
    r"|external filter|filter \S+ failed|early EOF|index-pack"
)
_AT_MOST = 300


def reason_in(said: str) -> str:
    """Return why a program failed, as one line out of what it said: the first line that tells, not the last.

    Where that line names no cause (`the remote end hung up`), the program behind git said it in the line before.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    spoken = [line for line in lines if not _CHATTER.match(line)]
    at = next((i for i, line in enumerate(spoken) if _TELLS.match(line)), None)
    if at is None:
        return (spoken or lines or ["no reason given"])[-1][:_AT_MOST]
    why = spoken[at].removeprefix("! ").strip()
    if why.endswith(":") and at + 1 < len(spoken):
        why = f"{why} {spoken[at + 1]}"
    if _VAGUE.search(why) and at > 0:
        why = f"{spoken[at - 1]} ({why})"
    return why[:_AT_MOST]


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
        why = reason_in(stderr) if stderr.strip() else f"exit status {returncode}"
        while argv[:1] == ("-c",):  # settings are no help to the reader
            argv = argv[2:]
        super().__init__(f"`git {' '.join(argv)}` failed: {why}")


class CannotSignError(LokiError):
    """git is told to sign commits, and the program that signs did not."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(
            f"the commit cannot be signed: {why}",
            "unlock the signing key (or set commit.gpgSign to false), then it goes on",
        )


class SetupFailedError(LokiError):
    """A worktree's own set-up did not come to a good end: nothing was run in it."""


class IllegalMoveError(LokiError):
    """A stream was about to move between two statuses that the table does not connect."""

    exit_code = 3


class StateConflictError(LokiError):
    """The state file could not be published: others kept changing it, or it cannot be written."""


class InterruptedRunError(LokiError):
    """The run was told to stop: it has no result."""

"""What a finished run of a test command says: how it ended, and whether any test ran at all. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain

from loki_hooks.domain.gates.results import Outcome

_OUTSIDE = frozenset({9, 15})  # SIGKILL, SIGTERM
"""What others end a process with (a person, the system that is out of memory). Any other signal is the program's own doing."""
_CRASHES = {4: "SIGILL", 6: "SIGABRT", 8: "SIGFPE", 11: "SIGSEGV"}

_NONE = re.compile(
    r"""^(?:
      =*[ ]*no\ tests\ (?:ran|collected)\b            # pytest
    | collected\ 0\ items\b
    | collected\ \d+\ items?\ /\ \d+\ deselected\ /\ 0\ selected
    | =*[ ]*\d+\ deselected(?:,\ \d+\ warnings?)?\ in\ [\d.]+
    | Ran\ 0\ tests\ in\                              # unittest (exits 0 before Python 3.12)
    | No\ tests?\ (?:files\ )?found\b                 # jest, vitest
    | \?\s+\S+\s+\[no\ test\ files\]                  # go
    | ok\s+\S+\s.*\[no\ tests\ to\ run\]
    | No\ tests\ were\ found!                         # ctest
    | No\ tests\ executed!                            # phpunit
    | 0\ examples,\ 0\ failures                       # rspec
    )""",
    re.MULTILINE | re.VERBOSE,
)
_SOME = re.compile(
    r"""(?:^|(?<=[\s(=:,]))[1-9]\d*\ (?:passed|failed|errors?|xfailed|xpassed|passing|failing|examples?)\b
    | ^Ran\ [1-9]\d*\ tests?\ in\                     # unittest
    | ^ok\s+\S+(?!.*\[no\ tests\ to\ run\])           # go, TAP
    | ^(?:not\ ok|FAIL|PASS|---\ (?:PASS|FAIL|SKIP):)\s
    | \bTests\ run:\ [1-9]                            # JUnit
    | ^OK\ \([1-9]\d*\ test                           # phpunit
    | \bout\ of\ [1-9]\d*$                            # ctest
    | ^(?:\#|\u2139)\ (?:pass|fail)\ [1-9]                 # node
    """,
    re.MULTILINE | re.VERBOSE,
)
_LONGEST_LINE = 10_000


def nothing_ran(pieces: Iterable[str]) -> bool:
    """Return whether an output (whole, in pieces as they come) says that no test was collected, and nowhere that any ran.

    Of several runners in one command, one that has no tests says nothing of the others.
    """
    none = False
    rest = ""
    for piece in chain(pieces, "\n"):
        whole, newline, rest = (rest + piece).rpartition("\n")
        if newline and _SOME.search(whole):
            return False
        none = none or _NONE.search(whole) is not None
        rest = rest[-_LONGEST_LINE:]
    return none


def judge(exit_code: int, *, timed_out: bool, empty: bool) -> tuple[Outcome, str]:
    """Return what a finished run says, and why. ``exit_code`` is negative for a signal (subprocess's way).

    ``empty``: no test ran. What a program does to itself (abort, segmentation fault) is a failure, also through a shell.
    """
    if timed_out:
        return Outcome.COULD_NOT_RUN, "it took longer than its timeout"
    number = -exit_code if exit_code < 0 else exit_code - 128
    if number in _OUTSIDE:
        return Outcome.COULD_NOT_RUN, f"it was killed by signal {number}"
    if exit_code == 127:
        return Outcome.COULD_NOT_RUN, "the command was not found (exit status 127)"
    if exit_code == 126:
        return Outcome.COULD_NOT_RUN, "the command cannot be executed (exit status 126)"
    if exit_code < 0:
        return Outcome.FAILED, f"it ended by signal {number}{_name(number)}"
    if empty:
        return Outcome.COULD_NOT_RUN, "no test was collected"
    if exit_code:
        return Outcome.FAILED, f"exit status {exit_code}{_name(number)}"
    return Outcome.PASSED, ""


def _name(number: int) -> str:
    return f" ({_CRASHES[number]})" if number in _CRASHES else ""

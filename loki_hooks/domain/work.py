"""What our workers are asked to do: the one place that writes and reads what follows the program on their command lines.

    worker reconcile TRIGGER FRAMEWORK FOLDER [PID=START …]   wait for those processes, then make a pass
    worker gate COMMIT TREE SUBJECT PLACES FOLDER [again]     run the gates that the tree has no result for, or all
    worker session STREAM TOKEN FOLDER                        run a stream's session
    worker setup STREAM FOLDER                                set an adopted worktree up
    worker turns FOLDER                                       wait until a stream's provider takes it again
    worker view ADDRESS                                       show a session's terminal in this one (a tmux pane)

The words are read by other releases, too: their processes may run beside ours. Hooks start a worker while git waits, so
nothing is imported here, not even dataclasses.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not light
    from collections.abc import Sequence

WORKER = "worker"
_PROGRAM = "loki_hooks/__main__.py"
_OPTIONS = 3
"""How many words (of the interpreter) there may be between the interpreter and the program."""
_DIGITS = 18


class Work:
    """What a worker is asked to do: frozen, and equal to what is said in the same words.

    ``folder``: where it works, of the repository; ``stream``: the id of the stream that it works for. '' for none.
    """

    __slots__ = ()
    folder: str = ""
    stream: str = ""

    def words(self) -> tuple[str, ...]:
        """Return the words for the command line, from ``worker`` on."""
        raise NotImplementedError

    def names(self, folder: str) -> bool:
        """Return whether ``folder`` is where it works."""
        return self.folder == folder

    def _set(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.words() == self.words()

    def __hash__(self) -> int:
        return hash(self.words())

    def __repr__(self) -> str:
        return f"<{' '.join(self.words())}>"


class ReconcileWork(Work):
    """Make a pass once the processes of ``waits_for`` (pid, start time) have ended. ``trigger``: what asked for it.

    ``framework``: who ran the hook, ``native`` for git itself. ``folder``: a worktree of the repository, whichever.
    """

    __slots__ = ("folder", "framework", "trigger", "waits_for")
    trigger: str
    framework: str
    folder: str
    waits_for: tuple[tuple[int, str], ...]

    def __init__(self, trigger: str, framework: str, folder: str, waits_for: Sequence[tuple[int, str]] = ()) -> None:
        self._set(trigger=trigger, framework=framework, folder=folder, waits_for=tuple(waits_for))

    def words(self) -> tuple[str, ...]:
        processes = (f"{pid}={started}" for pid, started in self.waits_for)
        return (WORKER, "reconcile", self.trigger, self.framework, self.folder, *processes)


class GateWork(Work):
    """Run the gates that ``tree`` has no result for. ``places``: how many streams are in it; ``subject``: for whom.

    ``again``: the others, too.
    """

    __slots__ = ("again", "commit", "folder", "places", "subject", "tree")
    again: bool
    commit: str
    tree: str
    subject: str
    places: int
    folder: str

    def __init__(self, commit: str, tree: str, subject: str, places: int, folder: str, *, again: bool = False) -> None:
        self._set(commit=commit, tree=tree, subject=subject, places=places, folder=folder, again=again)

    def words(self) -> tuple[str, ...]:
        again = ("again",) if self.again else ()
        return (WORKER, "gate", self.commit, self.tree, self.subject, str(self.places), self.folder, *again)


class SessionWork(Work):
    """Run the session of ``stream``, if ``token`` is still the one that it shall be started by."""

    __slots__ = ("folder", "stream", "token")
    stream: str
    token: str
    folder: str

    def __init__(self, stream: str, token: str, folder: str) -> None:
        self._set(stream=stream, token=token, folder=folder)

    def words(self) -> tuple[str, ...]:
        return (WORKER, "session", self.stream, self.token, self.folder)


class SetupWork(Work):
    """Set up the worktree of ``stream``, which was adopted."""

    __slots__ = ("folder", "stream")
    stream: str
    folder: str

    def __init__(self, stream: str, folder: str) -> None:
        self._set(stream=stream, folder=folder)

    def words(self) -> tuple[str, ...]:
        return (WORKER, "setup", self.stream, self.folder)


class TurnsWork(Work):
    """Wait until the provider of a stream's agent takes it again."""

    __slots__ = ("folder",)
    folder: str

    def __init__(self, folder: str) -> None:
        self._set(folder=folder)

    def words(self) -> tuple[str, ...]:
        return (WORKER, "turns", self.folder)


class ViewWork(Work):
    """Show the terminal whose runner listens at ``address``."""

    __slots__ = ("address",)
    address: str

    def __init__(self, address: str) -> None:
        self._set(address=address)

    def words(self) -> tuple[str, ...]:
        return (WORKER, "view", self.address)


class OtherWork(Work):
    """What a worker of another release does: its words mean nothing to this one, and it is a worker all the same."""

    __slots__ = ("said",)
    said: tuple[str, ...]

    def __init__(self, said: Sequence[str]) -> None:
        self._set(said=tuple(said))

    def words(self) -> tuple[str, ...]:
        return self.said

    def names(self, folder: str) -> bool:
        return folder in self.said


def parse(words: Sequence[str]) -> Work | None:
    """Return the work that ``words``, from ``worker`` on, ask for, or None when they are no such words."""
    match list(words):
        case ["worker", "reconcile", trigger, framework, folder, *processes]:
            waits_for = [who for word in processes if (who := _process(word)) is not None]
            if len(waits_for) == len(processes):
                return ReconcileWork(trigger, framework, folder, waits_for)
        case ["worker", "gate", commit, tree, subject, places, folder] if _is_number(places):
            return GateWork(commit, tree, subject, int(places), folder)
        case ["worker", "gate", commit, tree, subject, places, folder, "again"] if _is_number(places):
            return GateWork(commit, tree, subject, int(places), folder, again=True)
        case ["worker", "session", stream, token, folder]:
            return SessionWork(stream, token, folder)
        case ["worker", "setup", stream, folder]:
            return SetupWork(stream, folder)
        case ["worker", "turns", folder]:
            return TurnsWork(folder)
        case ["worker", "view", address]:
            return ViewWork(address)
    return None


def work_of(argv: Sequence[str]) -> Work | None:
    """Return what a process with the argument vector ``argv`` does as a worker of ours, or None when it is none."""
    for at in range(1, min(len(argv) - 1, _OPTIONS + 2)):
        if argv[at].endswith(_PROGRAM) and argv[at + 1] == WORKER:
            words = argv[at + 1 :]
            return parse(words) or (OtherWork(words) if len(words) > 1 else None)
    return None


def _process(word: str) -> tuple[int, str] | None:
    pid, equals, started = word.partition("=")
    return (int(pid), started) if equals and _is_number(pid) else None


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS

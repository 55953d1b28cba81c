"""``loki-hooks hook NAME …``: git's front door. It finds the hook's module, and answers for our own faults.

A hook that only triggers exits 0 whatever happens (post-checkout's exit status becomes git's); a gate fails
closed. ``post-*`` import nothing but os and sys on their way: git waits for every millisecond.
"""

from __future__ import annotations

import importlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not light
    from collections.abc import Callable

GATES = ("pre-push", "pre-merge-commit")
TRIGGERS = ("post-checkout", "post-commit", "post-merge", "post-rewrite")


def run_hook(words: list[str]) -> int:
    """Run the git hook ``words[0]`` with git's own words after it. Returns the exit status for git."""
    name, rest = (words[0], words[1:]) if words else ("", [])
    try:
        return _run(name, rest)
    except KeyboardInterrupt:
        return 130 if name in GATES else 0
    except Exception as error:  # noqa: BLE001  whatever it is, git must get its answer
        return _own_fault(name, error)


def _run(name: str, words: list[str]) -> int:
    if os.environ.get("LOKI_HOOKS_DISABLE") == "1":
        return 0
    if name not in TRIGGERS + GATES:
        print(f"loki-hooks: there is no hook called {name!r}", file=sys.stderr)
        print(f"hint: hooks are {', '.join(TRIGGERS + GATES)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"loki_hooks.hooks.{name.replace('-', '_')}")
    run: Callable[[list[str]], int] = module.run
    return run(words)


def _own_fault(name: str, error: Exception) -> int:
    """Say what happened, keep the traceback in a log, and return the exit status: 1 for a gate, else 0."""
    from loki_hooks.errors import LokiError

    gate = name in GATES
    if isinstance(error, LokiError):
        print(f"loki-hooks: {_without_credentials(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {_without_credentials(error.hint)}", file=sys.stderr)
        return 1 if gate else 0
    log = _log(name, error)
    where = f"; see {log}" if log else ""
    if gate:
        print(f"loki-hooks: {name} failed by a fault of its own ({type(error).__name__}){where}", file=sys.stderr)
        print("hint: nothing went through; to go without the gate once: LOKI_HOOKS_DISABLE=1 git ...", file=sys.stderr)
        return 1
    print(f"loki-hooks: {name} did nothing, by a fault of its own ({type(error).__name__}){where}", file=sys.stderr)
    return 0


def _without_credentials(text: str) -> str:
    from loki_hooks.domain.secrets import without_credentials

    return without_credentials(text)


def _log(name: str, error: Exception) -> str:
    """Append the traceback to ``<.loki>/logs/hooks.log`` and return its path, '' when it cannot be written."""
    import time
    import traceback

    try:
        from loki_hooks.hooks.place import find_place

        place = find_place()
        folder = os.path.join(place.loki, "logs")
        # `.loki/` was taken away, and git must not see a new one without its .gitignore; or it is a link, never followed
        if not os.path.isdir(folder) or os.path.islink(folder) or os.path.islink(place.loki):
            folder = os.path.join(place.common, "loki")
        path = os.path.join(folder, "hooks.log")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except Exception:  # noqa: BLE001  a log that cannot be written is no reason to stop git
        return ""
    head = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = _without_credentials("".join(traceback.format_exception(error)))
    try:
        os.write(handle, f"{head} {name}\n{text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return ""
    finally:
        os.close(handle)
    return path

"""What a task's text may be: ``--task`` and ``--prompt-file``, checked before anything is made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from loki_hooks.domain.names import shown
from loki_hooks.errors import BadInputError
from loki_hooks.system.files import read_plain

MAX_PROMPT = 1024 * 1024


def task_text(task: str, prompt_file: str) -> str:
    """Return the task. Raises ``BadInputError`` for both at once, or a file that is missing, too large, or no text."""
    if task and prompt_file:
        raise BadInputError("--task and --prompt-file exclude each other", "give one of them")
    if prompt_file:
        return _read(prompt_file)
    try:
        task.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInputError("the task is not UTF-8 text", "a task is text") from error
    return task


def ask_for_task(names: Sequence[str]) -> str:
    """Return the task that a person types. Raises ``BadInputError`` where nobody can, or says nothing."""
    import click

    text = ""
    if sys.stdin.isatty() and sys.stderr.isatty():
        text = click.prompt(f"What shall {' and '.join(names)} do?", default="", show_default=False, err=True)
    if not text.strip():
        raise BadInputError(
            f"{' and '.join(names)} has nothing to do: a session needs a task",
            'give it --task "…" or --prompt-file F; --no-launch makes the worktree alone',
        )
    return task_text(text, "")


def _read(name: str) -> str:
    if name == "-":
        raw: bytes | None = sys.stdin.buffer.read(MAX_PROMPT + 1)
    else:
        path = Path(name)
        try:
            if not path.is_file():
                raise BadInputError(
                    f"there is no file {shown(name)}", "--prompt-file takes a text file, or - for standard input"
                )
            raw = read_plain(path.resolve(), limit=MAX_PROMPT)
        except (OSError, ValueError) as error:
            raise BadInputError(f"{shown(name)} cannot be read", "--prompt-file takes a text file") from error
        if raw is None and path.stat().st_size <= MAX_PROMPT:
            raise BadInputError(f"{shown(name)} cannot be read", "is it readable, and a plain file?")
    if raw is None or len(raw) > MAX_PROMPT:
        raise BadInputError(f"{shown(name)} is larger than {MAX_PROMPT} bytes", "a task is text that an agent can read")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{shown(name)} is not UTF-8 text", "a task is text") from error
    if "\0" in text:
        raise BadInputError(f"{shown(name)} is binary", "a task is text")
    if not text.strip():
        raise BadInputError(f"{shown(name)} is empty", "a task is text")
    return text

"""How our hooks get into what already runs hooks: git's own configuration, husky, pre-commit, prek."""

from __future__ import annotations

import shlex

from loki_hooks.domain.install.chain import hook_file, is_framework, legacy
from loki_hooks.domain.install.values import (
    BESIDE_FRAMEWORK,
    HOOKS,
    Configure,
    InstallFacts,
    InstallStep,
    Move,
    Owner,
    RunInstaller,
    Write,
)
from loki_hooks.errors import RefusedError


def configured(facts: InstallFacts) -> list[InstallStep]:
    """git ≥ 2.54: commands in the configuration, beside whatever hook files there are."""
    wanted: list[Configure] = []
    for name in HOOKS:
        command = shlex.join(["sh", "-c", _find_and_run(name), "--"])
        wanted += [Configure(f"hook.loki-{name}.command", command), Configure(f"hook.loki-{name}.event", name)]
    return [step for step in wanted if facts.configured.get(step.key) != step.value]


def _find_and_run(name: str) -> str:
    return (
        f'h="${{GIT_DIR:-.git}}/loki/hooks/{name}"; '
        f'[ -x "$h" ] || h="$(git rev-parse --git-common-dir)/loki/hooks/{name}"; [ ! -x "$h" ] || exec "$h" "$@"'
    )


def through_husky(facts: InstallFacts, notes: list[str]) -> list[InstallStep]:
    """husky runs the user's own, committed script of each hook: a guarded piece goes to its top."""
    steps: list[InstallStep] = []
    for name in HOOKS:
        path = f"{facts.husky}/{name}"
        block = facts.templates["husky-pre-push.sh" if name == "pre-push" else "husky.sh"].replace("@NAME@", name)
        old = facts.contents.get(path)
        if old is not None and block.encode() in old:
            continue
        mode = None if old is not None or facts.hooks_path.rstrip("/").endswith("_") else 0o755
        steps.append(
            Write(
                path,
                _on_top(old, block.encode(), shebang=mode is not None),
                mode,
                "a guarded line for loki-hooks, nothing to those who do not have it",
                (block,),
            )
        )
    if steps:
        notes.append(f"commit the files in {facts.husky}")
    if not facts.hooks_path.startswith("/"):
        notes.append(
            f"core.hooksPath is {facts.hooks_path}, which git looks up in each worktree: husky's hooks run in "
            "a new worktree only after its own set-up there"
        )
    return steps


def _on_top(old: bytes | None, block: bytes, *, shebang: bool) -> bytes:
    """Return ``old`` with ``block`` after its first comment lines (and what husky's older versions source there)."""
    if old is None:
        return (b"#!/bin/sh\n" if shebang else b"") + block
    lines = old.splitlines(keepends=True)
    at = 0
    while at < len(lines) and (lines[at].startswith(b"#") or b"husky.sh" in lines[at]):
        at += 1
    head = b"".join(lines[:at])
    return head + (b"" if not head or head.endswith(b"\n") else b"\n") + block + b"".join(lines[at:])


def through_framework(facts: InstallFacts, notes: list[str]) -> list[InstallStep]:
    """Our hooks in the framework's configuration, its scripts in git's folder, our pre-push under its own."""
    config = facts.framework_config
    if config is None:
        raise RefusedError("the configuration of pre-commit is gone", "`loki-hooks uninstall`, then install again")
    steps: list[InstallStep] = []
    if config.wanted != config.data:
        steps.append(Write(config.path, config.wanted, None, "; ".join(config.changes), config.inserted))
        notes.append(
            f"`git add {config.path.rpartition('/')[2]}` and commit: pre-commit refuses to run while its "
            "configuration is not staged"
        )
    types = [name for name in HOOKS if name in config.types]
    program = _program(facts)
    wanted = [name for name in types if not is_framework(facts.chains.get(name, ()))]
    if wanted and program:
        for name in wanted:  # pre-commit would overwrite an older .legacy: what is there moves down before
            if name != "pre-push":
                steps += _vacate(facts, name)
        if "pre-push" in wanted:
            steps += hook_file(facts, "pre-push", below=True)
        argv = [facts.programs[program], "install", "--allow-missing-config"]
        for name in ("pre-commit", *types):
            argv += ["-t", name]
        paths = [legacy(f"{facts.hooks_folder}/{name}", depth) for depth in (0, 1) for name in ("pre-commit", *types)]
        steps.append(RunInstaller(tuple(argv), facts.base, tuple(paths)))
    elif wanted:
        notes.append(
            f"{' or '.join(_programs(facts))} is not found; once it is, run: "
            f"{_programs(facts)[0]} install --allow-missing-config "
            + " ".join(f"-t {name}" for name in ("pre-commit", *types))
        )
    if "pre-push" in types and not (program and "pre-push" in wanted):
        chain = facts.chains.get("pre-push", ())
        if not chain or chain[0] is not Owner.FOREIGN:  # a later `pre-commit install` would overwrite the .legacy
            steps += hook_file(facts, "pre-push")
    if not config.remote and BESIDE_FRAMEWORK not in types:
        steps += hook_file(facts, BESIDE_FRAMEWORK)
    return steps


def _program(facts: InstallFacts) -> str:
    """Return the framework whose installer is run, '' when it is not found."""
    return next((name for name in _programs(facts) if name in facts.programs), "")


def _programs(facts: InstallFacts) -> tuple[str, ...]:
    """Return the frameworks that can install here. Where one has, only that one: it would run the other's as legacy."""
    if facts.hooks_path:  # pre-commit refuses beside it
        return ("prek",)
    return facts.frameworks or ("pre-commit", "prek")


def _vacate(facts: InstallFacts, name: str) -> list[InstallStep]:
    chain = facts.chains.get(name, ())
    path = f"{facts.hooks_folder}/{name}"
    if not chain or chain[0] is Owner.OURS:
        return []
    return [Move(legacy(path, depth), legacy(path, depth + 1)) for depth in reversed(range(len(chain)))]

"""What `install` will write, as a value: the facts of one repository in, the plan out. ``--dry-run`` prints the plan.

git runs one file per hook (or, since 2.54, any number of commands from its configuration). Tools that want the
same place chain by a convention of pre-commit's: what was at ``<hook>`` moves to ``<hook>.legacy`` and is run first.
Here a place is therefore a *chain*: the owners of ``<hook>``, ``<hook>.legacy``, ``<hook>.legacy.legacy`` …
"""

from __future__ import annotations

from loki_hooks.domain.install.chain import differs, hook_file
from loki_hooks.domain.install.frameworks import configured, through_framework, through_husky
from loki_hooks.domain.install.values import (
    HOOKS,
    InstallFacts,
    InstallPlan,
    InstallStep,
    InstallWay,
    Owner,
    TurnOn,
    Write,
)
from loki_hooks.errors import RefusedError

SHOWN_BY_FRAMEWORK = ("post-checkout",)
"""Its line must be seen, and a framework hides what a passing hook prints."""


def choose_way(facts: InstallFacts, asked: InstallWay | None) -> InstallWay:
    """Return the way to install. Raises ``RefusedError`` where what was asked cannot be."""
    if asked is not None and facts.installed_way is not None and asked is not facts.installed_way:
        raise RefusedError(
            f"loki-hooks is installed here the {facts.installed_way.value} way",
            "to change it: `loki-hooks uninstall`, then install again",
        )
    if asked is InstallWay.PRE_COMMIT:
        if facts.framework_config is None:
            raise RefusedError(
                "there is no .pre-commit-config.yaml here" + (" (prek.toml is not edited)" if facts.prek_toml else ""),
                "write one (`repos: []` is enough), or use `loki-hooks install --native`",
            )
        if facts.hooks_path and "prek" not in facts.programs:
            raise RefusedError(
                f"core.hooksPath is set to {facts.hooks_path}, and pre-commit refuses to install beside it",
                "use `loki-hooks install --native`, or prek",
            )
    if facts.installed_way is not None:
        return facts.installed_way
    if asked is not None:
        return asked
    if facts.framework_config is None or (facts.hooks_path and "prek" not in facts.programs) or facts.husky:
        return InstallWay.NATIVE
    return InstallWay.PRE_COMMIT


def make_plan(facts: InstallFacts, asked: InstallWay | None) -> InstallPlan:
    """Return what has to be done here."""
    way = choose_way(facts, asked)
    notes: list[str] = []
    steps: list[InstallStep] = _copies(facts)
    if not facts.enabled:
        steps.append(TurnOn(f"{facts.common}/loki/enabled", facts.loki))
    if way is InstallWay.PRE_COMMIT:
        steps += through_framework(facts, notes)
    elif facts.config_hooks:
        steps += configured(facts)
    elif facts.husky:
        steps += through_husky(facts, notes)
    else:
        steps += [step for name in HOOKS for step in hook_file(facts, name)]
        if facts.hooks_path and facts.hooks_path_scope not in {"local", "worktree"}:
            notes.append(
                f"core.hooksPath is set for all your repositories: {facts.hooks_folder} is shared by them; "
                "in the others our scripts there do nothing, but `uninstall` here takes them away"
            )
        elif facts.hooks_path and not facts.hooks_path.startswith("/"):
            notes.append(
                f"core.hooksPath is {facts.hooks_path}, which git looks up in each worktree: where a worktree "
                "lacks that folder, no hook runs in it"
            )
        if facts.lefthook:
            notes.append("lefthook writes its scripts anew when its configuration changes: install again then")
    if facts.prek_toml and facts.framework_config is None:
        notes.append("prek.toml is not edited: git runs loki-hooks beside prek")
    if facts.proposal is not None:
        steps.append(facts.proposal)
        notes.append("commit loki-hooks.toml: its gate counts once it is on the integration branch")
    notes += facts.shortfalls
    return InstallPlan(way, detected(facts), tuple(steps), tuple(notes))


def detected(facts: InstallFacts) -> str:
    """Return in one line what was found."""
    found = []
    owners = {chain[0] for chain in facts.chains.values() if chain}
    if facts.framework_config is not None:
        found.append("pre-commit's configuration")
    if facts.prek_toml:
        found.append("prek.toml")
    found += [f"hooks of {name}" for name in facts.frameworks]
    if facts.husky:
        found.append("husky")
    elif facts.hooks_path:
        found.append(f"core.hooksPath {facts.hooks_path}")
    if facts.lefthook:
        found.append("lefthook")
    elif Owner.FOREIGN in owners:
        names = [name for name in HOOKS if facts.chains.get(name, ())[:1] == (Owner.FOREIGN,)]
        found.append(f"hooks of another tool ({', '.join(names)})")
    if Owner.OURS in owners or facts.installed_way is not None:
        found.append("loki-hooks")
    return ", ".join(found) or "no hook tool"


def _copies(facts: InstallFacts) -> list[InstallStep]:
    """Our scripts, where neither `git clean` nor the end of a virtual environment takes them away."""
    folder = f"{facts.common}/loki"
    wanted = [
        Write(f"{folder}/hooks/{name}", data, 0o644 if name.endswith(".sh") else 0o755, "hook script", private=True)
        for name, data in sorted(facts.scripts.items())
    ]
    pointer = f"{facts.python}\n{facts.main}\n".encode("utf-8", "surrogateescape")
    wanted.append(Write(f"{folder}/python", pointer, 0o644, "the Python that they start", private=True))
    return [step for step in wanted if differs(facts, step)]

"""The console script. ``hook NAME`` and ``worker NAME`` end before click is imported."""

from __future__ import annotations

import sys


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["hook"]:
        from loki_hooks.hooks.front_door import run_hook

        return run_hook(words[1:])
    if words[:1] == ["worker"]:
        from loki_hooks.workers.main import run_worker

        return run_worker(words)
    from loki_hooks.cli.main import run_cli

    return run_cli()


if __name__ == "__main__":
    import os

    # Run by its path (`python -P …/__main__.py`), as the hook scripts and workers do: find the package beside it.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    sys.exit(main())

#!/bin/sh
# @ID@: written by `loki-hooks install`, taken away by `loki-hooks uninstall`.
# First the hook that was here before, kept beside this one as .legacy, then the gate of loki-hooks. Its script stands
# in the git dir that all worktrees share. Either can refuse; both are given what git writes to stdin.
@SCRIPT@

said=$(cat)
feed() { [ -z "$said" ] || printf '%s\n' "$said"; }
if [ -x "$0.legacy" ] && [ -z "${LOKI_HOOKS_PROBE:-}" ]; then
  feed | "$0.legacy" "$@" || exit $?
fi
if [ -x "$script" ]; then
  feed | "$script" "$@" || exit $?
fi
exit 0

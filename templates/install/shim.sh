#!/bin/sh
# @ID@: written by `loki-hooks install`, taken away by `loki-hooks uninstall`.
# First the hook that was here before, kept beside this one as .legacy, then loki-hooks. Its script stands in the git
# dir that all worktrees share, and ends at once when there is nothing to do.
@SCRIPT@

status=0
if [ -x "$0.legacy" ] && [ -z "${LOKI_HOOKS_PROBE:-}" ]; then
  "$0.legacy" "$@" || @OTHERWISE@
fi
if [ -x "$script" ]; then
  "$script" "$@" || { ours=$?; [ "$status" -ne 0 ] || status=$ours; }
fi
exit "$status"

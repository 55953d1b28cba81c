# loki-hooks: runs where `loki-hooks install` was run, is nothing elsewhere. What follows reads the same stdin.
h="$(git rev-parse --git-common-dir)/loki/hooks/@NAME@"
if [ -x "$h" ]; then
  said="$(cat)"; { [ -z "$said" ] || printf '%s\n' "$said"; } | "$h" "$@" || exit $?
  exec <<LOKI
$said
LOKI
fi

# loki-hooks: runs where `loki-hooks install` was run, is nothing elsewhere.
h="$(git rev-parse --git-common-dir)/loki/hooks/@NAME@"; [ ! -x "$h" ] || "$h" "$@"

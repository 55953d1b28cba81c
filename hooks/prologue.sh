# Sourced by every hook script: ends it early, or finds the Python that goes on. No logic about the repository here.
#
# The scripts stand in one of three places, and $here says which:
#   <environment>/bin/loki-hooks-NAME   put there by pip for pre-commit and prek; the Python is beside it
#   <common git dir>/loki/hooks/NAME    copied by `loki-hooks install`; ../python has two lines: the path of a Python,
#                                       and of the package's __main__.py
#   <checkout>/hooks/NAME               used in place, with the python3 on PATH
# Nothing is forked before it is certain that there is something to do: `git checkout` waits for this.

# `loki-hooks doctor` asks whether git comes here at all: answer in one line, and end the chain of hooks. Never 0: this
# must not be a way past a gate.
if [ -n "${LOKI_HOOKS_PROBE:-}" ]; then
  printf '%s\n' "$0" >>"$LOKI_HOOKS_PROBE"
  exit 1
fi

# Our own git commands, and people who want their peace.
if [ "${LOKI_HOOKS_DISABLE:-}" = 1 ]; then exit 0; fi

# Sets git_dir (this worktree's) and common (the one that all worktrees share), as gitrepository-layout(5) has it.
loki_find() {
  if [ -n "${GIT_DIR:-}" ]; then
    git_dir=$GIT_DIR
  elif [ -d .git ]; then
    git_dir=.git
  elif [ -f .git ]; then
    IFS= read -r git_dir <.git || [ -n "$git_dir" ] || git_dir=
    git_dir=${git_dir#gitdir: }
  else
    git_dir=$(git rev-parse --git-dir 2>/dev/null) || git_dir=.
  fi
  common=$git_dir
  if [ -n "${GIT_COMMON_DIR:-}" ]; then
    common=$GIT_COMMON_DIR
  elif [ -f "$git_dir/commondir" ]; then
    IFS= read -r common <"$git_dir/commondir" || [ -n "$common" ] || common=.
    case $common in /*) ;; *) common=$git_dir/$common ;; esac
  fi
}

# Ends the hook unless loki-hooks is on here. Being run by pre-commit or prek (both set PRE_COMMIT) turns it on.
loki_need_on() {
  loki_find
  if [ -f "$common/loki/enabled" ]; then return 0; fi
  if [ -n "${PRE_COMMIT:-}" ] || [ -n "${PREK_HOOK_STAGE:-}" ]; then return 0; fi
  exit 0
}

# Ends the hook while a rebase moves HEAD from commit to commit: post-rewrite comes when it is done.
loki_not_in_rebase() {
  if [ -d "$git_dir/rebase-merge" ] || [ -d "$git_dir/rebase-apply" ]; then exit 0; fi
}

# Sets python and main ('' for: `-m loki_hooks`), and why when there is none.
loki_python() {
  why=
  main=
  if [ -f "$here/loki-hooks-prologue.sh" ]; then
    python=$here/python
  elif [ -f "$here/../python" ]; then
    { IFS= read -r python && IFS= read -r main; } <"$here/../python" || why="$here/../python is damaged"
  else
    main=$here/../loki_hooks/__main__.py
    python=$(command -v python3) || why="there is no python3 on PATH"
  fi
  if [ -z "$why" ] && [ ! -x "$python" ]; then why="its Python is gone: $python"; fi
  if [ -z "$why" ] && [ -n "$main" ] && [ ! -r "$main" ]; then why="it is gone: $main"; fi
  [ -z "$why" ]
}

# A hook that only triggers: git goes on whatever happens. -S: what it needs is in the standard library.
loki_tell() {
  if ! loki_python; then
    echo "loki-hooks: $1 did nothing, $why (repair with \`loki-hooks install\`, or end it with \`loki-hooks uninstall\`)" >&2
  elif [ -z "$main" ]; then
    "$python" -I -m loki_hooks hook "$@"
  else
    "$python" -I -S "$main" hook "$@"
  fi
  exit 0
}

# A gate: without an answer nothing goes through.
loki_ask() {
  if ! loki_python; then
    echo "loki-hooks: $1 cannot look up what passed, $why" >&2
    echo "hint: repair with \`loki-hooks install\`, or go without the gate once: LOKI_HOOKS_DISABLE=1 git ..." >&2
    exit 1
  fi
  if [ -z "$main" ]; then exec "$python" -I -m loki_hooks hook "$@"; fi
  exec "$python" -I "$main" hook "$@"
}

#!/usr/bin/env bash
# Sets up .venv on first use, then trains or tests in it.
#   ./launch.sh local [flags of experiments.train]
#   ./launch.sh test  [arguments of pytest]
#   ./launch.sh [--dry-run] local|test ...   prints the commands instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

dry_run=false
if [[ "${1:-}" == --dry-run ]]; then
  dry_run=true
  shift
fi

run() {
  if "$dry_run"; then
    printf '%q ' "$@"
    printf '\n'
  else
    "$@"
  fi
}

fail() {
  printf 'launch.sh: %s\n' "$1" >&2
  exit 2
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.12 python3.11 python3 python; do
    if [[ -n "$candidate" ]] && command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  fail 'needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python'
}

# .venv counts as set up when its stamp holds these very files.
setup() {
  local python stamp wanted
  stamp=.venv/gan_jax.stamp
  wanted=$(cat pyproject.toml constraints.txt | cksum)
  if [[ -f "$stamp" && "$(cat "$stamp")" == "$wanted" ]]; then
    return
  fi
  python=$(find_python)
  "$dry_run" || printf 'setting up .venv (once)\n' >&2
  run "$python" -m venv .venv
  run .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable '.[test]'
  "$dry_run" || printf '%s' "$wanted" >"$stamp"
}

command=${1:-}
[[ $# -gt 0 ]] && shift
case "$command" in
  local)
    setup
    run .venv/bin/python -m experiments.train "$@"
    ;;
  test)
    setup
    # Two processes: half of the suite's time is compilation, on one core each.
    run .venv/bin/python -m pytest --numprocesses 2 "$@"
    ;;
  -h | --help | help)
    usage
    ;;
  *)
    usage >&2
    fail "unknown command '${command}': local or test"
    ;;
esac

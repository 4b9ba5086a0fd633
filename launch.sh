#!/usr/bin/env bash
# Sets up .venv on first use, then trains or tests in it.
#   ./launch.sh local [flags of experiments.train]
#   ./launch.sh test  [arguments of pytest]
#   ./launch.sh local|test --dry-run ...   prints the commands instead
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$root/.venv/bin/python

usage() {
  sed -n '2,5s/^# \{0,1\}//p' "$root/launch.sh"
}

dry_run=false
arguments=()
for argument in "$@"; do
  if [[ "$argument" == --dry-run ]]; then
    dry_run=true
  else
    arguments+=("$argument")
  fi
done
set -- ${arguments[@]+"${arguments[@]}"}

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
  for candidate in ${PYTHON:-python3.12 python3.11 python3 python}; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  fail 'needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python'
}

# .venv counts as set up when its stamp holds these very files.
setup() {
  local found stamp wanted
  stamp=$root/.venv/gan_jax.stamp
  wanted=$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)
  if [[ -f "$stamp" && "$(cat "$stamp")" == "$wanted" ]]; then
    return
  fi
  found=$(find_python)
  "$dry_run" || printf 'setting up .venv (once)\n' >&2
  run "$found" -m venv "$root/.venv"
  run "$python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$root/constraints.txt" --editable "$root[test]"
  "$dry_run" || printf '%s' "$wanted" >"$stamp"
}

command=${1:-}
[[ $# -gt 0 ]] && shift
case "$command" in
  local)
    setup
    run "$python" -m experiments.train "$@" # here: paths in flags are the caller's
    ;;
  test)
    setup
    cd "$root"
    # Two processes: half of the suite's time is compilation, on one core each. A file
    # goes to one of them, so that what its tests share is made once.
    run "$python" -m pytest --numprocesses 2 --dist loadscope \
      --no-loadscope-reorder "$@"
    ;;
  -h | --help | help)
    usage
    ;;
  *)
    fail "unknown command '${command}': ./launch.sh local, test or --help"
    ;;
esac

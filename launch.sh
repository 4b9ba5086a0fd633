#!/usr/bin/env bash
# Trains here, on rented machines or on a cluster, and sets up what that needs.
#   ./launch.sh local [flags of experiments.train]
#   ./launch.sh test  [arguments of pytest]
#   ./launch.sh explore [flags of experiments.explore]    runs in a browser
#   ./launch.sh docs [flags of mkdocs serve]    the documentation in a browser
#   ./launch.sh setup [EXTRA,...]    .venv alone, with extras of pyproject.toml: gpu, app, ray, ...
#   ./launch.sh sky   [--gpus=L4:1] [--nodes=1] [--spot] [--infra=CLOUD] [flags]
#   ./launch.sh slurm [--gpus=1] [--nodes=1] [--time=1:00:00] [flags]
#   ./launch.sh tpu   --zone=ZONE [--type=v6e-1] [--spot] [--project=ID]
#                     [--version=RUNTIME] [flags]
#   ./launch.sh COMMAND --dry-run ...   prints the commands instead
# The flags are those of experiments.train, or with --program=NAME of experiments.NAME;
# what stands after -- is for it, too. --nodes are for train, and for study, to which Ray
# lends them. docs/launch.md says what each one does and costs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$root/.venv/bin/python

usage() {
  sed -n '2,15s/^# \{0,1\}//p' "$root/launch.sh"
}

dry_run=false
arguments=()
while [[ $# -gt 0 && "$1" != -- ]]; do # what stands behind is for the program
  if [[ "$1" == --dry-run ]]; then
    dry_run=true
  else
    arguments+=("$1")
  fi
  shift
done
arguments+=("$@")
set -- ${arguments[@]+"${arguments[@]}"}

run() {
  if "$dry_run"; then
    { printf '%q ' "$@" && printf '\n'; } || exit 1 # nobody reads on: | head
  else
    "$@"
  fi
}

# As run, with what is printed on stderr.
aside() {
  if "$dry_run"; then run "$@"; else "$@" >&2; fi
}

say() {
  printf 'launch.sh: %s\n' "$1" >&2
}

fail() {
  say "$1"
  exit 2
}

find_python() {
  local candidate candidates=(python3.12 python3.11 python3 python)
  [[ -z "${PYTHON:-}" ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  fail 'needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python'
}

# .venv counts as set up when its stamp holds these very files. With an extra, such as
# gpu or gpu,ray, that comes along, and it has a stamp of its own. uv is several times as fast as
# pip, and is taken where it is there (UV= stands for: not). What they say goes to stderr.
setup() {
  local extra=${1:-} found stamp wanted wants
  stamp=$root/.venv/gan_jax${extra:+_${extra//,/_}}.stamp
  wanted=$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)
  if [[ -f "$stamp" && "$(cat "$stamp")" == "$wanted" ]]; then
    return
  fi
  found=$(find_python)
  wants=(--constraint "$root/constraints.txt" --editable "${root}[test${extra:+,$extra}]")
  if command -v "${UV-uv}" >/dev/null 2>&1; then
    "$dry_run" || say "setting up $root/.venv, once, with uv: about half a minute"
    aside "${UV-uv}" venv --allow-existing --seed --python "$found" "$root/.venv"
    aside "${UV-uv}" pip install --python "$python" "${wants[@]}"
  else
    "$dry_run" || say "setting up $root/.venv, once, with pip: a minute or two"
    aside "$found" -m venv "$root/.venv"
    aside "$python" -m pip install --disable-pip-version-check "${wants[@]}"
  fi
  if ! "$dry_run"; then
    printf '%s' "$wanted" >"$stamp"
    say "$root/.venv is ready"
  fi
}

command=${1:-}
[[ $# -gt 0 ]] && shift
case "$command" in
  local)
    setup
    export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
    run "$python" -m experiments.train "$@" # here: paths in flags are the caller's
    ;;
  explore)
    setup app
    export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
    run "$python" -m experiments.explore --open "$@"
    ;;
  docs)
    setup docs
    export NO_MKDOCS_2_WARNING=1 # a page-long notice: pyproject.toml says what it says
    run "$python" -m mkdocs serve --open --config-file "$root/mkdocs.yml" "$@"
    ;;
  test)
    setup
    cd "$root"
    # Two processes: half of the suite's time is compilation, on one core each. A file
    # goes to one of them, so that what its tests share is made once.
    run "$python" -m pytest --numprocesses 2 --dist loadscope \
      --no-loadscope-reorder "$@"
    ;;
  setup)
    known=$(sed -n '/^\[project.optional-dependencies\]/,/^\[tool/s/^\([a-z0-9]*\) = .*/\1/p' \
      "$root/pyproject.toml")
    IFS=, read -ra extras <<<"$*${*:+,}" # an empty one after a last comma is refused
    for extra in ${extras[@]+"${extras[@]}"}; do
      grep -qx -- "$extra" <<<"$known" ||
        fail "unknown '$extra': ./launch.sh setup, or setup with some of $(paste -sd, - <<<"$known")"
    done
    setup "$@"
    ;;
  sky)
    # shellcheck source=launch/sky.sh
    source "$root/launch/sky.sh"
    rent "$@"
    ;;
  slurm)
    # shellcheck source=launch/slurm.sh
    source "$root/launch/slurm.sh"
    submit "$@"
    ;;
  tpu)
    # shellcheck source=launch/tpu.sh
    source "$root/launch/tpu.sh"
    rent "$@"
    ;;
  -h | --help | help)
    usage
    ;;
  *)
    fail "unknown command '${command}': ./launch.sh local, explore, docs, test, setup, sky, slurm, tpu or --help"
    ;;
esac

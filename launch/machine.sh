#!/usr/bin/env bash
# What happens on a rented machine, in a copy of the repository.
#   machine.sh setup cpu|gpu|tpu [EXTRA,...]
#   machine.sh run cpu|gpu|tpu PROGRAM [flags of experiments.PROGRAM]
#   machine.sh stop    asks the run to save and end, and waits for it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python

# Python comes by uv: the one of the clouds' images is too old, or lacks venv.
setup() {
  local device=$1 extra=${2:-} driver
  export PATH=$HOME/.local/bin:$PATH UV_PYTHON_PREFERENCE=only-managed
  command -v uv >/dev/null || curl -LsSf https://astral.sh/uv/install.sh | sh
  uv python install 3.12
  PYTHON=$(uv python find 3.12)
  export PYTHON
  case "$device" in
    cpu) ./launch.sh setup "$extra" ;;
    tpu) ./launch.sh setup "tpu${extra:+,$extra}" ;;
    gpu)
      driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader)
      if [[ "${driver%%.*}" -ge 580 ]]; then
        ./launch.sh setup "gpu${extra:+,$extra}"
      else # too old for CUDA 13
        ./launch.sh setup "$extra"
        "$python" -m pip install --quiet --constraint constraints.txt 'jax[cuda12]'
      fi
      JAX_PLATFORMS=cuda "$python" -c 'import jax; print(jax.devices())'
      ;;
  esac
}

execute() {
  local device=$1 program=$2 flag
  shift 2
  # What was rented and is not found ends the run: JAX would go on on the CPU.
  case "$device" in
    gpu) export JAX_PLATFORMS=cuda,cpu ;;
    tpu) export JAX_PLATFORMS=tpu,cpu ;;
  esac
  for flag in "$@"; do
    # There has to be a folder to fetch, whatever becomes of the run.
    case "$flag" in
      --workdir=*://*) ;;
      --workdir=*) mkdir -p "${flag#*=}" ;;
      --output=*) mkdir -p "$(dirname "${flag#*=}")" ;;
    esac
  done
  set -- "$python" -m "experiments.$program" "$@"
  if [[ "${SKYPILOT_NUM_NODES:-1}" -gt 1 && "$program" == study ]]; then
    unset RAY_RAYLET_PID RAY_ADDRESS # of SkyPilot's own Ray
    export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
    set -- bash launch/ray.sh "$PWD/$1" "${@:2}"
  elif [[ "${SKYPILOT_NUM_NODES:-1}" -gt 1 && "$device" != tpu ]]; then
    set -- "$@" --coordinator="$(head -n 1 <<<"$SKYPILOT_NODE_IPS"):8476" \
      --num_processes="$SKYPILOT_NUM_NODES" --process_id="$SKYPILOT_NODE_RANK"
  fi
  stop # gcloud starts a command again whose connection was lost: two would train here
  printf '%s' "$$" >launch.pid
  exec "$@"
}

stop() {
  local pid second
  [[ -f launch.pid ]] || return 0
  pid=$(cat launch.pid)
  kill "$pid" 2>/dev/null || return 0
  for ((second = 0; second < 60; second++)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 1
  done
  kill -KILL "$pid" 2>/dev/null || :
}

case "${1:-} ${2:-}" in
  'setup cpu' | 'setup gpu' | 'setup tpu') setup "${@:2}" ;;
  'run cpu' | 'run gpu' | 'run tpu') execute "${@:2}" ;;
  'stop ') stop ;;
  *)
    printf 'machine.sh: setup DEVICE [EXTRA,...], run DEVICE PROGRAM [flags], or stop\n' >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# One node of a study over many machines; each of them runs this.
#   ray.sh PYTHON -m experiments.study [flags]
# SkyPilot or SLURM says who is who. The first starts Ray's head, waits for the others and
# becomes the study, so that signals reach it. The others lend their devices until it
# is gone.
#
# What ends here is what was started here. `ray stop` would end every Ray of this user:
# SkyPilot's own, and that of another job on the node.
set -euo pipefail
launch=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$1
patience=${GAN_JAX_NODES_SECONDS:-300} # for nodes to come
pause=${GAN_JAX_POLL_SECONDS:-2}
job=${SLURM_JOB_ID:-${SKYPILOT_INTERNAL_JOB_ID:-0}}
# Two of each job, apart from those of Ray's workers, 10002 to 19999, and SkyPilot's 6380.
port=$((20000 + job % 5000 * 2))
if [[ -n "${SKYPILOT_NODE_IPS:-}" ]]; then
  mapfile -t nodes <<<"$SKYPILOT_NODE_IPS"
  rank=$SKYPILOT_NODE_RANK
else
  mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
  rank=$SLURM_NODEID
fi
temp=/tmp/gan_jax-$job-$rank # short: Ray has sockets below it

say() {
  printf 'ray.sh: %s: %s\n' "$(hostname)" "$1" >&2
}

# Ray on this node, in the background. Without the token, whoever reaches its ports could
# run what they like. By itself Ray counts the GPUs that this job may see, and all the
# cores of the node.
begin() {
  "${python%/*}/ray" start "$@" --block --disable-usage-stats --temp-dir="$temp" \
    ${SLURM_CPUS_PER_TASK:+"--num-cpus=$SLURM_CPUS_PER_TASK"} >"$temp/ray.log" 2>&1 &
  ray=$!
}

runs() {
  kill -0 "$1" 2>/dev/null
}

# Whatever Ray has started dies with it, even where a node that has lost its head waits.
end() {
  local tenth
  if [[ -n "$ray" ]] && kill "$ray" 2>/dev/null; then
    for ((tenth = 0; tenth < 50; tenth++)); do
      runs "$ray" || break
      sleep 0.1 || :
    done
    kill -KILL "$ray" 2>/dev/null || :
    wait "$ray" 2>/dev/null || :
  fi
  rm -rf "$temp"
}

# What Ray said last, less its own prefix of time and file.
last_words() {
  tail -n 1 "$temp/ray.log" | sed 's/.* -- //'
}

reach() {
  timeout 5 bash -c "exec 3<>/dev/tcp/$1/$port" 2>/dev/null
}

# The head lives as long as this process, which is the study by then.
keep_head() {
  local asked=(--head --port="$port")
  trap : HUP INT TERM
  # Where gRPC is installed there is a server for it as well, and where its port is taken
  # the head ends.
  if "$python" -c 'import grpc' 2>/dev/null; then
    asked+=(--ray-client-server-port="$((port + 1))")
  fi
  begin "${asked[@]}"
  while runs $$ && runs "$ray"; do sleep "$pause" || :; done
  if runs $$; then say "Ray's head ended: $(last_words)"; fi
  end
}

lead() {
  local keeper address=127.0.0.1:$port
  (umask 077 && printf '%s' "$RAY_AUTH_TOKEN" >"$temp/token")
  keep_head &
  keeper=$!
  until reach 127.0.0.1; do
    runs "$keeper" || exit 1
    sleep "$pause"
  done
  say "to watch, on this node: RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$temp/token\
 ${python%/*}/ray status --address=$address"
  # The study itself leaves the GPUs to what Ray runs.
  JAX_PLATFORMS=cpu exec "$python" "$launch/nodes.py" "$address" "$patience" "${nodes[@]}" \
    -- "${@:2}" --engine=ray --ray_address="$address"
}

# Whoever is asked to end here goes on: the first node is asked as well, and needs this
# one until it has saved.
lend() {
  local missed=0
  trap : HUP INT TERM
  while [[ "$missed" -lt 5 ]]; do
    if reach "${nodes[0]}"; then
      missed=0
      if [[ -z "$ray" ]] || ! runs "$ray"; then
        [[ -z "$ray" ]] || say "Ray ended, and is started again: $(last_words)"
        begin --address="${nodes[0]}:$port"
      fi
    elif [[ -n "$ray" ]]; then
      missed=$((missed + 1))
    elif [[ "$SECONDS" -ge "$patience" ]]; then
      say "no Ray at ${nodes[0]}:$port within $patience s"
      break
    fi
    sleep "$pause" || :
  done
  end
}

ray=
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
rm -rf "$temp"
mkdir -m 700 "$temp"
if [[ "$rank" -eq 0 ]]; then lead "$@"; else lend; fi

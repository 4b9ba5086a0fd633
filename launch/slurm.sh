# shellcheck shell=bash
# A cluster with SLURM: .venv and results on the file system that its nodes share.

# shellcheck source=launch/options.sh
source "$root/launch/options.sh"

gpus=1
time=

submit() {
  local job tasks=1 with=gpu asked=()
  options 'gpus nodes time' "$@"
  require_count gpus 0
  [[ -z "$time" || "$time" =~ ^[0-9]+(-[0-9]+)?(:[0-9]+){0,2}$ ]] ||
    fail "--time=$time is no time: minutes, H:MM:SS or D-HH"
  [[ -z "$(flag overwrite)" ]] ||
    fail 'a job that goes on would delete its own run: delete the folder, and leave out --overwrite'
  require_program sbatch 'run this on a login node of the cluster'
  asked=(--nodes="$nodes")
  if [[ "$gpus" -eq 0 ]]; then
    with=''
  else
    asked+=(--gpus-per-node="$gpus")
  fi
  # One process sees all GPUs of its node; of several nodes, SLURM and JAX want one for
  # each GPU. Ray hands out those of a node by itself.
  spread
  if [[ "$nodes" -gt 1 && "$gpus" -gt 1 ]]; then
    if [[ "$program" == train ]]; then
      tasks=$gpus
    elif [[ -z "${SBATCH_CPUS_PER_TASK:-}" ]]; then
      asked+=(--cpus-per-task="$((4 * gpus))") # of each: 4, as in job.sh
    fi
  fi
  asked+=(--ntasks-per-node="$tasks")
  [[ -z "$time" ]] || asked+=(--time="$time")
  with+=${extra:+,$extra}
  setup "${with#,}"
  run mkdir -p runs # of the log
  set -- sbatch --parsable "${asked[@]}" "$root/launch/job.sh" \
    "$python" -m "experiments.$program" ${flags[@]+"${flags[@]}"}
  if "$dry_run"; then
    run "$@"
    return
  fi
  job=$("$@")
  job=${job%%;*} # of several clusters, the name follows
  printf '%s\n' "job $job" \
    "watch    squeue --jobs=$job; tail -F runs/slurm-$job.log" \
    "end      scancel --signal=INT $job    saves first" \
    "cancel   scancel $job"
}

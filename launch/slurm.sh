# shellcheck shell=bash
# A cluster with SLURM: .venv and results on the file system that its nodes share.

# shellcheck source=launch/options.sh
source "$root/launch/options.sh"

gpus=1
time=

submit() {
  local job tasks=1 extra=gpu asked=()
  options 'gpus nodes time' "$@"
  require_count gpus 0
  [[ -z "$time" || "$time" =~ ^[0-9]+(-[0-9]+)?(:[0-9]+){0,2}$ ]] ||
    fail "--time=$time is no time: minutes, H:MM:SS or D-HH"
  [[ -z "$(flag overwrite)" ]] ||
    fail 'a job that goes on would delete its own run: delete the folder, and leave out --overwrite'
  require_program sbatch 'run this on a login node of the cluster'
  asked=(--nodes="$nodes")
  if [[ "$gpus" -eq 0 ]]; then
    extra=''
  else
    asked+=(--gpus-per-node="$gpus")
  fi
  # One process sees all GPUs of its node; of several nodes, SLURM and JAX want one for
  # each GPU.
  if [[ "$nodes" -gt 1 ]]; then
    distribute
    [[ "$gpus" -eq 0 ]] || tasks=$gpus
  fi
  asked+=(--ntasks-per-node="$tasks")
  [[ -z "$time" ]] || asked+=(--time="$time")
  setup "$extra"
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

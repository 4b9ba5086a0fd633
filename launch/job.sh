#!/usr/bin/env bash
# A job of SLURM: runs its arguments on every task. Two minutes before its time is over
# the tasks are asked to save (SIGTERM), and a training goes back into the queue to go on.
# Whatever is set here gives way to SBATCH_* variables and to options of sbatch.
#SBATCH --job-name=gan_jax
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=1:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=runs/slurm-%j.log
set -euo pipefail

# A job that was given a GPU must not train on the CPU because CUDA was not found.
if [[ "${SLURM_GPUS_ON_NODE:-0}" != 0 ]]; then
  export JAX_PLATFORMS=cuda,cpu
fi

root=${1%/.venv/bin/python}
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} # experiments

# To a study Ray lends all nodes; the token keeps others of the cluster out.
if [[ " $* " == *' experiments.study '* && "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]]; then
  RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
  export RAY_AUTH_TOKEN
  set -- bash "$root/launch/ray.sh" "$@"
fi

# One that has ended must not take along another that still saves.
status=0
srun --kill-on-bad-exit=0 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" "$@" || status=$?

# The first node's processes end with the study, and leave the folder of their sockets.
rm -rf "/tmp/gan_jax-${SLURM_JOB_ID:-}-0"

# 143 of a training: asked to end, and saved. What never gets beyond its start stops here.
if [[ "$status" -eq 143 && " $* " =~ ' experiments.'(train|study)' ' &&
  "${SLURM_RESTART_COUNT:-0}" -lt 50 ]]; then
  printf 'saved; back into the queue\n'
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"

#!/usr/bin/env bash
# What one NVIDIA GPU does with this project, in less than ten minutes: tests marked gpu,
# the main job twice, the benchmark with its peers, many GANs, batches and precisions,
# what the host adds, a trace with its kernels.
#   experiments/measure/on_gpu.sh [FOLDER]       results; docs/results/gpu by default
# It installs nothing: JAX with CUDA must be there, PyTorch for its peers (PEERS= leaves
# them out). The data set is looked for as experiments.train does ($GAN_JAX_DATA_DIR).
# QUICK=1 takes a step or two of each, on any machine, and no trace: it tests this script.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
folder=${1:-docs/results/gpu}
python=${PYTHON:-python}
peers=${PEERS-eager,tuned,graphed}
mkdir -p "$folder"
steps=100 rounds=3 examples=60000 slower=1 batches=64,512,4096 epoch=()
traced=(wasserstein_gp nonsaturating relativistic)
if [[ "${QUICK:-}" == 1 ]]; then
  steps=1 rounds=1 examples=200 slower=5 batches=8,16 traced=()
  epoch=(--steps=2 --dataset=garments --num_examples=2000 --batch_size=8)
fi
failed=0

# part SECONDS NAME COMMAND...: what fails or takes too long does not stop the rest
part() {
  local limit=$1 name=$2 started=$SECONDS
  shift 2
  echo "== $name: $*"
  if timeout --kill-after=10 $((limit * slower)) "$@" > "$folder/$name.txt" 2>&1; then
    echo "   done in $((SECONDS - started)) s"
  else
    echo "   FAILED with $? after $((SECONDS - started)) s:"
    tail -n 5 "$folder/$name.txt"
    failed=1
  fi
}

benchmark() {
  local limit=$1 name=$2
  shift 2
  part "$limit" "$name" "$python" -m experiments.measure.benchmark --steps="$steps" \
    --rounds="$rounds" --num_examples="$examples" "$@" \
    --output="$folder/$name.json"
}

nvidia-smi > "$folder/machine.txt" 2>&1 || echo "no nvidia-smi" > "$folder/machine.txt"
part 50 tests "$python" -m pytest -q -m gpu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for start in first second; do
  part 45 "main_job_$start" "$python" -m experiments.train --loss=wasserstein_gp \
    --workdir="$work/$start" ${epoch[@]+"${epoch[@]}"}
done
benchmark 120 peers --loss=wasserstein_gp --peers="$peers" --precision=tf32
benchmark 60 many --loss=wasserstein_gp --peers= --gans=1,8,32 --precision=tf32
benchmark 160 sweep --loss=wasserstein_gp --peers= --batch_size=$batches \
  --precision=float32,tf32,bfloat16
benchmark 40 host --network=mlp --width=8 --loss=nonsaturating --batch_size=32 --peers= \
  --recorder
for loss in ${traced[@]+"${traced[@]}"}; do
  part 20 "trace_$loss" "$python" -m experiments.measure.trace_kernels --loss="$loss" \
    --output="$folder/trace_$loss.json"
done
read=$(printf '%s,' "$folder"/{peers,many,sweep}.json)
part 20 tables "$python" -m experiments.measure.benchmark --read="${read%,}" \
  --output="$folder/all.json" --markdown="$folder/all.md" --figure="$folder/all.png"
echo "results are in $folder, after $SECONDS s"
exit "$failed"

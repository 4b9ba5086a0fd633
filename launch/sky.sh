# shellcheck shell=bash
# Any cloud or Kubernetes through SkyPilot; the task is launch/sky.yaml.

# shellcheck source=launch/rented.sh
source "$root/launch/rented.sh"

gpus=L4:1
infra=
task=()

prepare() {
  local device=gpu
  options 'gpus nodes spot infra' "$@"
  require_word gpus
  require_word infra
  require_program sky "pip install 'skypilot[gcp]' (or another cloud), then sky check"
  require_program rsync 'install it with your package manager'
  require_program ssh 'install OpenSSH'
  [[ "$nodes" -eq 1 ]] || distribute
  case "$gpus" in
    none) device=cpu ;;
    tpu-*) device=tpu ;;
  esac
  task=(--workdir "$root" --gpus "$gpus" --num-nodes "$nodes")
  "$spot" && task+=(--use-spot)
  [[ -z "$infra" ]] || task+=(--infra "$infra")
  task+=(--env "GAN_JAX_DEVICE=$device")
}

# An hour without a job, and SkyPilot deletes the machine by itself.
create() {
  attend sky launch --yes --cluster "$name" --idle-minutes-to-autostop 60 --down \
    "${task[@]}" --env GAN_JAX_RUN= "$root/launch/sky.yaml"
}

upload() {
  attend ssh "$name" "mkdir -p sky_workdir/$workdir" &&
    attend rsync -az "$workdir/" "$name:sky_workdir/$workdir/"
}

start() {
  attend sky exec "${task[@]}" --env "GAN_JAX_RUN=$(quoted "$program" "${flags[@]}")" \
    "$name" "$root/launch/sky.yaml"
}

stop() {
  run ssh "$name" 'cd sky_workdir && bash launch/machine.sh stop'
}

fetch() {
  run rsync -az "$name:sky_workdir/$workdir/" "$workdir/"
}

delete() {
  run sky down --yes "$name"
}

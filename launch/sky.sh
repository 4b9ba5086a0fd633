# shellcheck shell=bash
# Any cloud or Kubernetes through SkyPilot; the task is launch/sky.yaml.

# shellcheck source=launch/rented.sh
source "$root/launch/rented.sh"

gpus=L4:1
infra=
task=()
kept="for an hour, or longer after 'sky autostop --cancel $name'"
look="'sky status' shows it; 'sky api status' what is still creating it, and 'sky api\
 cancel ID' ends that first"

prepare() {
  local device=gpu
  options 'gpus nodes spot infra' "$@"
  require_word gpus
  require_word infra
  require_program sky "pip install 'skypilot[gcp]' (or another cloud), then sky check"
  require_program rsync 'install it with your package manager'
  require_program ssh 'install OpenSSH'
  spread
  case "$gpus" in
    none) device=cpu ;;
    tpu-*) device=tpu ;;
  esac
  [[ "$device,$extra" != tpu,ray* ]] || fail "$no_tpus"
  task=(--workdir "$root" --gpus "$gpus" --num-nodes "$nodes")
  "$spot" && task+=(--use-spot)
  [[ -z "$infra" ]] || task+=(--infra "$infra")
  task+=(--env "GAN_JAX_DEVICE=$device")
  [[ -z "$extra" ]] || task+=(--env "GAN_JAX_EXTRA=$extra")
}

# An hour without a job, and SkyPilot deletes the machine by itself.
create() {
  attend sky launch --yes --cluster "$name" --idle-minutes-to-autostop 60 --down \
    "${task[@]}" --env GAN_JAX_RUN= "$root/launch/sky.yaml"
}

upload() {
  attend ssh "${alive[@]}" "$name" "mkdir -p sky_workdir/$workdir" &&
    attend rsync -az --timeout=60 -e "ssh ${alive[*]}" "$workdir/" "$name:sky_workdir/$workdir/"
}

# Ray's token goes by the environment: a command line can be read by others.
start() {
  local secret=()
  if [[ "$extra" == ray* ]]; then
    RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    export RAY_AUTH_TOKEN
    secret=(--secret RAY_AUTH_TOKEN)
  fi
  attend sky exec "${task[@]}" ${secret[@]+"${secret[@]}"} \
    --env "GAN_JAX_RUN=$(quoted "$program" "${flags[@]}")" "$name" "$root/launch/sky.yaml"
}

stop() {
  run ssh "${alive[@]}" "$name" 'cd sky_workdir && bash launch/machine.sh stop'
}

fetch() {
  run rsync -az --timeout=60 -e "ssh ${alive[*]}" "$name:sky_workdir/$workdir/" "$workdir/"
}

# Ctrl-C ends the client of `sky launch`, and not the server's work on it. A cluster that
# is not on record by then is "not found", which counts as deleted, and still comes.
delete() {
  local said status=0
  if "$dry_run" || ! "$interrupted" || [[ "$phase" == run ]]; then
    run sky down --yes "$name"
    return
  fi
  said=$(sky down --yes "$name" 2>&1) || status=$?
  printf '%s\n' "$said"
  [[ "$status" -eq 0 && "$said" != *'not found'* ]]
}

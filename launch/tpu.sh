# shellcheck shell=bash
# TPU VMs of Google Cloud, v2 to v6e, through gcloud.

# shellcheck source=launch/rented.sh
source "$root/launch/rented.sh"

zone=${CLOUDSDK_COMPUTE_ZONE:-}
type=v6e-1
version=
project=
where=()
everywhere=()

prepare() {
  local chips option
  options 'type zone project version spot' "$@"
  for option in type zone project version; do
    require_word "$option"
  done
  [[ "$type" =~ ^v[2-6][a-z]*-[0-9]+$ ]] ||
    fail "--type=$type is no accelerator type: v6e-1, v6e-8, v5litepod-4, v4-8, ..."
  [[ -n "$zone" ]] ||
    fail 'a TPU needs --zone=ZONE: https://cloud.google.com/tpu/docs/regions-zones has them'
  require_program gcloud 'install the Google Cloud CLI, then gcloud auth login'
  [[ -n "$version" ]] || version=$(runtime)
  where=(--zone "$zone" --quiet)
  [[ -z "$project" ]] || where+=(--project "$project")
  everywhere=(--worker all "${where[@]}")
  # Up to v3-8, v4-8 (cores) and v6e-8 (chips) it is one machine, above it several.
  chips=${type##*-}
  [[ "10#$chips" -le 8 ]] || distribute
}

runtime() {
  case "$type" in
    v6e-*) printf v2-alpha-tpuv6e ;;
    v5p-*) printf v2-alpha-tpuv5 ;;
    v5*) printf v2-alpha-tpuv5-lite ;;
    *) printf tpu-ubuntu2204-base ;;
  esac
}

create() {
  local options=(--accelerator-type "$type" --version "$version")
  "$spot" && options+=(--spot)
  attend gcloud compute tpus tpu-vm create "$name" "${options[@]}" "${where[@]}" &&
    attend gcloud compute tpus tpu-vm ssh "$name" "${everywhere[@]}" \
      --command "mkdir -p gan_jax/$workdir" &&
    attend gcloud compute tpus tpu-vm scp --recurse "${everywhere[@]}" \
      "$root"/{launch.sh,launch,pyproject.toml,constraints.txt,README.md,LICENSE} \
      "$root"/{gan_jax,experiments} "$name:gan_jax/" &&
    attend gcloud compute tpus tpu-vm ssh "$name" "${everywhere[@]}" \
      --command 'cd gan_jax && bash launch/machine.sh setup tpu'
}

upload() {
  attend gcloud compute tpus tpu-vm scp --recurse "${where[@]}" \
    "$workdir" "$name:gan_jax/$(dirname "$workdir")/"
}

start() {
  attend gcloud compute tpus tpu-vm ssh "$name" "${everywhere[@]}" \
    --command "cd gan_jax && bash launch/machine.sh run tpu $(quoted "$program" "${flags[@]}")"
}

# One of several that is asked ends them all.
stop() {
  run gcloud compute tpus tpu-vm ssh "$name" "${where[@]}" \
    --command 'cd gan_jax && bash launch/machine.sh stop'
}

fetch() {
  run gcloud compute tpus tpu-vm scp --recurse "${where[@]}" \
    "$name:gan_jax/$workdir" "$(dirname "$workdir")/"
}

delete() {
  run gcloud compute tpus tpu-vm delete "$name" "${where[@]}"
}

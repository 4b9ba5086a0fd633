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
tree=()
ssh=(gcloud compute tpus tpu-vm ssh "${alive[@]/#/--ssh-flag=}")
scp=(gcloud compute tpus tpu-vm scp "${alive[@]/#/--scp-flag=}" --recurse)

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
  spread
  [[ "$program,$extra" != study,ray* && ("$program" != study || "10#$chips" -le 8) ]] ||
    fail "$no_tpus"
  if [[ "10#$chips" -gt 8 ]]; then
    distribute ''
    "$dry_run" || require_agent
  fi
  find_tree
  look="gcloud compute tpus tpu-vm list $(quoted "${where[@]}") shows what is there"
}

# To reach several machines gcloud wants its key in an ssh-agent. It says so when they
# are there and paid for.
require_agent() {
  local key=$HOME/.ssh/google_compute_engine print
  print=$(ssh-keygen -lf "$key" 2>/dev/null | cut -d ' ' -f 2) || print=
  [[ -n "$print" && "$(ssh-add -l 2>/dev/null)" == *"$print"* ]] ||
    fail "--type=$type is several machines, for which ssh-agent has to hold the key of\
 gcloud: eval \"\$(ssh-agent)\"; ssh-add $key (where there is none: ssh-keygen -t rsa -f $key)"
}

runtime() {
  case "$type" in
    v6e-*) printf v2-alpha-tpuv6e ;;
    v5p-*) printf v2-alpha-tpuv5 ;;
    v5*) printf v2-alpha-tpuv5-lite ;;
    *) printf tpu-ubuntu2204-base ;;
  esac
}

# What a machine gets: of the working tree what git does not ignore, code and pictures of
# one's own among it; where there is no git, what every run needs.
find_tree() {
  local name
  tree=("$root"/{launch.sh,launch,pyproject.toml,constraints.txt,README.md,LICENSE}
    "$root"/{gan_jax,experiments})
  while IFS= read -r name; do
    case "$name" in
      .* | docs | tests | notebooks) ;; # no run reads them
      *) [[ " ${tree[*]} " == *" $root/$name "* || ! -e $root/$name ]] || tree+=("$root/$name") ;;
    esac
  done < <(git -C "$root" -c core.quotePath=off ls-files --cached --others \
    --exclude-standard 2>/dev/null | cut -d / -f 1 | sort -u)
}

create() {
  local folder=gan_jax/$workdir options=(--accelerator-type "$type" --version "$version")
  "$spot" && options+=(--spot)
  "$shared" && folder=gan_jax
  attend gcloud compute tpus tpu-vm create "$name" "${options[@]}" "${where[@]}" &&
    attend "${ssh[@]}" "$name" "${everywhere[@]}" \
      --command "mkdir -p $folder" &&
    attend "${scp[@]}" "${everywhere[@]}" \
      "${tree[@]}" "$name:gan_jax/" &&
    attend "${ssh[@]}" "$name" "${everywhere[@]}" \
      --command "cd gan_jax && bash launch/machine.sh setup tpu${extra:+ $extra}"
}

upload() {
  attend "${scp[@]}" "${where[@]}" \
    "$workdir" "$name:gan_jax/$(dirname "$workdir")/"
}

start() {
  attend "${ssh[@]}" "$name" "${everywhere[@]}" \
    --command "cd gan_jax && bash launch/machine.sh run tpu $(quoted "$program" "${flags[@]}")"
}

# One of several that is asked ends them all.
stop() {
  run "${ssh[@]}" "$name" "${where[@]}" \
    --command 'cd gan_jax && bash launch/machine.sh stop'
}

fetch() {
  run "${scp[@]}" "${where[@]}" \
    "$name:gan_jax/$workdir" "$(dirname "$workdir")/"
}

# What could not be created, as where none is free, cannot be deleted either.
delete() {
  local left
  run gcloud compute tpus tpu-vm delete "$name" "${where[@]}" && return
  [[ "$phase" == set-up ]] && ! "$interrupted" &&
    left=$(gcloud compute tpus tpu-vm list "${where[@]}" --format 'value(name)') &&
    [[ "$left" != *"$name"* ]] &&
    say "there is no $name: nothing to delete, and nothing to pay"
}

# shellcheck shell=bash
# One life of a rented machine: set-up, run, results fetched, machine deleted. An engine
# (sky.sh, tpu.sh) gives the steps: prepare, create, upload, start, stop, fetch, delete.
#
# However it ends, Ctrl-C included, the run is asked to save, the results are fetched
# and the machine is deleted. Results that cannot be fetched keep their machine, and
# one line says how to fetch them and how to delete it. A connection that died is given
# up after a minute, so that it never keeps a machine paid for.

# shellcheck source=launch/options.sh
source "$root/launch/options.sh"

# No two launches ever mean the same machine.
name=gan-jax-$(date +%m%d-%H%M%S)-$$
workdir=
phase=set-up
child=
mirror=
interrupted=false
shared=false # the run folder is in a bucket
kept='until you delete it' # for how long results that were not fetched stay there
look=                      # how to see what is left; an engine says it

# Options of every ssh. One word each: gcloud hands on words.
alive=(-oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4)

rent() {
  local status=0
  prepare "$@"
  choose_workdir
  "$shared" || run mkdir -p "$workdir"
  trap 'finish $?' EXIT # what nobody expects deletes the machine, too
  trap 'interrupted=true; finish 129' HUP
  trap 'interrupted=true; finish 130' INT
  trap 'interrupted=true; finish 143' TERM
  trap '' PIPE # Ctrl-C ends what the output is piped into as well, such as tee
  "$dry_run" || say "renting $name; if this terminal dies, delete it: $(printed delete)"
  create || finish $?
  if ! "$shared" && [[ -n "$(ls -A "$workdir" 2>/dev/null)" ]]; then # a run that goes on
    upload || finish $?
  fi
  phase=run
  "$shared" || keep_fetching
  start || status=$?
  finish "$status"
}

# The run folder has the same path there as here, and nothing else is fetched. A folder
# of its own, where none is named, so that two runs never mix. A study may write into a
# bucket, and then nothing is fetched.
choose_workdir() {
  local given output each
  given=$(flag workdir)
  output=$(flag output)
  if ! grep -qE '"workdir"|import .*\b(plan|study_flags|experiment)\b' "$source"; then
    given=$output
    [[ "$given" == --output=?* ]] || fail "experiments.$program has no --workdir: name a\
 file of its own with --output=runs/NAME/FILE, whose folder is fetched"
    given=--workdir=$(dirname "${given#*=}")
  fi
  case "$given" in
    '')
      workdir=runs/$name
      flags+=("--workdir=$workdir")
      ;;
    --workdir=*)
      workdir=${given#*=}
      workdir=${workdir%/}
      ;;
    *) fail 'write --workdir=FOLDER, with two dashes and in one word' ;;
  esac
  if [[ "$program" == study && "$workdir" =~ ^(gs|s3)://[A-Za-z0-9._/-]+$ ]]; then
    shared=true
    return
  fi
  [[ "$workdir" =~ ^[A-Za-z0-9._/-]+$ && ! "/$workdir/" =~ /\.{0,2}/ ]] ||
    fail "--workdir=$workdir has to be a plain path below this folder, such as runs/mine"
  # What lies elsewhere is not fetched, and goes with the machine.
  for each in output markdown figure; do
    [[ -z "$(flag "$each")" || "$(flag "$each")" == "--$each=$workdir/"?* ]] ||
      fail "only $workdir is fetched: write --$each=$workdir/FILE"
  done
  [[ -z "$(flag init_from)" ]] ||
    fail "$(flag init_from) names a run of this machine, and a rented one has none"
  # The new run would come back among the checkpoints of the old one.
  [[ ! "$(flag overwrite)" =~ ^--?overwrite(=[tTyY1].*)?$ ||
    -z "$(ls -A "$workdir" 2>/dev/null)" ]] ||
    fail "$workdir is not empty here: leave out --overwrite to go on with it, or delete it"
  # Without a default folder it reads a run, and one that is not here is not there.
  if grep -qE '"workdir", (\[\]|None)' "$source" && [[ -z "$(ls -A "$workdir" 2>/dev/null)" ]]; then
    fail "experiments.$program reads a run, and $workdir holds none: --workdir=runs/mine"
  fi
}

# Runs a command so that signals are heard while it runs.
attend() {
  if "$dry_run"; then
    run "$@"
    return
  fi
  "$@" &
  child=$!
  local status=0
  wait "$child" || status=$?
  child=
  return "$status"
}

# What a step would do, in words.
printed() {
  (
    dry_run=true
    "$1"
  ) | sed 's/ $//'
}

# A machine may be taken away at any time: what was fetched by then goes on elsewhere.
keep_fetching() {
  local seconds=${GAN_JAX_FETCH_SECONDS:-300}
  if "$dry_run"; then
    printf '# while it runs, every %s s: %s\n' "$seconds" "$(printed fetch)"
    return
  fi
  set -m # a process group of its own, which can be ended as a whole
  (
    set +m
    trap 'kill "$!" 2>/dev/null; exit' TERM
    while :; do
      sleep "$seconds" &
      wait "$!"
      fetch || : # never cut off: half a file would be left
    done
  ) </dev/null >/dev/null 2>&1 &
  mirror=$!
  set +m
}

# A fetch in hand may end, unless that takes too long or a signal comes.
end_fetching() {
  local tenth
  [[ -n "$mirror" ]] || return 0
  kill "$mirror" 2>/dev/null || :
  for ((tenth = 0; tenth < 10 * ${GAN_JAX_PATIENCE_SECONDS:-120}; tenth++)); do
    kill -0 "$mirror" 2>/dev/null || return 0
    sleep 0.1 || break
  done
  kill -KILL -- "-$mirror" 2>/dev/null || :
  wait "$mirror" 2>/dev/null || :
}

finish() {
  local status=$1
  trap : HUP INT TERM # once more, they end the step in hand and no more
  trap - EXIT
  ! "$dry_run" || [[ "$status" -eq 0 ]] || exit "$status"
  "$dry_run" || exec >&2
  if [[ "$status" -ne 0 ]]; then
    say "the $phase ended with status $status: its machine is wound up" ||
      exec >/dev/null 2>&1
  fi
  [[ -z "$child" ]] || kill "$child" 2>/dev/null || :
  end_fetching
  if [[ "$phase" == run ]]; then
    [[ "$status" -eq 0 ]] || stop || :
    if ! "$shared" && ! fetch; then
      [[ "$status" -ne 0 ]] || status=1
      say "could not fetch the results; $name keeps them $kept, and costs money until\
 then; fetch: $(printed fetch); delete: $(printed delete)"
      exit "$status"
    fi
    "$dry_run" ||
      say "the results are in $workdir; to go on with them: --workdir=$workdir"
  elif ! "$shared"; then
    rmdir "$workdir" 2>/dev/null || :
  fi
  if ! delete; then
    [[ "$status" -ne 0 ]] || status=1
    say "could not delete $name, which may cost money${look:+ ($look)}: $(printed delete)"
  fi
  exit "$status"
}

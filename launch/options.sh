# shellcheck shell=bash
# What the engines share: options of the launcher, apart from flags of the program.
# Whatever can be refused is refused here, before a machine costs money.

program=train
source= # the program's file
spot=false
nodes=1
flags=() # of the program
extra=   # of pyproject.toml, which it needs beside that of the device

# options ALLOWED ARGUMENTS...: --name=value of each allowed name becomes $name.
options() {
  local allowed=" $1 program " argument name names=()
  shift
  while [[ $# -gt 0 ]]; do
    argument=$1
    shift
    name=${argument%%=*}
    name=${name#--}
    case "$argument" in
      --)
        flags+=("$@")
        break
        ;;
      -h | --help)
        usage
        exit
        ;;
      --*)
        if [[ "$allowed" != *" $name "* ]]; then
          names+=("$name")
          flags+=("$argument")
        elif [[ "$name" == spot ]]; then
          [[ "$argument" == --spot ]] || fail '--spot takes no value'
          spot=true
        else
          [[ "$argument" == "--$name="?* ]] || fail "--$name needs a value: --$name=..."
          printf -v "$name" '%s' "${argument#*=}"
        fi
        ;;
      *) flags+=("$argument") ;; # the value of --flag value
    esac
  done
  source=$root/experiments/${program//.//}.py
  [[ "$program" =~ ^[a-z0-9_]+(\.[a-z0-9_]+)?$ ]] &&
    grep -qs '^if __name__ == "__main__"' "$source" ||
    fail "--program=$program is no program of experiments: such as train or evaluate"
  for name in ${names[@]+"${names[@]}"}; do
    check_flag "$name"
  done
  require_count nodes 1
}

# A misspelt flag is told here, and not by a rented machine after its set-up. What several
# programs share counts as everybody's.
check_flag() {
  local defined="(DEFINE_[a-z_]+\(|^    )\"(${1}|${1#no})\","
  [[ "$1" =~ ^[a-z0-9_]+$ ]] &&
    grep -qrE --include='*.py' -e "$defined" "$source" "$root/experiments/common" ||
    fail "--$1 is no flag of experiments.$program and no option of $command: ./launch.sh\
 --help names the options, and what stands after -- is passed on unseen"
}

# require_count NAME LEAST: the option is a whole number, and not too small.
require_count() {
  [[ "${!1}" =~ ^[0-9]{1,4}$ && "10#${!1}" -ge "$2" ]] ||
    fail "--$1=${!1} must be a whole number, at least $2"
  printf -v "$1" %s "$((10#${!1}))" # 08 is no octal number
}

require_word() {
  [[ "${!1}" =~ ^[A-Za-z0-9/:._*+-]*$ ]] || fail "--$1=${!1} has characters that no value has"
}

# require_program NAME HOW: it is on PATH; printed commands do without.
require_program() {
  "$dry_run" || command -v "$1" >/dev/null 2>&1 || fail "needs $1: $2"
}

# Of several machines a training is a process on each, which train together.
distribute() {
  [[ "$program" == train ]] ||
    fail "experiments.$program runs on one machine: only experiments.train takes several$1"
  [[ -z "$(flag init_from)" ]] ||
    fail "$(flag init_from) is for one process, and several machines have one each"
  [[ "$(flag distributed)" == --distributed ]] || flags+=(--distributed)
}

no_tpus='Ray lends no TPUs: a study takes those of one machine, up to 8, without --engine'

# ... and a study is one process, to which Ray lends them all (launch/ray.sh).
spread() {
  if [[ "$program" != study ]]; then
    [[ "$nodes" -eq 1 ]] || distribute ', and experiments.study'
    return
  fi
  case "$((10#$nodes)),$(flag engine),$(flag ray_address)" in
    1,,* | 1,--engine=local,*) ;;
    1,* | *,, | *,--engine=ray,) extra=ray ;;
    *) fail "--nodes=$nodes starts a Ray on them all: leave out --engine and --ray_address" ;;
  esac
  case "$(flag workdir)" in # of a store
    --workdir=s3://*) extra+=${extra:+,}s3 ;;
    --workdir=gs://*) extra+=${extra:+,}gcs ;;
  esac
}

# flag NAME: the last of the flags that is --NAME or --NAME=...
flag() {
  local each found=
  for each in ${flags[@]+"${flags[@]}"}; do
    case "$each" in
      "--$1" | "--$1="* | "-$1" | "-$1="*) found=$each ;;
    esac
  done
  printf '%s' "$found"
}

# Words, quoted so that bash reads them back.
quoted() {
  local text
  text=$(printf '%q ' "$@")
  printf '%s' "${text% }"
}

#!/usr/bin/env bash
# Runs the paper's findings again: launch/reproduce.sh small|paper [FINDING]…   (1 to 7; none: all)
#   small  models of 0.1M parameters on two cores, configs/small; RESULTS.md shows what came of it
#   paper  the paper's own sizes on GPUs, configs/paper; see there what must be at hand
# Leaves runs/reproduce/SIZE/FINDING.html. What is finished is skipped: stop it and start it again.
#   LONGHAUL_PROGRAM  default build/release/bin/longhaul
#   LONGHAUL_SEEDS    default "1 2 3"
#   LONGHAUL_RANKS    ranks of a run; default: small 1, paper 8
#   LONGHAUL_JOBS     seeds that run side by side; default: small, one a core; paper, 1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

size=${1:-}
if [[ $size != small && $size != paper ]]; then
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  [[ $size == -h || $size == --help ]] && exit 0
  exit 2
fi
shift
findings=("$@")
((${#findings[@]} > 0)) || findings=(1 2 3 4 5 6 7)
for finding in "${findings[@]}"; do
  if ! [[ $finding =~ ^[1-7]$ ]]; then
    echo "reproduce.sh: found finding '$finding', expected 1 to 7" >&2
    exit 2
  fi
done

program=${LONGHAUL_PROGRAM:-build/release/bin/longhaul}
if [[ ! -x $program ]]; then
  echo "reproduce.sh: there is no $program, expected the program: make it (README.md), or name it in LONGHAUL_PROGRAM" >&2
  exit 2
fi
read -ra seeds <<<"${LONGHAUL_SEEDS:-1 2 3}"
configs=configs/$size
runs=runs/reproduce/$size

# What differs between the sizes: lengths (tokens) and how much is measured.
case $size in
  small)
    ranks=${LONGHAUL_RANKS:-1} jobs=${LONGHAUL_JOBS:-$(nproc)}
    trained=64 far=4096 sequences=64 remembered=4096 remembered_sequences=16
    tokens=runs/quickstart/tokens held_out=runs/quickstart/tokens_held_out
    short_training=(schedule.steps=750) small_state=(model.shape.state_dim=32)
    ;;
  paper)
    ranks=${LONGHAUL_RANKS:-8} jobs=${LONGHAUL_JOBS:-1}
    trained=2048 far=131072 sequences=64 remembered=8192 remembered_sequences=64
    tokens=runs/paper/tokens held_out=runs/paper/tokens_held_out
    short_training=(schedule.steps=60000) small_state=(model.shape.state_dim=32)
    ;;
esac

say() { printf '\n== %s\n' "$*"; }

longhaul() {
  if ((ranks == 1)); then
    OMP_NUM_THREADS=1 "$program" "$@"
  else
    launch/mpirun.sh "$ranks" "$program" "$@"
  fi
}

# with_log NAME COMMAND…: its output in logs/NAME, of which the end is shown if it fails.
with_log() {
  local log=$runs/logs/${1//\//-}.log
  shift
  mkdir -p "$runs/logs"
  "$@" >"$log" 2>&1 || { tail -n 3 "$log" >&2; return 1; }
}

# train FOLDER CONFIG OVERRIDE…
train() {
  local folder=$1 config=$2 threads=0
  shift 2
  [[ -e $folder/model ]] && return
  ((ranks > 1)) || threads=1
  say "training $folder"
  with_log "train-${folder#"$runs/"}" \
    longhaul train "$config" run.folder="$folder" parallel.threads="$threads" "$@" --resume
}

# evaluate MODEL_FOLDER RUN_FOLDER MEASURE OPTION…
evaluate() {
  local model=$1 json=$2/evaluation/$3.json measure=$3
  shift 3
  [[ -e $json ]] && return
  say "measuring $json"
  with_log "$measure-${json#"$runs/"}" longhaul eval "$measure" --model "$model" --json "$json" "$@"
}

# over_seeds FUNCTION…: each FUNCTION SEED, so many side by side as there are jobs.
over_seeds() {
  local seed running=0 failed=0
  for seed in "${seeds[@]}"; do
    if ((running == jobs)); then
      wait -n || failed=1
      running=$((running - 1))
    fi
    "$@" "$seed" &
    running=$((running + 1))
  done
  while ((running > 0)); do
    wait -n || failed=1
    running=$((running - 1))
  done
  return $failed
}

# report FINDING TITLE ARM…
report() {
  local finding=$1 title=$2
  shift 2
  "$program" report "${@/#/$runs/}" --out "$runs/$finding.html" --title "$title" --figures "$runs/figures-$finding"
}

need_text() {
  [[ -e $tokens && -e $held_out ]] && return
  if [[ $size == small ]]; then
    launch/quickstart_tokens.sh "$program"
  else
    echo "reproduce.sh: there is no $tokens or no $held_out, expected token folders (configs/paper/README.md)" >&2
    exit 2
  fi
}

# Text: base models from scratch, and arms from the base of the same seed.
text_run() { echo "$runs/text/$1/seed-$2"; }
text_base() {
  local name=$1 seed=$2
  shift 2
  train "$(text_run "$name" "$seed")" "$configs/text/base.yaml" data.folder="$tokens" run.seed="$seed" "$@"
}
text_arm() {
  local source=$1 seed=$2
  train "$(text_run "$source" "$seed")" "$configs/text/arm.yaml" data.folder="$tokens" run.seed="$seed" \
    model.from="$(text_run base "$seed")/model" initial_state.source="$source"
}
# on_text ARM SEED MEASURE OPTION…
on_text() {
  local folder
  folder=$(text_run "$1" "$2")
  shift 2
  evaluate "$folder/model" "$folder" "$@" --data "$held_out" --windows inside --training-length "$trained"
}
perplexity_of() { on_text "$1" "$2" perplexity --length "$far" --sequences "$sequences"; }

finding_1() {
  local seed=$1
  text_base base "$seed"
  text_base short_training "$seed" "${short_training[@]}"
  text_base small_state "$seed" "${small_state[@]}"
  for arm in base short_training small_state; do perplexity_of "$arm" "$seed"; done
}
text_arms=(base zero noise fitted_noise state_passing tbtt)
finding_2() {
  local seed=$1 arm
  text_base base "$seed"
  for arm in "${text_arms[@]:1}"; do text_arm "$arm" "$seed"; done
  for arm in "${text_arms[@]}"; do perplexity_of "$arm" "$seed"; done
}
finding_3() {
  local seed=$1 arm
  finding_2 "$seed"
  for arm in "${text_arms[@]}"; do on_text "$arm" "$seed" states --length "$far" --sequences 16; done
}
finding_4() {
  local seed=$1 arm
  finding_2 "$seed"
  for arm in "${text_arms[@]}"; do
    on_text "$arm" "$seed" effrem --length "$remembered" --sequences "$remembered_sequences"
  done
}

for finding in "${findings[@]}"; do
  case $finding in
    [1-4]) need_text ;;
  esac
  over_seeds "finding_$finding"
  case $finding in
    1) report 1 "A base model fails past its training length" text/{base,short_training,small_state} ;;
    2) report 2 "Post-training from other initial states" "${text_arms[@]/#/text/}" ;;
    3) report 3 "The states by position" "${text_arms[@]/#/text/}" ;;
    4) report 4 "Effective remembrance" "${text_arms[@]/#/text/}" ;;
  esac
done

#!/usr/bin/env bash
# The work of quickstart.sh: launch/quickstart_job.sh PROGRAM [FOLDER WITH TEXT]
# Everything that is finished is skipped, so that it can be stopped and started again.
set -euo pipefail

if (($# < 1)) || [[ ! -x $1 ]]; then
  echo "usage: launch/quickstart_job.sh PROGRAM [FOLDER WITH TEXT]" >&2
  exit 2
fi
program=$(realpath "$1")
given_text=${2:+$(realpath "$2")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ranks=${LONGHAUL_RANKS:-2}
arms=(zero state_passing tbtt fitted_noise noise)
job=runs/quickstart

say() { printf '\n== %s\n' "$*"; }

# train FOLDER CONFIG OVERRIDE…
train() {
  local folder=$1 config=$2
  shift 2
  [[ -e $folder/model ]] && return
  say "training $folder"
  launch/mpirun.sh "$ranks" "$program" train "$config" run.folder="$folder" "$@" --resume
}

# evaluate MODEL RUN_FOLDER perplexity|recall OPTION…
evaluate() {
  local model=$1 json=$2/evaluation/$3.json measure=$3
  shift 3
  [[ -e $json ]] && return
  say "evaluating $model"
  launch/mpirun.sh "$ranks" "$program" eval "$measure" --model "$model" --json "$json" "$@"
}

# compare NAME CONFIGS MEASURE OPTION…: the base, every arm from it, and the report, in runs/NAME.
compare() {
  local name=$1 configs=$2 measure=$3 folder=runs/$1 base=$2/base arm folders=()
  shift 3
  if [[ ! -e $base/config.json ]]; then
    train "$folder/base" "$configs/base.yaml"
    base=$folder/base/model
  fi
  evaluate "$base" "$folder/base" "$measure" "$@"
  folders+=("$folder/base")
  for arm in "${arms[@]}"; do
    train "$folder/$arm" "$configs/arm.yaml" model.from="$base" initial_state.source="$arm"
    evaluate "$folder/$arm/model" "$folder/$arm" "$measure" "$@"
    folders+=("$folder/$arm")
  done
  say "report"
  "$program" report "${folders[@]}" --out "$folder/report.html" --title "longhaul: $name"
}

launch/quickstart_tokens.sh "$program" ${given_text:+"$given_text"}
# 64 times the training length of both configurations.
compare quickstart configs/quickstart perplexity --data "$job/tokens_held_out" --length 4096 --sequences 64 \
  --windows inside --training-length 64
"$program" export --model "$job/state_passing/model" --format hf --out "$job/state_passing_hf"
compare recall configs/small/recall recall --run configs/small/recall/arm.yaml --length 4096 \
  --sequences 64 --training-length 64
say "done: $job/report.html and runs/recall/report.html"

#!/usr/bin/env bash
# Runs the paper's findings again: launch/reproduce.sh small|medium|paper [FINDING]…   (1 to 7; none: all that the size has)
#   small   models of 0.1M parameters on two cores, configs/small; RESULTS.md shows what came of it
#   medium  findings 1 to 4 with 20M parameters and 200M tokens on one GPU, configs/medium
#   paper   the paper's own sizes on GPUs, configs/paper; see there what must be at hand
# Leaves runs/reproduce/SIZE/FINDING.html. What is finished is skipped: stop it and start it again.
#   LONGHAUL_PROGRAM  default build/release/bin/longhaul
#   LONGHAUL_SEEDS    default "1 2 3"
#   LONGHAUL_RANKS    ranks of a run; default: small and medium 1, paper 8
#   LONGHAUL_JOBS     seeds that run side by side; default: small, one a core; others, 1
#   LONGHAUL_TEXT     medium: a folder with text in the place of the kernel's sources
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

size=${1:-}
if [[ $size != small && $size != medium && $size != paper ]]; then
  sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  [[ $size == -h || $size == --help ]] && exit 0
  exit 2
fi
shift
last=7
[[ $size != medium ]] || last=4
findings=("$@")
((${#findings[@]} > 0)) || mapfile -t findings < <(seq "$last")
for finding in "${findings[@]}"; do
  if ! [[ $finding =~ ^[1-$last]$ ]]; then
    echo "reproduce.sh: found finding '$finding', expected 1 to $last" >&2
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

# What differs between the sizes: where arms start from, lengths (tokens), how much is measured, finding 1's variants of the base,
# what findings 2 to 4 are looked for in.
case $size in
  small)
    ranks=${LONGHAUL_RANKS:-1} jobs=${LONGHAUL_JOBS:-$(nproc)}
    released='' scratch=base
    tokens=runs/quickstart/tokens held_out=runs/quickstart/tokens_held_out
    streams=(text recall) # associative recall beside text: what is remembered can be counted
    trained=64 far=4096 states_far=8192 sequences=64
    # On recall as far past training as in the paper, four times its length, up to a query.
    declare -A remembered=([text]='--length 4096 --sequences 16' [recall]='--length 255 --sequences 128')
    # States are compared after a quarter of the tokens: with more of them heads learn to forget, whatever the state's size.
    variants=(
      'short_training schedule.steps=750'
      'state_128 data.sequences=16'
      'state_32 data.sequences=16 model.shape.state_dim=32'
      'state_8 data.sequences=16 model.shape.state_dim=8'
    )
    letters=16,32,48,64,96,128 letter_trials=500 copy_arms=(base zero state_passing)
    key_trained=1024 key_lengths=1024,2048,4096,8192,16384,32768 key_trials=20
    background=$tokens background_held_out=$held_out
    stories=runs/reproduce/stories_short/qa1_single-supporting-fact_train.txt
    test_stories=runs/reproduce/stories_short/qa1_single-supporting-fact_test.txt
    story_trained=128 story_lengths=0,128,256,512,1024,2048,4096,8192
    story_options=(--shots 0 --no-instruction --trials 200 --answer-tokens 24)
    few_shot=few_shot few_shot_arms=(base zero state_passing) few_shot_data=runs/reproduce/few_shot_tokens
    few_shot_trained=256 few_shot_lengths=0,512,1024,2048,4096
    few_shot_options=(--prompts "$configs/few_shot/prompts.yaml" --shots 2 --no-instruction --trials 200 --answer-tokens 24)
    ;;
  medium)
    ranks=${LONGHAUL_RANKS:-1} jobs=${LONGHAUL_JOBS:-1}
    released='' scratch=base
    tokens=runs/medium/tokens held_out=runs/medium/tokens_held_out
    streams=(text)
    trained=256 far=16384 states_far=32768 sequences=64
    declare -A remembered=([text]='--length 8192 --sequences 16')
    variants=('short_training schedule.steps=375' 'small_state model.shape.state_dim=32')
    ;;
  paper)
    ranks=${LONGHAUL_RANKS:-8} jobs=${LONGHAUL_JOBS:-1}
    released=models/mamba2-780m scratch=scratch
    tokens=runs/paper/tokens held_out=runs/paper/tokens_held_out
    streams=(text)
    trained=2048 far=131072 states_far=131072 sequences=64
    declare -A remembered=([text]='--length 8192 --sequences 64')
    variants=('short_training schedule.steps=6000' 'small_state model.shape.state_dim=32')
    letters=25,50,75,100,150,200 letter_trials=200 copy_arms=(zero state_passing)
    key_trained=2048 key_lengths=2048,4096,8192,16384,32768,65536,131072,262144 key_trials=20
    background=runs/paper/background background_held_out=runs/paper/background_held_out
    stories=runs/paper/tasks test_stories=runs/paper/tasks
    story_trained=2048 story_lengths=0,1024,2048,4096,8192,16384,32768,65536,131072,262144
    story_options=(--trials 100)
    few_shot=text few_shot_arms=(base state_passing tbtt) few_shot_data=$tokens
    few_shot_trained=$story_trained few_shot_lengths=$story_lengths few_shot_options=(--trials 100)
    ;;
esac

threads=0 # of a rank; 0: its share of the cores
if [[ $size == small ]] && ((ranks == 1)); then
  threads=1
  export OMP_NUM_THREADS=1
fi

say() { printf '\n== %s\n' "$*"; }

longhaul() {
  if ((ranks == 1)); then
    "$program" "$@"
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
  local folder=$1 config=$2
  shift 2
  [[ -e $folder/model ]] && return
  say "training $folder"
  with_log "train-${folder#"$runs/"}" \
    longhaul train "$config" run.folder="$folder" parallel.threads="$threads" "$@" --resume
}

# evaluate MODEL_FOLDER RUN_FOLDER MEASURE OPTION… (MEASURE_NAME: another result of MEASURE)
evaluate() {
  local model=$1 json=$2/evaluation/$3.json measure=$3
  shift 3
  [[ -e $json ]] && return
  say "measuring $json"
  with_log "$measure-${json#"$runs/"}" longhaul eval "${measure%_*}" --model "$model" --json "$json" "$@"
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
  elif [[ $size == medium ]]; then
    launch/quickstart_tokens.sh --job runs/medium "$program" "${LONGHAUL_TEXT:-}" \
      '*.rst' '*/'{kernel,mm,fs,net,sound,lib}'/*.c'
  else
    echo "reproduce.sh: there is no $tokens or no $held_out, expected token folders (configs/paper/README.md)" >&2
    exit 2
  fi
}

# Stories in sentences of half the bytes, which the smallest models learn in short prompts: "Anna in library."
short_stories() {
  local file folder=runs/reproduce/stories
  [[ -e $folder ]] || "$program" stories --out "$folder"
  mkdir -p "$(dirname "$stories")"
  for file in "$folder"/qa1_*; do
    sed -E 's/ (went|moved|walked|travelled) to the / in /' "$file" >"$(dirname "$stories")/${file##*/}"
  done
}

# Code with stories between its files, a dozen solved questions to a page: from the files that are not held out.
few_shot_text() {
  local origin text=runs/reproduce/few_shot_text
  origin=$(<runs/quickstart/tokens_from)
  rm -rf "$text"
  mkdir -p "$text/stories" "$text/code"
  (cd "$origin" && find . -type f -size +0 | LC_ALL=C sort) | awk 'NR % 10 != 0' >"$text/files"
  grep '\.c$' "$text/files" >"$text/list" || cp "$text/files" "$text/list"
  tar -C "$origin" --verbatim-files-from -c -T "$text/list" | tar -C "$text/code" -x
  (cd "$text/code" && LC_ALL=C sort "../list" | tr '\n' '\0' | xargs -0 cat) >"$text/lines"
  awk -v out="$text/stories" -v documents=4000 -v seed=1 -f launch/story_documents.awk "$text/lines" "$stories"
  "$program" tokenize --tokenizer byte --out "$few_shot_data" "$text/code" "$text/stories"
  rm -rf "$text"
}

need_stories() {
  [[ -e $stories ]] && return
  if [[ $size == small ]]; then
    short_stories
  else
    echo "reproduce.sh: there is no $stories, expected the bAbI tasks (configs/paper/README.md)" >&2
    exit 2
  fi
}

# What follows takes TASK ARM SEED first. `base` is the released model where the size starts from one: the same for all seeds.
is_released() { [[ $2 == base && -n $released ]]; }
run_of() {
  if is_released "$@"; then echo "$runs/$1/$2"; else echo "$runs/$1/$2/seed-$3"; fi
}
model_of() {
  if is_released "$@"; then echo "$released"; else echo "$(run_of "$@")/model"; fi
}

# base TASK SEED OVERRIDE…: trains what the arms start from, unless it is a released model.
base() {
  local task=$1 seed=$2
  shift 2
  [[ -n $released ]] || train "$(run_of "$task" base "$seed")" "$configs/$task/base.yaml" run.seed="$seed" "$@"
}

# arm TASK SOURCE SEED OVERRIDE…
arm() {
  local task=$1 source=$2 seed=$3
  shift 3
  train "$(run_of "$task" "$source" "$seed")" "$configs/$task/arm.yaml" run.seed="$seed" \
    model.from="$(model_of "$task" base "$seed")" initial_state.source="$source" "$@"
}

# measure TASK ARM SEED MEASURE OPTION…
measure() {
  local model folder
  ! is_released "$@" || [[ $3 == "${seeds[0]}" ]] || return 0
  model=$(model_of "$1" "$2" "$3")
  folder=$(run_of "$1" "$2" "$3")
  shift 3
  evaluate "$model" "$folder" "$@"
}
# on STREAM ARM SEED MEASURE OPTION…
on() {
  local stream=$1 arm=$2 seed=$3
  shift 3
  case $stream in
    text) measure text "$arm" "$seed" "$@" --data "$held_out" --windows inside --training-length "$trained" ;;
    recall) measure recall "$arm" "$seed" "$@" --run "$configs/recall/arm.yaml" --training-length "$trained" ;;
  esac
}
# by_position STREAM ARM SEED: how well it predicts or answers; on text also with no more than a training length of context.
by_position() {
  local -A measures=([text]=perplexity [recall]=recall)
  local options=(--length "$far" --sequences "$sequences")
  on "$@" "${measures[$1]}" "${options[@]}"
  [[ $1 != text ]] || on "$@" perplexity_floor "${options[@]}" --window "$trained" --no-states
}

from_scratch() {
  local name=$1 seed=$2
  shift 2
  train "$(run_of text "$name" "$seed")" "$configs/text/base.yaml" run.seed="$seed" data.folder="$tokens" "$@"
}
variant_names=("${variants[@]%% *}")
finding_1() {
  local variant words
  for variant in "$scratch" "${variants[@]}"; do
    read -ra words <<<"$variant"
    from_scratch "${words[0]}" "$1" "${words[@]:1}"
    by_position text "${words[0]}" "$1"
  done
}

arms=(base zero noise fitted_noise state_passing tbtt)
declare -A stream_data=([text]="data.folder=$tokens")
finding_2() {
  local stream arm
  for stream in "${streams[@]}"; do
    base "$stream" "$1" ${stream_data[$stream]:+"${stream_data[$stream]}"}
    for arm in "${arms[@]:1}"; do arm "$stream" "$arm" "$1" ${stream_data[$stream]:+"${stream_data[$stream]}"}; done
    for arm in "${arms[@]}"; do by_position "$stream" "$arm" "$1"; done
  done
}
chains=state_passing_0.02 # fewer starts from zero: longer chains of passed states
finding_3() {
  local stream arm
  finding_2 "$1"
  train "$(run_of text "$chains" "$1")" "$configs/text/arm.yaml" run.seed="$1" data.folder="$tokens" \
    model.from="$(model_of text base "$1")" initial_state.source=state_passing initial_state.zero_probability=0.02
  on text "$chains" "$1" states --length "$states_far" --sequences 16
  for arm in base state_passing "$chains"; do
    on text "$arm" "$1" perplexity_far --length "$states_far" --sequences "$sequences" --no-states
  done
  for stream in "${streams[@]}"; do
    for arm in "${arms[@]}"; do on "$stream" "$arm" "$1" states --length "$states_far" --sequences 16; done
  done
}
finding_4() {
  local stream arm options
  finding_2 "$1"
  for stream in "${streams[@]}"; do
    read -ra options <<<"${remembered[$stream]}"
    for arm in "${arms[@]}"; do on "$stream" "$arm" "$1" effrem "${options[@]}"; done
  done
}

# Small models learn from single strings and become arms in rows of several; the paper's are trained from scratch as arms.
finding_5() {
  local arm
  [[ $size == paper ]] || base copy "$1"
  for arm in zero state_passing; do
    case $size in
      small) arm copy "$arm" "$1" ;;
      paper) train "$(run_of copy "$arm" "$1")" "$configs/copy.yaml" run.seed="$1" initial_state.source="$arm" ;;
    esac
  done
  for arm in "${copy_arms[@]}"; do
    measure copy "$arm" "$1" copy --lengths "$letters" --trials "$letter_trials" --batch 50
    measure copy "$arm" "$1" copy_free --free --lengths "$letters" --trials "$letter_trials" --batch 50
  done
}

finding_5_scratch() {
  for arm in zero state_passing; do
    train "$(run_of copy_scratch "$arm" "$1")" "$configs/copy/scratch.yaml" run.seed="$1" initial_state.source="$arm"
    measure copy_scratch "$arm" "$1" copy --lengths 25,50,75,100,125,150 --trials "$letter_trials" --batch 50
  done
}

key_arms=(base zero fitted_noise)
finding_6() {
  local arm
  base passkey "$1"
  for arm in "${key_arms[@]:1}"; do arm passkey "$arm" "$1"; done
  for arm in "${key_arms[@]}"; do
    measure passkey "$arm" "$1" passkey --lengths "$key_lengths" --depths 0.1,0.5,0.9 --trials "$key_trials" \
      --batch 40 --training-length "$key_trained"
  done
}

story_arms=(base zero state_passing)
finding_7() {
  local arm data=(data.folder="$background" data.babilong.stories="$stories")
  base babilong "$1" "${data[@]}"
  for arm in "${story_arms[@]:1}"; do arm babilong "$arm" "$1" "${data[@]}"; done
  for arm in "${story_arms[@]}"; do
    measure babilong "$arm" "$1" babilong --stories "$test_stories" --data "$background_held_out" \
      --lengths "$story_lengths" --batch 50 --training-length "$story_trained" "${story_options[@]}"
  done
}

# Trained on text alone; the task is shown by examples in the prompt.
finding_7_few_shot() {
  local arm data=(data.folder="$few_shot_data")
  base "$few_shot" "$1" "${data[@]}"
  for arm in "${few_shot_arms[@]:1}"; do arm "$few_shot" "$arm" "$1" "${data[@]}"; done
  for arm in "${few_shot_arms[@]}"; do
    measure "$few_shot" "$arm" "$1" babilong --stories "$test_stories" --data "$background_held_out" \
      --lengths "$few_shot_lengths" --batch 50 --training-length "$few_shot_trained" "${few_shot_options[@]}"
  done
}

titles=(
  [1]="A base model fails past its training length" [2]="Post-training from other initial states"
  [3]="The states by position" [4]="Effective remembrance"
  [5]="String copying" [6]="Passkey retrieval" [7]="BABILong"
)
for finding in "${findings[@]}"; do
  case $finding in
    [1-4]) need_text ;;
    7)
      need_text && need_stories
      [[ $size != small || -e $few_shot_data ]] || few_shot_text
      ;;
  esac
  over_seeds "finding_$finding"
  [[ $finding != 7 ]] || over_seeds finding_7_few_shot
  [[ $finding != 5 || $size != small ]] || over_seeds finding_5_scratch
  case $finding in
    1) arms_of=("text/$scratch" "${variant_names[@]/#/text/}") ;;
    3) arms_of=("${arms[@]/#/text/}" "text/$chains") ;;
    2 | 4) arms_of=("${arms[@]/#/text/}") ;;
    5) arms_of=("${copy_arms[@]/#/copy/}") ;;
    6) arms_of=("${key_arms[@]/#/passkey/}") ;;
    7) arms_of=("${story_arms[@]/#/babilong/}") ;;
  esac
  report "$finding" "${titles[finding]}" "${arms_of[@]}"
  [[ $finding != 5 || $size != small ]] || report 5-scratch "${titles[5]}, from scratch" copy_scratch/{zero,state_passing}
  [[ $finding != 7 ]] || report 7-few-shot "${titles[7]}, few-shot" "${few_shot_arms[@]/#/$few_shot/}"
  [[ $finding == [2-4] ]] || continue
  for stream in "${streams[@]:1}"; do
    report "$finding-$stream" "${titles[finding]}, $stream" "${arms[@]/#/$stream/}"
  done
done

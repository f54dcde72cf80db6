# launch/reproduce.sh: which runs it makes, from which models, on which data, at each size; that it goes on where it was; what
# it says to bad input. The program is one that notes what it is asked for. Arguments: PROGRAM (unused) WORK_FOLDER
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
work=$2
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
rm -rf "$work"
mkdir -p "$work/launch"
cp -r "$source_dir/configs" "$work/"
cp "$source_dir"/launch/*.sh "$source_dir"/launch/*.awk "$work/launch/"
cd "$work"
for part in quickstart/tokens quickstart/tokens_held_out paper/tokens paper/tokens_held_out paper/tasks paper/background; do
  mkdir -p "runs/$part"
done
for i in 1 2 3 4 5 6 7 8 9; do
  mkdir -p text/folder && seq -f "line %g of file $i" 20 >"text/folder/$i.c"
done
seq -f 'held out %g' 20 >text/folder/a.c # the tenth
(cd text && pwd) >runs/quickstart/tokens_from
cat >program <<'END'
#!/usr/bin/env bash
echo "$*" >>"$(dirname "$0")/asked"
for argument in "$@"; do
  case $argument in
    run.folder=*) [[ $* == *"$FAIL_AT"* ]] && { echo "broken on purpose"; exit 1; }; mkdir -p "${argument#*=}/model" ;;
    */evaluation/*.json) mkdir -p "$(dirname "$argument")" && echo '{}' >"$argument" ;;
    runs/reproduce/few_shot_tokens) cp -r "${@: -2}" "$(dirname "$0")"; mkdir -p "$argument" ;;
    runs/medium/tokens*) mkdir -p "$argument" ;;
    runs/reproduce/stories) mkdir -p "$argument"; printf '%s\n' '1 Anna went to the library.' '2 Where is Anna? ''	library	1' '3 Omar moved to the barn.' \
      '4 Where is Omar? ''	barn	3' >"$argument/qa1_single-supporting-fact_train.txt" ;;
  esac
done
END
chmod +x program
export LONGHAUL_PROGRAM=./program LONGHAUL_JOBS=1 FAIL_AT=nothing
asked() { grep -cE -- "$1" asked || true; }
expect() { [ "$(asked "$2")" = "$1" ] || fail "expected $1 times, found $(asked "$2"): $2"; }

launch/reproduce.sh small >log 2>&1 || { cat log; fail "small"; }
expect 33 '^train .*text/(base|arm).yaml .*--resume' # three seeds of the base, four variants of it and six arms
expect 3 '^train .*run.folder=runs/reproduce/small/text/state_8/.* data.sequences=16 model.shape.state_dim=8 --resume'
expect 1 'text/arm.yaml run.folder=runs/reproduce/small/text/tbtt/seed-2 .*run.seed=2 model.from=runs/reproduce/small/text/base/seed-2/model initial_state.source=tbtt'
expect 69 '^eval perplexity .*tokens_held_out --windows inside'
expect 1 'eval effrem --model runs/reproduce/small/text/zero/seed-3/model --json runs/reproduce/small/text/zero/seed-3/evaluation/effrem.json'
expect 18 '^train configs/small/recall/(base|arm).yaml'
expect 18 '^eval states .*--length 8192 --sequences 16 --run configs/small/recall/arm.yaml --training-length 64'
expect 18 '^eval effrem .*--length 255 --sequences 128 --run configs/small/recall/arm.yaml'
expect 9 '^train configs/small/copy/(base|arm).yaml'
expect 18 '^eval copy .*small/copy/.*--lengths 16,32,48,64,96,128 --trials 500'
expect 9 '^eval copy .*evaluation/copy_free.json .*--free'
expect 9 '^eval perplexity .*evaluation/perplexity_far.json .*--length 8192'
expect 1 '^train configs/small/copy/scratch.yaml run.folder=runs/reproduce/small/copy_scratch/state_passing/seed-2 .*run.seed=2 initial_state.source=state_passing'
expect 6 '^eval copy .*small/copy_scratch/.*--lengths 25,50,75,100,125,150 --trials 500'
expect 1 '^report .*--out runs/reproduce/small/5-scratch.html'
expect 3 'passkey/arm.yaml .*initial_state.source=fitted_noise'
expect 1 '^stories '
expect 1 'babilong/arm.yaml .*babilong/base/seed-1/model initial_state.source=state_passing'
expect 1 '^tokenize .*--out runs/reproduce/few_shot_tokens runs/reproduce/few_shot_text/code runs/reproduce/few_shot_text/stories$'
[ "$(find code -type f | wc -l)" = 9 ] && ! grep -rq "held out" code stories || fail "code: $(find code -type f)"
[ "$(find stories -type f | wc -l)" = 4000 ] && grep -qx ' Anna in library.' stories/00000.txt || fail "stories: $(head stories/00000.txt)"
grep -qE '^ Omar in barn\.line [0-9]+ of file 3' stories/00001.txt || fail "no text between facts"
expect 9 '^train configs/small/few_shot/(base|arm).yaml .*data.folder=runs/reproduce/few_shot_tokens'
expect 9 '^eval babilong .*small/few_shot/.*--prompts configs/small/few_shot/prompts.yaml --shots 2'
expect 1 '^report .*--out runs/reproduce/small/7-few-shot.html'
for finding in 1 2 3 4 5 6 7; do expect 1 "^report .*--out runs/reproduce/small/$finding.html"; done

# Again: nothing but the reports.
rm asked
launch/reproduce.sh small >log 2>&1 || fail "small, again"
expect 0 '^(train|eval|stories)'
expect 12 '^report'

# A run that fails: the other seeds go on, the script says so and what failed is done the next time.
rm -r asked runs/reproduce/small/copy
code=0
FAIL_AT="copy/zero/seed-2" launch/reproduce.sh small 5 >log 2>&1 || code=$?
[ "$code" = 1 ] && grep -q "broken on purpose" log || { cat log; fail "a failed run: exit code $code"; }
[ -e runs/reproduce/small/copy/state_passing/seed-3/evaluation/copy.json ] || fail "the other seeds did not go on"
expect 0 '^report'
rm asked
launch/reproduce.sh small 5 >log 2>&1 || fail "after a failed run"
expect 2 '^train .*seed-2'
expect 2 '^train'

# The medium size has findings 1 to 4, makes its text from a folder of ours and leaves the choice of threads to the program.
rm asked
LONGHAUL_SEEDS=1 LONGHAUL_TEXT=configs launch/reproduce.sh medium >log 2>&1 || { cat log; fail "medium"; }
expect 1 '^tokenize .*--out runs/medium/tokens runs/medium/text_train$'
expect 1 '^tokenize .*--out runs/medium/tokens_held_out '
expect 9 '^train configs/medium/text/(base|arm).yaml .*parallel.threads=0 run.seed=1'
expect 19 '^eval perplexity .*--data runs/medium/tokens_held_out .*--training-length 256'
expect 7 '^eval states '
expect 0 'recall'
expect 4 '^report'

# The paper's size starts from the released model, finding 1 from scratch; it wants its data.
rm asked
LONGHAUL_RANKS=1 LONGHAUL_SEEDS="7 8" launch/reproduce.sh paper >log 2>&1 || { cat log; fail "paper"; }
expect 20 'model.from=models/mamba2-780m'
expect 6 '^train configs/paper/text/base.yaml'
expect 2 '^train configs/paper/copy.yaml .*run.seed=7 initial_state.source=(zero|state_passing)'
expect 8 '^eval copy'
expect 1 '^eval perplexity --model models/mamba2-780m --json runs/reproduce/paper/text/base/evaluation/perplexity.json'
expect 6 '^eval babilong .*--model runs/reproduce/paper/text/(state_passing|tbtt)/seed-[78]/model|^eval babilong --model models/mamba2-780m.*paper/text/base|^eval babilong .*paper/babilong/base'
expect 8 '^eval .*--model models/mamba2-780m' # once, whatever the number of seeds
rmdir runs/paper/tokens
code=0
LONGHAUL_RANKS=1 launch/reproduce.sh paper 2 2>log || code=$?
[ "$code" = 2 ] && grep -q "there is no runs/paper/tokens" log || fail "no tokens: exit code $code"

for bad in '' 'large' 'small 8' 'small 2x' 'medium 5'; do
  code=0
  # shellcheck disable=SC2086
  launch/reproduce.sh $bad >log 2>&1 || code=$?
  [ "$code" = 2 ] || fail "'$bad': exit code $code"
done

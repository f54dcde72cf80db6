# Evaluations of a sweep: taken of every arm, interrupted and gone on with, added later, failing, compared by; seeds added later.
source "$(dirname "$0")/tiny_run.sh"

# sweep FILE ARGUMENT…: exit code in $code, output in FILE.log
sweep() {
  code=0
  "$program" sweep "$@" >"$1.log" 2>&1 || code=$?
}
expect() { [ "$code" = "$1" ] || { cat "$2.log"; fail "$2: exit code $code, expected $1"; }; }
shown() { grep -q "$1" "$2.log" || { cat "$2.log"; fail "$2 does not say: $1"; }; }

sed -i 's/steps: 40/steps: 10/' tiny.yaml
cat >common.yaml <<'YAML'
base: tiny.yaml
values: {optimizer.rate: [1e-3, 3e-3]}
ranks: 2
at_once: 1
measures:
  - recall: {length: 8192, sequences: 32, batch: 1, piece: 256, sequence_ranks: 2}
metric: {measure: recall, name: accuracy_at_end}
YAML
for name in whole broken; do { cat common.yaml; echo "folder: $name"; } >$name.yaml; done
arms=(rate=0.001 rate=0.003)

# What is wrong with a measure is told before anything is trained.
sed 's/sequences: 32/sequence: 32/' whole.yaml >mistyped.yaml
sweep mistyped.yaml
expect 2 mistyped.yaml
shown "mistyped.yaml:6: measures.recall.sequence: is no option of longhaul eval recall (did you mean sequences?)" mistyped.yaml
{ sed 's/recall: {/copy: {trials: 2, name: recall} #/; s/accuracy_at_end/exact/' whole.yaml; } >unfit.yaml
for dry in '' --dry-run --slurm; do
  sweep unfit.yaml $dry
  expect 2 unfit.yaml
  shown "measures.recall: .*is of no run of data.kind copy" unfit.yaml
done
[ ! -d whole/arms ] || fail "a sweep with a wrong measure has begun"

sweep whole.yaml
expect 0 whole.yaml
shown "rate=0.003: recall: measured, accuracy_at_end (recall) 0" whole.yaml
ranks 2 eval recall --model whole/arms/rate=0.001/model --length 8192 --sequences 32 --batch 1 --piece 256 --sequence-ranks 2 \
  --threads 1 --json byhand.json >/dev/null
cmp byhand.json whole/arms/rate=0.001/evaluation/recall.json || fail "not what longhaul eval writes"

# Interrupted in the midst of a measure it goes on where it was.
"$program" sweep broken.yaml >interrupted.log 2>&1 &
job=$!
for ((i = 0; i < 1200; ++i)); do [ -s broken/arms/rate=0.001/evaluation/recall.json.partial ] && break; sleep 0.05; done
"$program" sweep status broken.yaml >status.log
kill -HUP "$job"  # as from a shell that ends, and from its terminal
kill -HUP "$job"
code=0
wait "$job" || code=$?
[ "$code" = 75 ] || { cat interrupted.log; fail "exit code $code after SIGHUP, expected 75"; }
grep -q "rate=0.001: recall: stopped, saved" interrupted.log || { cat interrupted.log; fail "the measure was not stopped"; }
grep -q "^rate=0.001  *measuring .*0/1" status.log || { cat status.log; fail "status does not show an arm that is measured"; }
"$program" sweep status broken.yaml | grep -q "^rate=0.001  *trained " || fail "status of an arm that waits for its measure"
[ -s broken/arms/rate=0.001/evaluation/recall.json.partial ] || fail "nothing was kept of the measure"
sweep broken.yaml
expect 0 broken.yaml
grep -q "from step" <(grep rate=0.001 broken.yaml.log) && fail "an arm that was trained was trained again"
for arm in "${arms[@]}"; do
  same_run "whole/arms/$arm" "broken/arms/$arm"
  cmp <(sed 's|whole/|broken/|' "whole/arms/$arm/evaluation/recall.json") "broken/arms/$arm/evaluation/recall.json" ||
    fail "the result that was interrupted differs"
done
before=$(cat broken/logs/* | wc -c)
sweep broken.yaml
expect 0 broken.yaml
[ "$(cat broken/logs/* | wc -c)" = "$before" ] || fail "a finished sweep started something"

# A measure that is added later is all that is run. One that fails is the arm's failure; the others go on.
printf 'the cat sat on the mat. %.0s' {1..200} >text.txt
"$program" tokenize --tokenizer byte --out tokens text.txt >/dev/null 2>&1
cp broken/arms/rate=0.001/evaluation/recall.json kept.json
touch -r broken/arms/rate=0.001/evaluation/recall.json kept.json
sed -i '/^  - recall/a\  - perplexity: {data: tokens, length: 16, sequences: 2}\n  - effrem: {length: 63, sequences: 4}' broken.yaml
sweep broken.yaml
expect 1 broken.yaml
shown "^rate=0.001: effrem: measured" broken.yaml
shown "arm rate=0.001: failed once: perplexity: exit code 2, wrong input" broken.yaml
shown "has a vocabulary of" broken.yaml
sweep broken.yaml
expect 1 broken.yaml
grep -q measuring broken.yaml.log && fail "wrong input was tried again"
"$program" sweep status broken.yaml | grep -q "^rate=0.001  *failed .*2/3" || fail "status of a measure that failed"
sed -i 's/perplexity: {data: tokens, /states: {/' broken.yaml
sweep broken.yaml
expect 0 broken.yaml
grep -q "from step\|recall: \|effrem: " broken.yaml.log && { cat broken.yaml.log; fail "more than what was missing was run"; }
[ broken/arms/rate=0.001/evaluation/recall.json -nt kept.json ] && fail "a result was written again"
cmp kept.json broken/arms/rate=0.001/evaluation/recall.json || fail "a result has changed"

# Seeds that are added later leave the arms that are there; a task of an array measures its arm.
echo 'seeds: [7, 8]' >>broken.yaml # 7: that of tiny.yaml
sweep broken.yaml --dry-run
expect 0 broken.yaml
diff <(printf '%s\n' rate=0.001 rate=0.001,seed=8 rate=0.003 rate=0.003,seed=8) <(head -4 broken.yaml.log) || fail "names of arms"
sweep broken.yaml --arm rate=0.001,seed=8
expect 0 broken.yaml
[ "$(ls broken/arms/rate=0.001,seed=8/evaluation/*.json | wc -l)" = 3 ] || fail "the arm of an array was not measured"
sweep broken.yaml
expect 0 broken.yaml
grep -q "^rate=0.001: \|^rate=0.003: " broken.yaml.log && { cat broken.yaml.log; fail "an arm was run again for its new siblings"; }

# The recipes by the mean of the numbers that stand in the files.
"$program" sweep report broken.yaml --csv csv >report.log
last() { tr -d ' \n' <"$1" | grep -o '"buckets":\[.*\],"states"' | grep -o '"accuracy":[-+.0-9e]*' | tail -1 | cut -d: -f2; }
for rate in 0.001 0.003; do
  wanted=$(echo "$(last "broken/arms/rate=$rate/evaluation/recall.json") $(last "broken/arms/rate=$rate,seed=8/evaluation/recall.json")" |
    awk '{ printf "%.6g", ($1 + $2) / 2 }')
  found=$(awk -v name="rate=$rate" '$1 == name { print $4 }' report.log)
  [ "$found" = "$wanted" ] || { cat report.log; fail "rate=$rate: $found in the report, expected $wanted"; }
done
awk 'NR > 1 && $2 == "done" { print $4 }' report.log | sort -gr | diff - <(awk 'NR > 1 && $2 == "done" { print $4 }' report.log) ||
  { cat report.log; fail "the order of the recipes"; }

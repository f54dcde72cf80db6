# Tasks from their data to their report: each kind trains, says better than chance what it was trained to say, and is
# measured alike on any mesh.
source "$(dirname "$0")/tiny_run.sh"

# accuracy FILE: of the first cell
accuracy() { grep -o '"accuracy": *[0-9.e-]*' "$1" | head -n 1 | sed 's/.*: *//'; }
above() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a > b) }' || fail "$3: $1, expected more than $2"; }
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a < b) }' || fail "$3: $1, expected less than $2"; }
last_loss() { grep -o '"loss": *[0-9.e-]*' "$1/metrics.jsonl" | tail -n 1 | sed 's/.*: *//'; }
trained() {
  local name=$1
  shift
  "$program" train "$name.yaml" run.folder="$name" "$@" >"$name.log" 2>&1 || { cat "$name.log"; fail "$name"; }
}

# Copying: letters are one of 8 by chance.
sed 's/^data:.*/data: {kind: copy, length: 24, sequences: 32, copy: {letters: 8, shortest: 1, longest: 4}}/' tiny.yaml >copy.yaml
trained copy schedule.steps=250 optimizer.rate=1e-2
"$program" eval copy --model copy/model --lengths 3,8 --trials 40 --json copy/evaluation/copy.json >copy.table
above "$(accuracy copy/evaluation/copy.json)" 0.5 "accuracy of copying 3 letters"

# Of letters and places as bytes, the form of the answers is learnt first: uniform bytes cost 5.5 nats.
"$program" stories --out stories --stories 40 --test-stories 4 >/dev/null
for i in $(seq 400); do echo "Line $i of a text says that it is line $i and no other one."; done >text.txt
"$program" tokenize --tokenizer byte --out tokens text.txt >/dev/null
sed 's/^data:.*/data: {kind: babilong, folder: tokens, length: 512, sequences: 8, babilong: {stories: stories\/qa1_single-supporting-fact_train.txt, shots: 0, instruction: false}}/' tiny.yaml >babilong.yaml
trained babilong schedule.steps=60 optimizer.rate=1e-2
below "$(last_loss babilong)" 1 "loss of babilong"
sed 's/^data:.*/data: {kind: passkey, length: 320, sequences: 8}/' tiny.yaml >passkey.yaml
trained passkey schedule.steps=60 optimizer.rate=1e-2 initial_state.source=fitted_noise
below "$(last_loss passkey)" 2.5 "loss of passkey"

# The same cells on one rank and on 2 x 2.
for n in 1 4; do
  ranks $n eval passkey --model passkey/model --lengths 320,900 --depths 0,1 --trials 5 --dtype fp64 \
    --sequence-ranks $((n / 2 > 1 ? 2 : 1)) --piece 128 --batch 2 --json passkey.$n >/dev/null 2>passkey.err || { cat passkey.err; fail "passkey"; }
  ranks $n eval babilong --model babilong/model --stories stories --lengths 0,1024 --trials 5 --dtype fp64 \
    --sequence-ranks $((n / 2 > 1 ? 2 : 1)) --json babilong.$n >/dev/null 2>babilong.err || { cat babilong.err; fail "babilong"; }
done
# Every task of the folder is asked at both lengths, to its number of trials.
asked=$(tr -d ' \n"' <babilong.1 | grep -oE 'part:qa[0-9],length:[0-9]+,depth_low:0,depth_high:1,trials:[0-9]+')
for task in 1 2 3 4 5 6; do
  for length in 0 1024; do
    grep -qx "part:qa$task,length:$length,depth_low:0,depth_high:1,trials:5" <<<"$asked" || fail "qa$task at $length: $asked"
  done
done
# Which names the mesh.
without_measured() { sed '/"measured": \[/,/^ \]/d' "$1"; }
for task in passkey babilong; do
  grep -q '"sequence ranks"' $task.4 || fail "$task does not say how it was measured"
  cmp <(without_measured $task.1) <(without_measured $task.4) || fail "$task differs between meshes"
done
mkdir -p passkey/evaluation babilong/evaluation
cp passkey.1 passkey/evaluation/passkey.json
cp babilong.1 babilong/evaluation/babilong.json
"$program" report copy passkey babilong --out report.html >/dev/null
for title in 'String copying' 'Passkey retrieval' BABILong; do
  grep -q "<h2>$title</h2>" report.html || fail "the report lacks $title"
done

# What cannot be is told in a line, with exit code 2.
printf '1 Ann is here.\n2 Where is Ann?\there\t7\n' >qa1_broken_test.txt
code=0
"$program" eval babilong --model babilong/model --stories qa1_broken_test.txt --lengths 0 2>refusal || code=$?
[ "$code" = 2 ] || fail "exit code $code for a broken file, expected 2"
grep -q "qa1_broken_test.txt:2: found '7'" refusal || fail "the refusal does not name the line: $(cat refusal)"

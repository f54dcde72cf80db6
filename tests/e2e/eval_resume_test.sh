# An evaluation that SIGTERM cuts short is saved and exits with 75; the same command continues, and its
# result equals the uninterrupted one bit for bit, for every measure and mesh.
source "$(dirname "$0")/tiny_run.sh"
ranks 1 train tiny.yaml run.folder=run >train.log 2>&1 || { cat train.log; fail "training"; }

# cut NAME RANKS ARGS…: interrupted once by a signal to one rank, then continued
model=run/model
cut() {
  local name=$1 n=$2 code=0 pid rank i
  shift 2
  set -- "$@" --model "$model" --threads 1
  ranks "$n" eval "$@" --json "$name-whole.json" >"$name.log" 2>&1 || { cat "$name.log"; fail "$name, uninterrupted"; }
  [ -e "$name-whole.json.partial" ] && fail "$name: a partial file outlived its result"
  mpirun -n "$n" "$program" eval "$@" --json "$name.json" >"$name.log" 2>&1 &
  pid=$!
  for ((i = 0; i < 400; ++i)); do
    [ -s "$name.json.partial" ] && break
    sleep 0.02
  done
  rank=$(pgrep -P "$pid" -f "$name.json" | tail -1)
  kill -TERM "$rank"
  wait "$pid" || code=$?
  [ "$code" = 75 ] || { cat "$name.log"; fail "$name: exit code $code after SIGTERM, expected 75"; }
  grep -q "interrupted: saved in $name.json.partial" "$name.log" || fail "$name: does not say what was saved"
  [ -e "$name.json" ] && fail "$name was over before the signal"
  ranks "$n" eval "$@" --json "$name.json" >"$name.log" 2>&1 || { cat "$name.log"; fail "$name, continued"; }
  [ "$(grep -c "continues: [1-9][0-9]* of [0-9]* units are done in $name.json.partial" "$name.log")" = 1 ] ||
    { cat "$name.log"; fail "$name: does not go on from what was done, or says so more than once"; }
  cmp "$name-whole.json" "$name.json" || fail "$name: the continued result differs"
  [ -e "$name.json.partial" ] && fail "$name: a partial file outlived its result"
  return 0
}
for ((i = 0; i < 40000; ++i)); do printf '%b' "\\x$(printf %02x $((i * i % 31)))\\x00"; done >tokens.bin
text=(perplexity --data tokens.bin --vocabulary 32)
cut windows 2 "${text[@]}" --length 1200 --sequences 32 --window 16 --piece 64 --batch 1
# A file that is cut off while it is read: what is done is kept, and once the file is whole the same command goes on.
unread=(eval "${text[@]}" --length 1200 --sequences 32 --window 16 --piece 64 --batch 1 --model run/model --threads 1 --json unread.json)
cp tokens.bin good.bin
code=0
mpirun -n 2 "$program" "${unread[@]}" >unread.log 2>&1 &
job=$!
for ((i = 0; i < 400; ++i)); do
  [ -s unread.json.partial ] && break
  sleep 0.02
done
truncate -s 100 tokens.bin
wait "$job" || code=$?
[ "$code" = 1 ] || { cat unread.log; fail "exit code $code with a file that was cut off, expected 1"; }
grep -q "tokens.bin: ends at byte 100.*is kept in unread.json.partial" unread.log || { cat unread.log; fail "does not name the file and what is kept"; }
cp good.bin tokens.bin
ranks 2 "${unread[@]}" >unread.log 2>&1 || { cat unread.log; fail "going on with the whole file"; }
cmp windows-whole.json unread.json || fail "the result of a file that was cut off for a while differs"
cut recall 2 recall --length 8192 --sequences 64 --batch 1 --piece 256 --sequence-ranks 2
cut effrem 2 effrem --length 2047 --sequences 32
cut states 1 states --length 8192 --sequences 64 --batch 2 --piece 256
cut text 2 "${text[@]}" --length 1200 --sequences 32 --piece 8 --batch 1
cut copy 2 copy --letters 8 --lengths 24,400 --trials 500 --batch 2 --piece 64
cut written 2 copy --letters 8 --lengths 24,300 --trials 60 --free --batch 1 --piece 64 --sequence-ranks 2
sed 's/^data:.*/data: {kind: passkey, length: 320, sequences: 2}/' tiny.yaml >passkey.yaml
ranks 1 train passkey.yaml run.folder=passkey schedule.steps=3 schedule.warmup=1 >train.log 2>&1 || { cat train.log; fail "training"; }
model=passkey/model
cut passkey 2 passkey --lengths 900,1500 --depths 0,1 --trials 80 --batch 2 --piece 128
"$program" stories --out stories --stories 40 --test-stories 20 >/dev/null
cut babilong 2 babilong --stories stories --lengths 0 --trials 40 --batch 2 --piece 128 --sequence-ranks 2

# What was kept of another evaluation, or is damaged, is refused in one line.
printf 'nonsense' >bad.json.partial
code=0
"$program" eval states --model run/model --length 64 --sequences 2 --json bad.json >bad.log 2>bad.err || code=$?
[ "$code" = 2 ] || fail "exit code $code for a damaged partial file, expected 2"
[ "$(wc -l <bad.err)" = 1 ] || { cat bad.err; fail "expected one line"; }
grep -q "bad.json.partial: holds no partial results" bad.err || { cat bad.err; fail "does not name the partial file"; }
[ "$(cat bad.json.partial)" = nonsense ] || fail "a refused file was changed"

# Four sequence ranks, two by two, and one rank say the same, to rounding.
numbers() { sed '/"measured": \[/,/^ \]/d' "$1" | grep -o '[-0-9.][-+.0-9e]*'; }
for measure in effrem states windows; do
  command=($measure)
  [ $measure = windows ] && command=("${text[@]}" --window 20)
  "$program" eval "${command[@]}" --model run/model --length 299 --sequences 3 --dtype fp64 --json $measure-1.json >/dev/null
  ranks 4 eval "${command[@]}" --model run/model --length 299 --sequences 3 --dtype fp64 --sequence-ranks 4 --threads 1 --json $measure-4.json >/dev/null
  ranks 4 eval "${command[@]}" --model run/model --length 299 --sequences 3 --dtype fp64 --sequence-ranks 2 --threads 1 --json $measure-2x2.json >/dev/null
  for mesh in 4 2x2; do
    [ "$(numbers $measure-1.json | wc -l)" -gt 20 ] || fail "$measure: hardly a number"
    paste <(numbers $measure-1.json) <(numbers $measure-$mesh.json) | awk -v what="$measure on $mesh" '
      { d = $1 - $2; if (d < 0) d = -d; m = $1 < 0 ? -$1 : $1; if (NF != 2 || d > 1e-9 * (1 + m)) { print what ": " $0; bad = 1 } }
      END { exit bad }' || fail "$measure differs on $mesh ranks"
  done
done

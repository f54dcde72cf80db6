# Data that cannot be read any further: the run saves what is done, names the file and ends (2 for a token outside the vocabulary, 1 for a
# file that was cut off); where the bad rows are skipped, --resume goes on, and once the file is whole it ends as the undisturbed run did.
source "$(dirname "$0")/tiny_run.sh"
# TBTT reads every token once in 32 of the 40 steps.
options=(data.kind=tokens data.folder=tokens.bin model.shape.vocabulary=32 data.vocabulary=32 initial_state.source=tbtt)
sed -i '/recall: {/s/, recall: {[^}]*}//' tiny.yaml
for ((i = 0; i < 8192; ++i)); do printf '%b' "\\x$(printf %02x $((i * i % 31)))\\x00"; done >tokens.bin
cp tokens.bin good.bin

# spoiled RUN CODE TEXT: the tokens as they are now end RUN with CODE and TEXT, after it saved.
spoiled() {
  local code=0
  ranks 2 train tiny.yaml "${options[@]}" run.folder="$1" >"$1.log" 2>&1 || code=$?
  [ "$code" = "$2" ] || { cat "$1.log"; fail "exit code $code, expected $2"; }
  grep -q "$3" "$1.log" || { cat "$1.log"; fail "the message does not name the file"; }
  grep -q "saved after step" "$1.log" || { cat "$1.log"; fail "nothing was said of a checkpoint"; }
  compgen -G "$1/checkpoints/step-*" >/dev/null || fail "nothing was saved"
}
printf '\xff\x00' | dd of=tokens.bin bs=2 seek=1000 conv=notrunc status=none
spoiled bad 2 'tokens.bin: token 1000 is 255'
cp -r bad skipping
ranks 2 train tiny.yaml "${options[@]}" run.folder=skipping data.skip_bad_rows=true --resume >skipping.log 2>&1 || { cat skipping.log; fail "skipping"; }
grep -q "token 1000 is 255.*the row counts for nothing" skipping.log || { cat skipping.log; fail "no warning of the bad row"; }

# Cut off while it is read.
cp good.bin tokens.bin
ranks 2 train tiny.yaml "${options[@]}" schedule.steps=600 run.folder=cut >cut.log 2>&1 &
job=$!
for ((i = 0; i < 1200; ++i)); do
  [ -s cut/metrics.jsonl ] && break
  sleep 0.05
done
truncate -s 100 tokens.bin
code=0
wait "$job" || code=$?
[ "$code" = 1 ] || { cat cut.log; fail "exit code $code with a file that was cut off, expected 1"; }
grep -q "tokens.bin: ends at byte 100, expected 16384" cut.log || { cat cut.log; fail "the message does not name the file"; }
cp good.bin tokens.bin
ranks 2 train tiny.yaml "${options[@]}" schedule.steps=600 run.folder=cut --resume >resumed.log 2>&1 || { cat resumed.log; fail "resuming"; }
ranks 2 train tiny.yaml "${options[@]}" schedule.steps=600 run.folder=whole >whole.log 2>&1 || { cat whole.log; fail "the undisturbed run"; }
same_run whole cut

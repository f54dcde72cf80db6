# SIGTERM, SIGUSR1 and SIGHUP save, then exit with 75; the resumed run equals the uninterrupted one.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$(dirname "$0")/tiny_run.sh"
ranks 2 train tiny.yaml run.folder=whole schedule.steps=1500 >whole.log 2>&1 || { cat whole.log; fail "uninterrupted run"; }
for signal in TERM USR1 HUP; do
  mpirun -n 2 "$program" train tiny.yaml run.folder="cut-$signal" schedule.steps=1500 >cut.log 2>&1 &
  pid=$!
  for ((i = 0; i < 200; ++i)); do
    [ -s "cut-$signal/metrics.jsonl" ] && break
    sleep 0.05
  done
  # The signal goes to one rank only: the ranks must agree.
  rank=$(pgrep -P "$pid" -f "cut-$signal" | head -1)
  kill "-$signal" "$rank"
  code=0
  wait "$pid" || code=$?
  [ "$code" = 75 ] || { cat cut.log; fail "exit code $code after SIG$signal, expected 75"; }
  [ -f "cut-$signal/model/model.safetensors" ] && fail "the run was over before the signal"
  ranks 2 train tiny.yaml run.folder="cut-$signal" schedule.steps=1500 --resume >resumed.log 2>&1 || { cat resumed.log; fail "resuming"; }
  same_run whole "cut-$signal"
done

# Before the first step, here while it waits for the run's lock: nothing to save, the same exit code.
"$program" train tiny.yaml run.folder=begun schedule.steps=100000 >holder.log 2>&1 &
holder=$!
for ((i = 0; i < 200; ++i)); do
  [ -s begun/metrics.jsonl ] && break
  sleep 0.05
done
"$program" train tiny.yaml run.folder=begun schedule.steps=100000 --resume >waiting.log 2>&1 &
waiting=$!
for ((i = 0; i < 200; ++i)); do
  grep -q "waiting" waiting.log && break
  sleep 0.05
done
kill -TERM "$waiting"
kill -KILL "$holder"
wait "$holder" 2>/dev/null || true
code=0
wait "$waiting" || code=$?
[ "$code" = 75 ] || { cat waiting.log; fail "exit code $code after SIGTERM before the first step, expected 75"; }
[ ! -e begun/checkpoints/step-1 ] || fail "a step was taken after the signal"

# launch/mpirun.sh: a SIGTERM that comes to it and to its group, as timeout sends it, and a Ctrl-C save too.
for signal in TERM INT; do
  code=0
  timeout --preserve-status -s "$signal" 6 "$tree/launch/mpirun.sh" 2 "$program" train tiny.yaml run.folder="timed-$signal" \
    schedule.steps=10000000 >timed.log 2>&1 || code=$?
  [ "$code" = 75 ] && grep -q "interrupted: saved" timed.log || { cat timed.log; fail "exit code $code after $signal to mpirun.sh, expected 75"; }
done

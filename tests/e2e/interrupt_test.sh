# SIGTERM and SIGUSR1 save, then exit with 75; the resumed run equals the uninterrupted one.
source "$(dirname "$0")/tiny_run.sh"
ranks 2 train tiny.yaml run.folder=whole schedule.steps=1500 >whole.log 2>&1 || { cat whole.log; fail "uninterrupted run"; }
for signal in TERM USR1; do
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

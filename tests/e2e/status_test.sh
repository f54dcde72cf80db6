# `longhaul status` beside runs that run, were stopped and are done; several runs are one table.
source "$(dirname "$0")/tiny_run.sh"

"$program" train tiny.yaml run.folder=done schedule.steps=6 schedule.warmup=1 >/dev/null
mpirun -n 2 "$program" train tiny.yaml run.folder=long schedule.steps=1000000 checkpoint.every=50 >long.log 2>&1 &
job=$!
trap 'kill -KILL "$job" 2>/dev/null || true' EXIT
for ((i = 0; i < 400; ++i)); do
  [ -d long/checkpoints/step-50 ] && break
  sleep 0.05
done

# row RUN COLUMN
row() { awk -v run="$1" -v column="$2" '$1 == run { print $column; exit }' table; }
"$program" status done long >table
[ "$(row done 2) $(row done 3)" = "done 6/6" ] || { cat table; fail "the finished run"; }
[ "$(row long 2)" = running ] || { cat table; fail "the run that runs"; }
[[ $(row long 3) =~ ^[0-9]+/1000000$ ]] || { cat table; fail "step of the run that runs"; }
[[ $(row long 6) =~ ^[0-9]+$ && $(row long 7) =~ :[0-9][0-9]$ ]] || { cat table; fail "speed and time left"; }
[ "$(row long 8)" = step ] || { cat table; fail "its checkpoint"; }

kill -USR1 "$job"
code=0
wait "$job" || code=$?
[ "$code" = 75 ] || { cat long.log; fail "exit code $code after SIGUSR1, expected 75"; }
"$program" status long >table
[ "$(row long 2)" = stopped ] || { cat table; fail "the run that was stopped"; }
# It saved where it stopped: nothing is lost, no warning.
[ "$(row long 3)" = "$(row long 9)/1000000" ] || { cat table; fail "the checkpoint is not the last step"; }
[ "$(row long 10)" = - ] || { cat table; fail "a warning"; }

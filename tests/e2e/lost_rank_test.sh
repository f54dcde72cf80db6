# A rank that is stopped or killed ends the job with a message that names it, within the configured time.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$(dirname "$0")/rank_of_job.sh"
source "$(dirname "$0")/tiny_run.sh"

# lose SIGNAL LAUNCHER…: starts a long run, sends SIGNAL to rank 1.
lose() {
  rm -rf lost
  "${@:2}" 2 "$program" train tiny.yaml run.folder=lost schedule.steps=1000000 parallel.time_limit_s=3 >lost.log 2>&1 &
  job=$!
  for ((i = 0; i < 200; ++i)); do
    [ -s lost/metrics.jsonl ] && break
    sleep 0.05
  done
  lose_rank 1 lost "$1"
}

lose STOP mpirun -n
grep -q "no answer from rank 1" lost.log || { cat lost.log; fail "no message names rank 1"; }
grep -q "step [0-9]" lost.log || { cat lost.log; fail "the message does not name the step"; }
echo "stopped rank: $took s: $(grep -m1 'no answer' lost.log)"

lose KILL mpirun -n
grep -qiE "rank 1|signal 9|Killed" lost.log || { cat lost.log; fail "no message about the killed rank"; }
echo "killed rank: $took s"

# launch/mpirun.sh says so in one line, and nothing of what mpirun says where the ranks have told all.
lose KILL "$tree/launch/mpirun.sh"
[ "$(grep -ciE "killed|signal|^---" lost.log)" = 1 ] && grep -q "^mpirun.sh: rank 1 (host $(hostname)) was ended by signal 9 (Killed)" lost.log ||
  { cat lost.log; fail "not one line about the killed rank"; }
refused() { "$tree/launch/mpirun.sh" 2 "$@" 2>&1 >/dev/null || true; }
[ "$(refused "$program" train missing.yaml)" = "longhaul: rank 0: missing.yaml: cannot be read, expected the YAML file of a run" ] ||
  fail "more than the program's line: $(refused "$program" train missing.yaml)"
refused "$PWD/missing" | grep -q "Executable: $PWD/missing" || fail "a program that is not there is not told"

# A rank that dies before MPI_Init: the others do not wait there for ever.
code=0
LONGHAUL_START_LIMIT_S=3 timeout 60 mpirun -n 2 bash -c 'if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then sleep 50; else exec "$@"; fi' _ \
  "$program" train tiny.yaml run.folder=never >never.log 2>&1 || code=$?
[ "$code" = 1 ] || { cat never.log; fail "a rank that never starts: exit code $code"; }
grep -q "MPI_Init did not come back within 3 s" never.log || { cat never.log; fail "a rank that never starts is not told"; }

# The same run on other meshes of real MPI ranks: same losses (fp64, to 1e-9 after 20 steps of training).
source "$(dirname "$0")/tiny_run.sh"
options=(run.dtype=fp64 schedule.steps=20)
losses() { sed -nE 's/.*"loss": *([-+.0-9e]+).*/\1/p' "$1/metrics.jsonl"; }

ranks 1 train tiny.yaml run.folder=one "${options[@]}" initial_state.source=zero >one.log 2>&1 || { cat one.log; fail "one rank"; }
[ "$(losses one | wc -l)" -ge 20 ] || fail "no losses in metrics.jsonl"
check() {
  local name=$1 n=$2
  shift 2
  ranks "$n" train tiny.yaml run.folder="$name" "${options[@]}" initial_state.source=zero "$@" >"$name.log" 2>&1 || { cat "$name.log"; fail "$name"; }
  paste <(losses one) <(losses "$name") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-9 * $1) { print "step", NR, $1, $2; bad = 1 } } END { exit bad }' ||
    fail "losses of $name differ from one rank's"
}
check data2 2 parallel.data=2
check sequence2 2 parallel.sequence=2 parallel.exchange=chain
check sequence3 3 parallel.sequence=3 parallel.exchange=log_step
check mesh2x2 4 parallel.data=2 parallel.sequence=2 parallel.exchange=all_gather
check accumulated 1 data.accumulation=2

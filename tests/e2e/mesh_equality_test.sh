# The same run on other meshes of real MPI ranks: same losses (fp64, to 1e-9 after 20 steps of training).
source "$(dirname "$0")/tiny_run.sh"
losses() { sed -nE 's/.*"loss": *([-+.0-9e]+).*/\1/p' "$1/metrics.jsonl"; }

# train NAME RANKS KEY=VALUE…
train() {
  local name=$1 n=$2
  shift 2
  ranks "$n" train tiny.yaml run.folder="$name" run.dtype=fp64 schedule.steps=20 initial_state.source=zero "${shape[@]}" "$@" \
    >"$name.log" 2>&1 || { cat "$name.log"; fail "$name"; }
}
check() {
  train "$@"
  paste <(losses "$reference") <(losses "$1") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-9 * $1) { print "step", NR, $1, $2; bad = 1 } } END { exit bad }' ||
    fail "losses of $1 differ from one rank's"
}

shape=() reference=one
train one 1
[ "$(losses one | wc -l)" -ge 20 ] || fail "no losses in metrics.jsonl"
check data2 2 parallel.data=2
check sequence2 2 parallel.sequence=2 parallel.exchange=chain
check sequence3 3 parallel.sequence=3 parallel.exchange=log_step
check mesh2x2 4 parallel.data=2 parallel.sequence=2 parallel.exchange=all_gather
check accumulated 1 data.accumulation=2

shape=(model.shape.architecture=mamba1) reference=mamba1
train mamba1 1
cmp -s <(losses one) <(losses mamba1) && fail "model.shape.architecture changes nothing"
check mamba1_sequence2 2 parallel.sequence=2 parallel.exchange=chain
check mamba1_mesh2x2 4 parallel.data=2 parallel.sequence=2 parallel.zero=1 data.recompute=true

# Moments in shards over real MPI ranks (parallel.zero: 1): the bits of whole ones, also where one half of the run
# is done with shards and the other without.
source "$(dirname "$0")/tiny_run.sh"
options=(run.dtype=fp32 parallel.bucket_mib=0.004)

# same_result A B: final model and metrics.
same_result() {
  cmp "$1/model/model.safetensors" "$2/model/model.safetensors" || fail "weights of $1 and $2 differ"
  diff <(timeless "$1/metrics.jsonl") <(timeless "$2/metrics.jsonl") || fail "metrics of $1 and $2 differ"
}
run() {
  local n=$1 folder=$2
  shift 2
  ranks "$n" train tiny.yaml run.folder="$folder" "${options[@]}" "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; fail "$folder"; }
}

check() {
  local name=$1 n=$2
  shift 2
  run "$n" "$name-whole" "$@"
  run "$n" "$name-shards" parallel.zero=1 "$@"
  same_result "$name-whole" "$name-shards"
  [ "$(ls "$name-shards"/checkpoints/step-40/optimizer-*.safetensors | wc -l)" -eq "$n" ] || fail "$name: no shard of every rank"
}
check data2 2
check sequence3 3 parallel.sequence=3
check mesh2x2 4 parallel.sequence=2 initial_state.source=tbtt

# The first half in shards, the second without, and the other way round. The hash of the computation is the same.
for first in 0 1; do
  folder=half-$first
  if timeout 100 mpirun -n 2 "$program" train tiny.yaml run.folder=$folder "${options[@]}" checkpoint.every=20 parallel.zero=$first \
    >$folder.log 2>&1; then :; else cat $folder.log; fail "$folder"; fi
  rm -r $folder/checkpoints/step-40 $folder/model
  ranks 2 train tiny.yaml run.folder=$folder "${options[@]}" parallel.zero=$((1 - first)) --resume >$folder.log 2>&1 || { cat $folder.log; fail "$folder"; }
  ! grep -q "another configuration" $folder.log || fail "parallel.zero is no other computation"
  same_result data2-whole $folder
done

# Sourced by the end-to-end tests: a run of a few seconds, and what every test needs.
# Usage of a test: bash NAME_test.sh PROGRAM SCRATCH_FOLDER
set -euo pipefail
program=$(realpath "$1")
scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

fail() { echo "FAILED: $*" >&2; exit 1; }

cat >tiny.yaml <<'YAML'
model:
  shape: {vocabulary: 0, width: 32, layers: 2, heads: 2, head_dim: 32, state_dim: 16, chunk: 16}
data: {kind: recall, length: 32, sequences: 8, recall: {keys: 24, values: 8, reach: 7}}
initial_state: {source: state_passing}
optimizer: {rate: 3e-3}
schedule: {kind: cosine, steps: 40, warmup: 5}
parallel: {time_limit_s: 60, threads: 1}
run: {folder: run, seed: 7, log_every: 1000}
YAML

# ranks N ARGS…: the program under mpirun.
ranks() {
  local n=$1
  shift
  mpirun -n "$n" "$program" "$@"
}

# metrics without wall-clock numbers and without what was said of checkpoints that a full disk refused, for comparison
timeless() {
  sed -E '/"kind": *"ranks"/d; /a checkpoint could not be written/d; s/"(tokens_per_second|data_seconds|seconds|utilisation)": *[-+.0-9eENaIinfty"]+,?//g' "$1"
}

# same_run A B: weights, moments, source and metrics of two finished runs are equal bit for bit.
same_run() {
  cmp "$1/model/model.safetensors" "$2/model/model.safetensors" || fail "weights of $1 and $2 differ"
  diff <(timeless "$1/metrics.jsonl") <(timeless "$2/metrics.jsonl") || fail "metrics of $1 and $2 differ"
  local last
  last=$(ls -d "$1"/checkpoints/step-* | sort -V | tail -1)
  for file in "$last"/*.safetensors; do
    cmp "$file" "$2/checkpoints/$(basename "$last")/$(basename "$file")" || fail "$file differs"
  done
}

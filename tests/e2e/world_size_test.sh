# A run of real MPI ranks that is resumed on other meshes goes on as the run that stayed on one: losses in fp64 to 1e-6,
# every step once, from every source of h0; also with another device setting and with its data moved elsewhere.
source "$(dirname "$0")/tiny_run.sh"
for ((i = 0; i < 400; ++i)); do echo "line $i of a text, $((i * i % 97)) and $((i * 31 % 89))"; done >text.txt
"$program" tokenize --tokenizer byte --out tokens text.txt >/dev/null 2>&1
cp -r tokens moved
options=(run.dtype=fp64 schedule.steps=10 data.kind=tokens checkpoint.shard_mib=0.02)
losses() { sed -nE 's/.*"step": *"?([0-9]+).*"loss": *([-+.0-9e]+).*/\1 \2/p' "$1/metrics.jsonl"; }

for source in zero noise fitted_noise state_passing tbtt; do
  here=("${options[@]}" initial_state.source=$source)
  ranks 4 train tiny.yaml run.folder="whole-$source" "${here[@]}" data.folder=tokens parallel.zero=1 >whole.log 2>&1 || { cat whole.log; fail "$source on 4 x 1"; }
  until=2
  # MESH of data and sequence ranks, and what else changes.
  while read -r data sequence more; do
    code=0
    # shellcheck disable=SC2086
    ranks $((data * sequence)) train tiny.yaml run.folder="moving-$source" "${here[@]}" parallel.sequence="$sequence" $more \
      --resume --until $until </dev/null >moving.log 2>&1 || code=$?
    [ $code = $((until < 10 ? 75 : 0)) ] || { cat moving.log; fail "$source on $data x $sequence: exit code $code"; }
    ! grep -q "another configuration" moving.log || { cat moving.log; fail "a mesh is no other configuration"; }
    until=$((until + 2))
  done <<'END'
4 1 data.folder=tokens parallel.zero=1
2 2 data.folder=tokens parallel.zero=1
1 2 data.folder=tokens run.device=cpu
1 1 data.folder=moved data.recompute=true
2 1 data.folder=moved parallel.zero=1
END
  paste -d ' ' <(losses "whole-$source") <(losses "moving-$source") |
    awk '{ d = $2 - $4; if (d < 0) d = -d; if (NF != 4 || $1 != NR || $3 != NR || d > 1e-6 * $2) { print; bad = 1 } }
         END { exit bad || NR != 10 }' || fail "$source: the losses are not those of the run that stayed on one mesh"
done
ls whole-tbtt/checkpoints/step-10/model-0000?-of-0000?.safetensors >/dev/null || fail "one rank wrote all weights"
"$program" inspect moving-tbtt --verify >verify.log 2>&1 || { cat verify.log; fail "inspect --verify"; }

# What a mesh cannot hold, and what is another computation.
refuse() {
  local ranks=$1 pattern=$2
  shift 2
  local code=0
  ranks "$ranks" train tiny.yaml run.folder=moving-tbtt "${options[@]}" initial_state.source=tbtt "$@" --resume >refused.log 2>&1 || code=$?
  [ $code = 2 ] && grep -q "$pattern" refused.log || { cat refused.log; fail "exit code $code, expected 2 and: $pattern"; }
}
refuse 3 'data.sequences: found 8, expected a multiple of data ranks' data.folder=tokens
refuse 2 'optimizer.rate: differs from the run that is to be resumed' data.folder=tokens optimizer.rate=1e-3
cat text.txt text.txt >other.txt
"$program" tokenize --tokenizer byte --out other other.txt >/dev/null 2>&1
refuse 2 'fingerprint' data.folder=other
exit 0

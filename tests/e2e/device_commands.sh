#!/usr/bin/env bash
# Every command that computes, on a CUDA device: what it gives is what the CPU gives.
source "$(dirname "${BASH_SOURCE[0]}")/tiny_run.sh"

last_loss() { grep -o '"loss": *[0-9.]*' "$1/metrics.jsonl" | tail -n 1 | tr -dc '0-9.'; }
# near A B SHARE: |A − B| ≤ SHARE · |B|
near() {
  awk -v a="$1" -v b="$2" -v s="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && d <= s * b) }' ||
    fail "$1 is not within $3 of $2"
}

short=(schedule.steps=6 data.length=16 data.sequences=4 schedule.warmup=2)
"$program" train tiny.yaml "${short[@]}" run.device=cpu run.folder=cpu >/dev/null
"$program" train tiny.yaml "${short[@]}" run.device=cuda run.folder=single >/dev/null
"$program" train tiny.yaml "${short[@]}" run.device=cuda run.dtype=bf16 run.folder=half >/dev/null
near "$(last_loss single)" "$(last_loss cpu)" 1e-4
near "$(last_loss half)" "$(last_loss cpu)" 1e-2

# A bf16 run's weights are its fp32 masters; stopping and going on changes no bit.
"$program" train tiny.yaml "${short[@]}" run.device=cuda run.dtype=bf16 run.folder=parts \
  checkpoint.every=3 >/dev/null
rm -r parts/model parts/checkpoints/step-6
"$program" train parts/run.yaml --resume >/dev/null
cmp half/model/model.safetensors parts/model/model.safetensors || fail "the resumed run differs"

# Commands on a model of text.
for i in $(seq 60); do echo "Line $i of a text that says line $i."; done >text.txt
"$program" tokenize --tokenizer byte --out tokens text.txt >/dev/null
sed -i 's/^data:.*/data: {folder: tokens, length: 32, sequences: 4}/' tiny.yaml
"$program" train tiny.yaml model.shape.vocabulary=257 schedule.steps=3 schedule.warmup=1 run.device=cpu \
  run.folder=text >/dev/null
for device in cpu cuda; do
  "$program" generate --model text/model --prompt Line --tokens 8 --temperature 0 --device $device >generated.$device
  "$program" eval perplexity --model text/model --data tokens --length 64 --sequences 2 --json eval.$device \
    --device $device >/dev/null
  for measure in effrem states; do
    "$program" eval $measure --model text/model --data tokens --length 64 --sequences 2 --json $measure.$device \
      --device $device >/dev/null
  done
done
for measure in effrem states; do
  paste <(grep -o '[-+.0-9e]*[0-9]' $measure.cuda) <(grep -o '[-+.0-9e]*[0-9]' $measure.cpu) |
    awk '{ d = $1 - $2; if (d < 0) d = -d; m = $1 < 0 ? -$1 : $1; if (NF != 2 || d > 1e-3 * m + 1e-5) { print; bad = 1 } }
         END { exit bad || NR < 30 }' || fail "eval $measure differs"
done
cmp generated.cpu generated.cuda || fail "generated text differs"
perplexity() { grep -o '"perplexity": *[0-9.]*' "$1" | head -n 1 | tr -dc '0-9.'; }
near "$(perplexity eval.cuda)" "$(perplexity eval.cpu)" 1e-4

# In bf16: near the others in every command, and refused on the CPU.
half=(--device cuda --dtype bf16)
"$program" eval perplexity --model text/model --data tokens --length 64 --sequences 2 --json eval.half \
  "${half[@]}" >/dev/null
near "$(perplexity eval.half)" "$(perplexity eval.cpu)" 2e-2
[ "$(perplexity eval.half)" != "$(perplexity eval.cuda)" ] || fail "bf16 gives what fp32 gives, digit for digit"
for measure in effrem states; do
  "$program" eval $measure --model text/model --data tokens --length 64 --sequences 2 --json $measure.half \
    "${half[@]}" >/dev/null
done
"$program" generate --model text/model --prompt Line --tokens 8 --temperature 0 "${half[@]}" >generated.half
[ -s generated.half ] || fail "nothing was generated in bf16"
# Logits are not rounded: of two rows of the head that differ by a bit the better one wins, whichever token is its own.
chosen() { "$program" generate --model "$1" --prompt-ids 76,105 --tokens 1 --temperature 0 "${half[@]}"; }
python3 - "$(chosen text/model)" <<'PYTHON'
import json, pathlib, shutil, struct, sys

data = bytearray(pathlib.Path("text/model/model.safetensors").read_bytes())
header_bytes = struct.unpack_from("<Q", data)[0]
header = json.loads(data[8 : 8 + header_bytes])
head = header.get("lm_head.weight") or header["backbone.embeddings.weight"]
width = head["shape"][1]
place = lambda token: 8 + header_bytes + head["data_offsets"][0] + 4 * width * token
best = struct.unpack_from(f"<{width}I", data, place(int(sys.argv[1])))
row = [(bits & 0xFFFF0000) + (2 << 23) for bits in best]  # four times the best one's, in bf16
other = list(row)
other[sorted(range(width), key=lambda i: row[i] & 0x7FFFFFFF)[width // 2]] ^= 0x10000
for folder, rows in (("ahead", (row, other)), ("behind", (other, row))):
    shutil.copytree("text/model", folder)
    for token, bits in zip((250, 251), rows):
        struct.pack_into(f"<{width}I", data, place(token), *bits)
    pathlib.Path(folder, "model.safetensors").write_bytes(data)
PYTHON
[ "$({ chosen ahead; chosen behind; } | sort | xargs)" = "250 251" ] || fail "bf16 logits decide: $(chosen ahead), $(chosen behind)"
for command in "eval perplexity --data tokens --length 64 --sequences 2" "generate --prompt Line"; do
  # shellcheck disable=SC2086  # words of a command
  if "$program" $command --model text/model --device cpu --dtype bf16 2>refusal; then fail "$command ran in bf16"; fi
  grep -q -- '--dtype: bf16 is there for cuda only; --device is cpu' refusal || fail "refusal: $(cat refusal)"
done

# Several ranks on a device need NCCL, which this program was built without: asked for it, they say so; left to choose,
# they compute on the CPU.
ranks 2 train tiny.yaml "${short[@]}" run.folder=auto >auto.out
grep -q '^device *cpu' auto.out || fail "two ranks without NCCL did not take the CPU: $(cat auto.out)"
if ranks 2 train tiny.yaml "${short[@]}" run.device=cuda run.folder=refused 2>refusal; then
  fail "two ranks on a device without NCCL were not refused"
fi
grep -q 'device: cuda cannot be used by 2 ranks: .*NCCL.*; expected cpu or auto, or one rank' refusal ||
  fail "two ranks on a device without NCCL: $(cat refusal)"

if "$program" train tiny.yaml run.device=cpu run.dtype=bf16 run.folder=refused 2>refusal; then
  fail "bf16 on the cpu was not refused"
fi
grep -q 'run.dtype' refusal || fail "the refusal does not name run.dtype: $(cat refusal)"

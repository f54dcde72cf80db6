# A damaged or missing shard is found, named, and left out if asked for: the run then goes on from the newest sound checkpoint
# and ends as the uninterrupted one.
source "$(dirname "$0")/tiny_run.sh"
options=(checkpoint.every=5 checkpoint.keep=3)
ranks 2 train tiny.yaml run.folder=whole "${options[@]}" >/dev/null 2>&1 || fail "uninterrupted run"
"$program" inspect whole --verify >sound
[ "$(cat sound)" = "$(printf 'whole/checkpoints/step-%s: sound\n' 30 35 40)" ] || { cat sound; fail "inspect --verify of a sound run"; }

code=0
ranks 2 train tiny.yaml run.folder=cut "${options[@]}" --until 22 >/dev/null 2>&1 || code=$?
[ "$code" = 75 ] || fail "--until: exit code $code, expected 75"
rm cut/checkpoints/step-22/sources-1.safetensors
printf x | dd of=cut/checkpoints/step-20/optimizer-1.safetensors bs=1 seek=500 conv=notrunc 2>/dev/null

code=0
"$program" inspect cut --verify >/dev/null 2>problems || code=$?
[ "$code" = 2 ] || fail "inspect --verify: exit code $code, expected 2"
grep -q 'step-22/sources-1.safetensors' problems && grep -q 'step-20/optimizer-1.safetensors: is damaged' problems &&
  [ "$(wc -l <problems)" = 2 ] || { cat problems; fail "the damaged files are not named"; }
"$program" inspect cut/checkpoints/step-15 --verify | grep -qx 'cut/checkpoints/step-15: sound' || fail "the sound one"

code=0
ranks 2 train tiny.yaml run.folder=cut "${options[@]}" --resume >refused.log 2>&1 || code=$?
[ "$code" = 2 ] && grep -q 'step-22/sources-1.safetensors' refused.log || { cat refused.log; fail "resuming from a damaged checkpoint"; }
ranks 2 train tiny.yaml run.folder=cut "${options[@]}" --resume --skip-damaged >resumed.log 2>&1 || { cat resumed.log; fail "resuming"; }
grep -q 'the run goes on from step 15' resumed.log || { cat resumed.log; fail "it does not say from where"; }
same_run whole cut
[ -d cut/checkpoints/damaged-step-22 ] || fail "the damaged checkpoint was not kept aside"

# Each file's checksum is read by one of the ranks: whichever it is, the file is named.
for file in whole/checkpoints/step-40/*; do
  name=$(basename "$file")
  [ "$name" != manifest.json ] || continue
  cp "$file" sound_file
  printf '\377' | dd of="$file" bs=1 seek=1 conv=notrunc 2>/dev/null
  code=0
  ranks 2 train tiny.yaml run.folder=whole "${options[@]}" --resume >refused.log 2>&1 || code=$?
  [ "$code" = 2 ] && grep -q "step-40/$name: is damaged" refused.log || { cat refused.log; fail "exit code $code: damage of $name"; }
  cp sound_file "$file"
done

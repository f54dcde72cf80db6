# A disk that is full while a checkpoint is written: exit 1, a message with the path, and the checkpoint before it whole.
# The full disk is a limit on the size of files (no root needed).
source "$(dirname "$0")/tiny_run.sh"
ranks 1 train tiny.yaml run.folder=whole >whole.log 2>&1


mkdir kept
cp -r whole/model kept/model
(
  ulimit -f 8 # KiB
  trap '' XFSZ
  code=0
  "$program" export --model whole/model --format hf --out kept/model >export.log 2>&1 || code=$?
  [ "$code" = 1 ] || { cat export.log; fail "exit $code, expected 1"; }
)
grep -q "kept" export.log || { cat export.log; fail "the message does not name the path"; }
cmp whole/model/model.safetensors kept/model/model.safetensors || fail "the old model was harmed"
compgen -G "kept/.*partial*" >/dev/null && fail "leftovers of the failed write"
exit 0

# A disk that is full while the run writes. What a checkpoint in between cannot write is warned of, with rank, host and path, and tried
# again; the last checkpoint must succeed: exit code 1, the older one sound, and --resume ends as the undisturbed run did.
source "$(dirname "$0")/tiny_run.sh"
host=$(hostname)
options=(checkpoint.every=10 parallel.zero=1)
ranks 2 train tiny.yaml run.folder=whole "${options[@]}" >whole.log 2>&1 || { cat whole.log; fail "the undisturbed run"; }

# limited RANK_1_KIB ARGS…: no file of rank 1 may be larger (its moments take 65 KiB); rank 0 may write what it likes.
limited() {
  local kib=$1
  shift
  mpirun -n 1 "$program" "$@" : -n 1 bash -c "trap '' XFSZ; ulimit -f $kib; exec \"\$@\"" - "$program" "$@"
}
ranks 2 train tiny.yaml run.folder=broken "${options[@]}" --until 10 >begin.log 2>&1 || [ $? = 75 ] || { cat begin.log; fail "the beginning"; }
code=0
limited 16 train tiny.yaml run.folder=broken "${options[@]}" --resume >full.log 2>&1 || code=$?
[ "$code" = 1 ] || { cat full.log; fail "exit code $code with a full disk, expected 1"; }
grep -q "a checkpoint could not be written, .*: rank 1 (host $host): .*/checkpoints/.*safetensors: cannot be written" full.log || { cat full.log; fail "the warning does not name rank, host and path"; }
grep -Eq "^longhaul: rank [01] \(host $host\) at step 40: rank 1 \(host $host\): " full.log || { cat full.log; fail "the failure does not name rank, host and step"; }
[ "$(ls broken/checkpoints)" = step-10 ] || { ls -a broken/checkpoints; fail "the older checkpoint is not the only one"; }
"$program" inspect --verify broken/checkpoints/step-10 >/dev/null || fail "the older checkpoint was harmed"
ranks 2 train tiny.yaml run.folder=broken "${options[@]}" --resume >resumed.log 2>&1 || { cat resumed.log; fail "resuming"; }
same_run whole broken

# A disk that is full to the last byte, metrics and all, needs a file system of its own.
((EUID == 0)) && unshare --mount true 2>/dev/null || { echo "a full file system not tried: not root, or no mounts here"; exit 0; }
mkdir -p disk
unshare --mount bash -euc '
  mount -t tmpfs -o size=2m none disk
  program=$1
  shift
  mpirun -n 2 "$program" train tiny.yaml run.folder=disk/run "$@" --until 10 >begin.log 2>&1 || [ $? = 75 ]
  head -c 100M /dev/zero >disk/filler 2>/dev/null || true
  code=0
  mpirun -n 2 "$program" train tiny.yaml run.folder=disk/run "$@" --resume >full.log 2>&1 || code=$?
  echo "$code" >code
  rm disk/filler
  mpirun -n 2 "$program" train tiny.yaml run.folder=disk/run "$@" --resume >resumed.log 2>&1 || { cat resumed.log; exit 1; }
  cp -r disk/run from_disk
' - "$program" "${options[@]}" || { cat full.log; fail "on a file system of 2 MiB"; }
[ "$(cat code)" = 1 ] || { cat full.log; fail "exit code $(cat code) with a full file system, expected 1"; }
grep -q "host $host.*No space left on device" full.log || { cat full.log; fail "the failure does not name host and reason"; }
same_run whole from_disk

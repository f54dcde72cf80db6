# The check of every rank's environment: what is all right, another program on one rank, a folder that is not shared, no space for a
# checkpoint, as `longhaul check` and before training. Each is refused with exit code 2, naming rank and host, and nothing is written.
source "$(dirname "$0")/tiny_run.sh"
host=$(hostname)

# refuses TEXT COMMAND…: exit code 2 and TEXT once, with rank and host before it.
refuses() {
  local text=$1 code=0
  shift
  "$@" >out.log 2>err.log || code=$?
  [ "$code" = 2 ] || { cat out.log err.log; fail "exit code $code, expected 2: $*"; }
  [ "$(grep -c "longhaul: rank 0: .*$text" err.log)" = 1 ] || { cat err.log; fail "no line, or several, with '$text'"; }
  grep -q "^environment    refused$" out.log || { cat out.log; fail "no verdict"; }
}

ranks 2 check tiny.yaml parallel.threads=1 >out.log 2>&1 || { cat out.log; fail "the check"; }
grep -Eq "^$host +0-1 +[0-9]+[-,][0-9]+ +[0-9.]+ build [0-9a-f]{12} +Open MPI v[0-9.]+ .* cpu .* yes$" out.log || { cat out.log; fail "the row"; }
grep -q "^environment    ok$" out.log || { cat out.log; fail "the verdict"; }
"$program" check >out.log 2>&1 || { cat out.log; fail "the check of one rank and no run"; }
[ -e run ] && fail "the check made the run's folder"
compgen -G '.longhaul*' >/dev/null && fail "the check left a file"

# The same program under another build ID.
python3 - "$program" other <<'PYTHON'
import re, shutil, subprocess, sys
program, other = sys.argv[1:]
build = re.search(r"Build ID: (\w+)", subprocess.check_output(["readelf", "-n", program], text=True, stderr=subprocess.DEVNULL)).group(1)
content = open(program, "rb").read()
assert content.count(bytes.fromhex(build)) == 1
open(other, "wb").write(content.replace(bytes.fromhex(build), bytes(20)))
shutil.copymode(program, other)
PYTHON
two_programs() { mpirun -n 1 "$program" "$@" : -n 1 ./other "$@"; }
for command in check train; do
  refuses "rank 1 (host $host) runs longhaul [0-9.]* build 000000000000, rank 0" two_programs "$command" tiny.yaml
done
[ -e run/metrics.jsonl ] && fail "a refused run began"

# File systems of a size and of one rank's own need root.
((EUID == 0)) && unshare --mount true 2>/dev/null || { echo "folders not tried: not root, or no mounts here"; exit 0; }
mkdir -p apart small
on_own_folder() { mpirun -n 1 "$program" "$@" : -n 1 unshare --mount bash -c 'mount -t tmpfs none apart && exec "$@"' - "$program" "$@"; }
refuses "rank 1 (host $host) does not see what rank 0 (host $host) wrote in apart" on_own_folder check tiny.yaml run.folder=apart
refuses "rank 1 (host $host) does not see what rank 0 (host $host) wrote in apart" on_own_folder train tiny.yaml run.folder=apart
# 200 KiB of parameters and moments into 64.
on_small_folder() { unshare --mount bash -c 'mount -t tmpfs -o size=64k none small && exec "$@"' - mpirun -n 2 "$program" "$@"; }
for command in check train; do
  refuses "ranks 0-1 (host $host) has [0-9.]* KiB free in small/run, a checkpoint takes [0-9.]* KiB" on_small_folder "$command" tiny.yaml run.folder=small/run
done

# What a checkpoint takes is what was said.
ranks 2 train tiny.yaml schedule.steps=2 schedule.warmup=1 >out.log 2>&1 || { cat out.log; fail "training"; }
said=$(awk '/^checkpoint / && $3 == "KiB" { print int($2) }' out.log)
bytes=$(find run/checkpoints/step-2 -name '*.safetensors' -printf '%s\n' | paste -sd+)
takes=$(((bytes) / 1024))
((said >= takes * 9 / 10 && said <= takes * 12 / 10)) || fail "a checkpoint was said to take $said KiB and takes $takes"

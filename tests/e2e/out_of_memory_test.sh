# A rank that gets no more memory in the midst of a run ends the job with exit code 1, naming rank, host and step; resumed, the run
# ends as the undisturbed one did. The limit is on the rank's address space.
source "$(dirname "$0")/rank_of_job.sh"
source "$(dirname "$0")/tiny_run.sh"
command -v prlimit >/dev/null || { echo "SKIPPED: no prlimit"; exit 77; }
host=$(hostname)
# Checkpoints, which are read back, and evaluations need memory that the steps before them did not.
options=(schedule.steps=600 checkpoint.every=50 checkpoint.background=false evaluation.every=500 evaluation.length=65536)
ranks 2 train tiny.yaml run.folder=whole "${options[@]}" >whole.log 2>&1 || { cat whole.log; fail "the undisturbed run"; }

# One arena: of others a whole stretch of addresses is taken ahead.
mpirun -x MALLOC_ARENA_MAX=1 -n 2 "$program" train tiny.yaml run.folder=broken "${options[@]}" >broken.log 2>&1 &
job=$!
for ((i = 0; i < 600; ++i)); do [ -d broken/checkpoints/step-50 ] && break; sleep 0.02; done
find_rank 1 broken
kib=$(awk '/^VmSize/ { print $2 }' "/proc/$victim/status")
prlimit --pid "$victim" --as=$((kib * 1024))
[ -f broken/model/model.safetensors ] && fail "the run was over before the limit"
code=0
wait "$job" || code=$?
[ "$code" = 1 ] || { cat broken.log; fail "exit code $code without memory, expected 1"; }
# In a checkpoint's reading back it is a warning that names the step, until the last one fails.
grep -Eq "rank 1 \(host $host\)( at step [0-9]+)?: out of memory" broken.log && grep -Eq "step [0-9]+" broken.log || { cat broken.log; fail "the message does not name rank, host, step and reason"; }
ranks 2 train tiny.yaml run.folder=broken "${options[@]}" --resume >resumed.log 2>&1 || { cat resumed.log; fail "resuming"; }
same_run whole broken

#!/usr/bin/env bash
# A job that is killed again and again, at random moments and in every way, and resumed each time, ends as the uninterrupted one,
# bit for bit: weights, moments, state buffers, and metrics with no step missing or doubled.
# Usage: tests/soak/kill.sh N [SEED]; PROGRAM=build/…/bin/longhaul and SCRATCH=FOLDER say with what and where.
# Prints a table of what was done to the job and how it ended. Leaves no process.
set -euo pipefail
kills=${1:?usage: tests/soak/kill.sh N [SEED]}
seed=${2:-$$}
here=$(cd "$(dirname "$0")" && pwd)
: "${PROGRAM:=$here/../../build/release/bin/longhaul}" "${SCRATCH:=$(mktemp -d /tmp/longhaul-soak.XXXXXX)}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none LONGHAUL_START_LIMIT_S=60
mountpoint -q "$SCRATCH/disk" 2>/dev/null && umount "$SCRATCH/disk"
source "$here/../e2e/tiny_run.sh" "$PROGRAM" "$SCRATCH"
source "$here/job.sh"
RANDOM=$seed
echo "seed $seed, $kills kills, in $SCRATCH"

# Runs live on a small disk of their own, to be filled; that takes root.
kinds=(rank ranks mpirun session term_rank term_mpirun usr1_ranks writing_rank writing_session)
mkdir disk
if mount -t tmpfs -o size=24m longhaul-soak disk 2>/dev/null; then
  kinds+=(disk)
else
  echo "LEFT OUT: the full disk (mounting a small one takes root)"
fi
end() {
  stop_job
  await 10 gone || true
  if mountpoint -q disk; then umount disk; fi
}
trap end EXIT

# What a job is made of: ranks, then options.
shapes=(
  "2 initial_state.source=state_passing parallel.zero=1 checkpoint.every=1"
  "2 initial_state.source=tbtt parallel.sequence=2 checkpoint.every=2"
  "2 initial_state.source=fitted_noise checkpoint.every=3 evaluation.every=6 evaluation.length=64 checkpoint.keep_best=1"
  "4 initial_state.source=state_passing parallel.sequence=2 checkpoint.every=1 data.accumulation=2"
)
per_run=50 # kills after which a run may finish
steps=$((120 + 4 * (kills < per_run ? kills : per_run)))
declare -A done_to ended
killed=0 finished=0 writing=0

# take_shape: the next of the shapes, uninterrupted in disk/whole.
take_shape() {
  read -ra shape <<<"${shapes[(seed + finished) % ${#shapes[@]}]}"
  rm -rf disk/whole disk/broken
  start_job disk/whole
  end_of_job 500 || { cat job.log; fail "the uninterrupted run hangs"; }
  ((job_code == 0)) || { cat job.log; fail "uninterrupted run: exit code $job_code"; }
}
# take_stock: the broken run, finished, against the whole one.
take_stock() {
  same_run disk/whole disk/broken
  "$program" inspect disk/broken --verify >verify.log 2>&1 || { cat verify.log; fail "inspect --verify"; }
  diff <(files_of disk/whole) <(files_of disk/broken) || fail "other files than those of the uninterrupted run"
  finished=$((finished + 1))
  echo "run $finished (${shape[*]}) equals the uninterrupted one after $killed kills"
}

take_shape
of_run=0
while ((killed < kills)); do
  kind=${kinds[RANDOM % ${#kinds[@]}]}
  start_job disk/broken --resume
  afflict "$kind"
  await_end "$kind"
  rm -f disk/filler
  check_ending "$kind"
  echo "$SECONDS s: $kind, exit code $job_code, $(ls disk/broken/checkpoints 2>/dev/null | sort -V | tail -1)" >>kills.log
  killed=$((killed + 1)) of_run=$((of_run + 1))
  done_to[$kind]=$((${done_to[$kind]:-0} + 1))
  ended["$kind $job_code"]=$((${ended["$kind $job_code"]:-0} + 1))
  if left_partial disk/broken; then writing=$((writing + 1)); fi
  if [ -f disk/broken/model/model.safetensors ] || ((of_run >= per_run || killed == kills)); then
    finish_job disk/broken
    take_stock
    of_run=0
    if ((killed < kills)); then take_shape; fi
  fi
done

await 60 gone || fail "processes are left: $(pgrep -l -s "$(IFS=, && echo "${sessions[*]}")")"

printf '%-16s %5s  %s\n' kind kills "exit code: times"
for kind in "${kinds[@]}"; do
  endings=""
  for key in "${!ended[@]}"; do
    if [ "${key% *}" = "$kind" ]; then endings+="${key#* }: ${ended[$key]}  "; fi
  done
  printf '%-16s %5s  %s\n' "$kind" "${done_to[$kind]:-0}" "$endings"
done
echo "$killed kills, $writing of them while a checkpoint was written; $finished runs finished, each equal to the uninterrupted one"

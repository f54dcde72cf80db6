# What reaches a job of launch/mpirun.sh and launch/slurm/train.sbatch when these are told to stop, and what they then do;
# mpirun and Slurm are stand-ins.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$(dirname "$0")/tiny_run.sh"
trap 'echo 1 >code' EXIT  # no job outlives this
mkdir bin
export PATH=$PWD/bin:$PATH
# Writes down what it is told, and ends with the code in the file of that name.
cat >bin/mpirun <<'SH'
#!/usr/bin/env bash
trap 'echo USR1 >>told' USR1
trap 'echo TERM >>told; exit 1' TERM
touch started
until [ -s code ]; do sleep 0.02; done
exit "$(cat code)"
SH
# Slurm runs a copy of the script.
cat >bin/sbatch <<'SH'
#!/usr/bin/env bash
while [[ $1 == -* ]]; do shift; done
cp "$1" copy.sbatch
export SLURM_JOB_ID=7 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1
exec bash copy.sbatch "${@:2}"
SH
printf '#!/bin/sh\necho "$@" >>requeued\n' >bin/scontrol
chmod +x bin/*

# wait_for COMMAND…: until it succeeds, 10 s
wait_for() {
  for ((i = 0; i < 200; ++i)); do
    if "$@" 2>/dev/null; then return; fi
    sleep 0.05
  done
  cat log
  fail "waited for $*"
}
was_told() { [ "$(xargs <told)" = "$*" ]; }
start() { # direct or slurm
  rm -f told code started requeued
  case $1 in
    direct) "$tree/launch/mpirun.sh" 1 "$program" >log 2>&1 & ;;
    slurm) LONGHAUL=$program "$tree/launch/slurm/train.sbatch" tiny.yaml >log 2>&1 & ;;
  esac
  script=$!
  wait_for test -e started
}
# ends_with CODE REQUESTS: with this exit code; what Slurm was asked for.
ends_with() {
  local code=0
  wait "$script" || code=$?
  [ "$code" = "$1" ] || { cat log; fail "exit code $code, expected $1"; }
  [ "$(cat requeued 2>/dev/null)" = "$2" ] || fail "Slurm was asked for '$(cat requeued)', expected '$2'"
}
declare -A again=([direct]='' [slurm]='requeue 7')

for how in direct slurm; do
  start $how
  echo 3 >code
  ends_with 3 ''
  for signal in USR1 TERM; do
    start $how
    kill -$signal "$script"
    wait_for was_told USR1
    echo 75 >code
    ends_with 75 "${again[$how]}"
  done
done

# A second signal ends mpirun, unless it comes at once.
start direct
kill -TERM "$script"
wait_for was_told USR1
kill -HUP "$script"
sleep 2.1
was_told USR1 || fail "a second signal at once was passed on"
kill -TERM "$script"
wait_for was_told USR1 TERM
ends_with 1 ''
# Under Slurm the job is left the time that Slurm gives.
start slurm
kill -USR1 "$script"
wait_for was_told USR1
sleep 2.1
kill -TERM "$script"
wait_for was_told USR1 USR1
echo 75 >code
ends_with 75 'requeue 7'

# A signal that comes before the job knows what it means ends it: nothing was computed yet. One that ends it uncalled for.
sed -i '/^trap/d' bin/mpirun
for how in direct slurm; do
  start $how
  kill -USR1 "$script"
  ends_with "$((128 + $(kill -l USR1)))" "${again[$how]}"
  start $how
  kill -KILL "$(pgrep -P "$script" -f bin/mpirun)"
  ends_with 137 ''
done

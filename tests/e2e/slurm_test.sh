# A real Slurm on this machine, two virtual nodes in a folder of its own: train.sbatch runs on both, is told to save, is queued
# again and goes on by itself; a sweep as a job array. Exit 77 (skipped) where Slurm is not installed or cannot run here.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$(dirname "$0")/tiny_run.sh"
skip() { echo "SKIPPED: $*"; exit 77; }
export PATH=$PATH:/usr/sbin:/sbin
for tool in slurmctld slurmd munged sbatch scontrol squeue; do
  command -v "$tool" >/dev/null || skip "Slurm is not installed (no $tool; Debian: slurm-wlm)"
done
((EUID == 0)) || skip "slurmd starts jobs as their user, which needs root"

# In a private place with a short name: sockets have at most 108 characters.
place=$(mktemp -d /tmp/slurm.XXXXXX)
pids=()
stop() {
  scancel --full --user="$(id -un)" 2>/dev/null || true
  scontrol shutdown slurmctld 2>/dev/null || true
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for ((i = 0; i < 100; ++i)); do
    for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null && { sleep 0.1; continue 2; }; done
    break
  done
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  rm -rf "$place"
}
trap stop EXIT

dd if=/dev/urandom of="$place/munge.key" bs=1024 count=1 2>/dev/null
chmod 755 "$place"
chmod 600 "$place/munge.key"
mkdir -m 755 "$place/munge"
munged --foreground --force --socket="$place/munge/socket" --key-file="$place/munge.key" --log-file="$place/munge.log" \
  --pid-file="$place/munge/pid" --seed-file="$place/munge.seed" >"$place/munge.out" 2>&1 &
pids+=($!)

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }
host=$(hostname -s)
mkdir -p "$place/state" "$place/spool/n1" "$place/spool/n2"
cat >"$place/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$(port)
AuthType=auth/munge
AuthInfo=socket=$place/munge/socket
CredType=cred/munge
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool/%n
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd-%n.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
TaskProlog=$place/task_prolog
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
SchedulerParameters=sched_interval=1,bf_interval=1
KillWait=10
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(port) CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(port) CPUs=2 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=60 State=UP OverSubscribe=NO
CONF
# Open MPI's daemons of two nodes take one directory of this host for theirs, and clear it away for each other.
cat >"$place/task_prolog" <<PROLOG
#!/bin/sh
mkdir -p "$place/tmp/\$SLURMD_NODENAME"
echo "export TMPDIR=$place/tmp/\$SLURMD_NODENAME"
PROLOG
chmod +x "$place/task_prolog"
printf 'CgroupAutomount=no\nConstrainCores=no\n' >"$place/cgroup.conf"
export SLURM_CONF=$place/slurm.conf
for ((i = 0; i < 100; ++i)); do [ -S "$place/munge/socket" ] && break; sleep 0.1; done
slurmctld -D -f "$SLURM_CONF" >"$place/slurmctld.out" 2>&1 &
pids+=($!)
for node in n1 n2; do
  slurmd -D -f "$SLURM_CONF" -N "$node" >"$place/slurmd-$node.out" 2>&1 &
  pids+=($!)
done
for ((i = 0; i < 300; ++i)); do
  [ "$(sinfo --noheader --format='%t %D' 2>/dev/null)" = "idle 2" ] && break
  sleep 0.1
done
if [ "$(sinfo --noheader --format='%t %D' 2>/dev/null)" != "idle 2" ]; then
  sinfo 2>&1 || true
  tail -n 5 "$place"/*.log "$place"/*.out || true
  fail "Slurm did not come up"
fi

# On this machine both nodes are one host: Open MPI's daemons start through srun without PMIx.
export OMPI_MCA_plm_slurm_args=--mpi=none
export OMPI_MCA_btl=tcp,self # segments of shared memory are called after host and local rank: both nodes' alike
# wait_for COMMAND…: until it succeeds, two minutes
wait_for() {
  for ((i = 0; i < 1200; ++i)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  scontrol show job || true
  tail -n 10 "$place"/*.log || true
  tail -n 20 ./*.txt */logs/*.txt 2>/dev/null || true
  fail "waited for $*"
}
run_is_over() { [ -z "$(squeue --noheader --user="$(id -un)")" ]; }

# Two nodes, a rank each. USR1 (what --signal sends before the limit) saves and requeues.
options=(schedule.steps=3000 checkpoint.every=200)
ranks 2 train tiny.yaml run.folder=whole "${options[@]}" >/dev/null 2>&1 || fail "the run outside of Slurm"
LONGHAUL=$program NODES=2 RANKS_PER_NODE=1 "$tree/launch/slurm/train.sbatch" tiny.yaml run.folder=run "${options[@]}" >submitted
job=$(grep -o '[0-9]*$' submitted)
wait_for compgen -G 'run/checkpoints/step-*'
[ "$(squeue --noheader --job="$job" --format=%D)" = 2 ] || { squeue; fail "the job is not on two nodes"; }
scancel --batch --signal=USR1 "$job"
wait_for grep -q "interrupted: saved in run" "slurm-$job.txt"
# A requeued job waits two minutes, so that the last words of the old one are not taken for its own. Here: until they are said.
is_queued_again() {
  grep -qF "[$job.batch] done with job" "$place/slurmd-n1.log" && [ "$(squeue --noheader --job="$job" --format=%T)" = PENDING ]
}
wait_for is_queued_again
sleep 3
goes_on() {
  scontrol update "JobId=$job" StartTime=now
  [ -f run/model/model.safetensors ]
}
wait_for goes_on
wait_for run_is_over
same_run whole run
[ "$(grep -c 'final model' "slurm-$job.txt")" = 1 ] || fail "the job's output is not of one run"

# Ranks that srun starts itself, by PMIx. On one node: two nodes of one host take the same folder for their PMIx servers.
srun --nodes=1 --ntasks=2 --cpus-per-task=1 --mpi=pmix "$program" train tiny.yaml run.folder=by_srun "${options[@]}" >srun.log 2>&1 ||
  { cat srun.log; fail "srun --mpi=pmix"; }
same_run whole by_srun

# Two ranks of one node, each bound to a processor of its own.
ranks 2 train tiny.yaml run.folder=unbound schedule.steps=20 schedule.warmup=5 >/dev/null 2>&1 || fail "the short run outside of Slurm"
LONGHAUL=$program CPUS_PER_RANK=1 RANKS_PER_NODE=2 "$tree/launch/slurm/train.sbatch" tiny.yaml run.folder=bound \
  schedule.steps=20 schedule.warmup=5 >submitted
wait_for run_is_over
same_run unbound bound
grep -qE ' 1/1 ' "slurm-$(grep -o '[0-9]*$' submitted).txt" || { cat slurm-*.txt; fail "the ranks are not bound to a processor each"; }

# A sweep as an array.
cat >sweep.yaml <<'YAML'
base: tiny.yaml
folder: sweep
values: {optimizer.rate: [1e-3, 3e-3], run.seed: [1, 2]}
YAML
"$program" sweep sweep.yaml --slurm
wait_for run_is_over
"$program" sweep status sweep.yaml >status
[ "$(grep -c ' done ' status)" = 4 ] || { cat status; cat sweep/logs/*.txt; fail "not every arm is done"; }
"$program" sweep sweep.yaml --slurm | grep -q "nothing is left to do" || fail "a finished sweep was submitted again"

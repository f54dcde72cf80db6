# Sweeps on this machine: killed and interrupted in the middle and run again they leave what an uninterrupted one leaves, bit
# for bit; arms that fail are tried again and reported; successive halving; status and report.
source "$(dirname "$0")/tiny_run.sh"

# sweep FILE ARGUMENT…: exit code in $code, output in FILE.log
sweep() {
  code=0
  "$program" sweep "$@" >"$1.log" 2>&1 || code=$?
}
expect() { [ "$code" = "$1" ] || { cat "$2.log"; fail "$2: exit code $code, expected $1"; }; }
# wait_for COMMAND…: until it succeeds, 30 s
wait_for() {
  for ((i = 0; i < 600; ++i)); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.05
  done
  fail "waited for $*"
}

cat >common.yaml <<'YAML'
base: tiny.yaml
search: grid
values:
  optimizer.rate: [1e-3, 3e-3]
  initial_state.source: [zero, state_passing]
ranks: 2
at_once: 2
YAML
sed -i 's/schedule: .*/schedule: {kind: cosine, steps: 200, warmup: 5}\ncheckpoint: {every: 10}/' tiny.yaml
for name in whole broken; do { cat common.yaml; echo "folder: $name"; } >$name.yaml; done
arms=(rate=0.001,source=zero rate=0.001,source=state_passing rate=0.003,source=zero rate=0.003,source=state_passing)

sweep whole.yaml --dry-run
expect 0 whole.yaml
diff <(printf '%s\n' "${arms[@]}" "4 arms of 4 recipes; 0 recipes excluded by constraints; 2 at once") whole.yaml.log
[ ! -e whole ] || fail "--dry-run made the folder"
sweep whole.yaml
expect 0 whole.yaml

# Killed in the middle: its arms die with it. A second sweep of the folder is refused meanwhile.
"$program" sweep broken.yaml >killed.log 2>&1 &
job=$!
wait_for compgen -G 'broken/arms/*/checkpoints/step-10'
sweep broken.yaml
expect 2 broken.yaml
grep -q "is running this sweep" broken.yaml.log || fail "the second sweep is not told why"
kill -KILL "$job"
wait "$job" 2>/dev/null || true
[ ! -d broken/arms/${arms[3]}/model ] || fail "the sweep was over before it was killed"
# Interrupted: the arms save, exit 75.
"$program" sweep broken.yaml >interrupted.log 2>&1 &
job=$!
wait_for compgen -G 'broken/arms/rate=0.003*/checkpoints/step-*'
"$program" sweep status broken.yaml >status.log
grep -q running status.log || { cat status.log; fail "status does not show an arm that runs"; }
kill -TERM "$job"
code=0
wait "$job" || code=$?
[ "$code" = 75 ] || { cat interrupted.log; fail "exit code $code after SIGTERM, expected 75"; }
grep -q "stopped, saved at step" interrupted.log || { cat interrupted.log; fail "no arm was stopped"; }
sweep broken.yaml
expect 0 broken.yaml
for arm in "${arms[@]}"; do same_run "whole/arms/$arm" "broken/arms/$arm"; done
# Once more: nothing to do.
before=$(cat broken/logs/* | wc -c)
sweep broken.yaml
expect 0 broken.yaml
[ "$(cat broken/logs/* | wc -c)" = "$before" ] || fail "a finished sweep started an arm"

# An arm that diverges fails, is tried once more, and is reported with the end of its log; the other one is done.
cat >failing.yaml <<'YAML'
base: tiny.yaml
folder: failing
search: list
arms:
  - {optimizer.rate: 1e30, optimizer.clip: 0}
  - {schedule.steps: 6, schedule.warmup: 1}
YAML
sweep failing.yaml
expect 1 failing.yaml
grep -q "1 of 2 arms failed" failing.yaml.log && grep -q "failed 2 times, last: exit code 1" failing.yaml.log &&
  grep -q "training has diverged" failing.yaml.log || { cat failing.yaml.log; fail "the report of the arm that failed"; }
[ -d failing/arms/steps=6,warmup=1/model ] || fail "the other arm was not run"
grep -c diverged failing/logs/rate=1e+30,clip=0.log | grep -qx 2 || fail "not tried twice"
sweep failing.yaml
expect 1 failing.yaml
grep -c diverged failing/logs/rate=1e+30,clip=0.log | grep -qx 2 || fail "tried again without --retry-failed"
sweep failing.yaml --retry-failed
expect 1 failing.yaml
grep -c diverged failing/logs/rate=1e+30,clip=0.log | grep -qx 4 || fail "--retry-failed"

# An arm whose input is wrong (seen only when it starts) is not tried again, and its message is shown; a mistyped metric
# costs no compute.
for ranks in 1 2; do
  cat >refused.yaml <<YAML
base: tiny.yaml
folder: refused-$ranks
ranks: $ranks
values: {schedule.steps: [6], schedule.warmup: [1]}
YAML
  mkdir -p refused-$ranks/arms/steps=6,warmup=1
  touch refused-$ranks/.lock refused-$ranks/arms/steps=6,warmup=1/thesis.tex
  sweep refused.yaml
  expect 1 refused.yaml
  grep -q "failed (exit code 2, wrong input)$" refused.yaml.log && grep -q "holds no run" refused.yaml.log &&
    grep -q "failed once" refused.yaml.log || { cat refused.yaml.log; fail "an arm with wrong input, $ranks ranks"; }
  [ "$(grep -c "holds no run" refused-$ranks/logs/steps=6,warmup=1.log)" = 1 ] || fail "wrong input was tried again"
done
{ cat common.yaml; echo "folder: mistyped"; echo "metric: {name: lss}"; } >mistyped.yaml
for dry in '' --dry-run; do
  sweep mistyped.yaml $dry
  expect 2 mistyped.yaml
  grep -q "mistyped.yaml:9: metric.name: found 'lss'.*did you mean loss?" mistyped.yaml.log || { cat mistyped.yaml.log; fail "a mistyped metric"; }
done
[ ! -e mistyped ] || fail "a sweep with a mistyped metric has begun"

# Successive halving by the training loss; what is left equals a run that was never stopped.
cat >halving.yaml <<'YAML'
base: tiny.yaml
folder: halving
values: {optimizer.rate: [1e-6, 3e-3, 1e-5, 1e-3]}
halving: {steps: [20, 40]}
YAML
sweep halving.yaml
expect 0 halving.yaml
"$program" sweep report halving.yaml >report.log
head -3 report.log | tail -2 | awk '{ print $2, $3 }' | diff - <(printf 'done 200\nended 40\n') || { cat report.log; fail "the report"; }
awk '$2 == "ended" { print $1, $3 }' report.log | sort | diff - <(printf '%s\n' 'rate=0.001 40' 'rate=1e-05 20' 'rate=1e-06 20') ||
  { cat report.log; fail "what halving ended"; }
grep -q '<svg' halving/report.html || fail "no plot"
dot=$(grep -o "<use xlink:href='#[^']*'" halving/report.html | head -1 | sed "s/.*#//; s/'//")
[ -n "$dot" ] && grep -q "id='$dot'" halving/report.html || fail "the plot's dots are defined nowhere"
"$program" train halving/best.yaml parallel.threads=1 >/dev/null
same_run halving/best halving/arms/rate=0.003

# As a Slurm array, with scripts that stand in for sbatch and scontrol: every task runs as a job of its own, the first is told
# to save, is queued again and goes on.
mkdir bin
cat >bin/sbatch <<'SH'
#!/usr/bin/env bash
last=$(sed -nE 's/^#SBATCH --array=0-([0-9]+)$/\1/p' "$1")
echo "Submitted batch job 7"
export SLURM_ARRAY_JOB_ID=7
for ((task = 0; task <= last; ++task)); do
  SLURM_ARRAY_TASK_ID=$task bash "$1" >"$PWD/task-$task.log" 2>&1 &
  if ((task == 0)); then
    for ((i = 0; i < 600; ++i)); do compgen -G "$PWD/array/arms/*source=zero/checkpoints/step-*" >/dev/null && break; sleep 0.05; done
    kill -USR1 $!
    wait $!
    echo "$?" >first_code
    SLURM_ARRAY_TASK_ID=$task bash "$1" >"$PWD/task-$task-again.log" 2>&1 &
  fi
done
wait
SH
printf '#!/bin/sh\necho "$@" >>requeued\n' >bin/scontrol
chmod +x bin/*
{ sed 's/at_once: 2/at_once: 0/' common.yaml; echo "folder: array"; echo "slurm: {time: 10:00, options: [--mem=1G]}"; } >array.yaml
sweep array.yaml --slurm --no-submit
expect 0 array.yaml
[ -z "$(ls array/arms 2>/dev/null)" ] || fail "--no-submit ran an arm"
grep -qx '#SBATCH --mem=1G' array/array-1.sbatch && grep -qx '#SBATCH --ntasks=2' array/array-1.sbatch || fail "array-1.sbatch"
PATH=$PWD/bin:$PATH sweep array.yaml --slurm
[ "$(cat first_code)" = 75 ] || { cat task-0.log; fail "the task that was to save: exit code $(cat first_code)"; }
[ "$(cat requeued)" = "requeue 7_0" ] || fail "not queued again: $(cat requeued)"
for arm in "${arms[@]}"; do same_run "whole/arms/$arm" "array/arms/$arm"; done
PATH=$PWD/bin:$PATH sweep array.yaml --slurm
grep -q "nothing is left to do" array.yaml.log || fail "a finished sweep was submitted again"

# A signal that comes while the task starts ends the program (here a stand-in): it is queued again all the same; not so without one.
early() { sed "s|^program=.*|program='$PWD/bin/$1'|" array/array-1.sbatch >"early-$1.sbatch"; }
printf '#!/bin/sh\ntouch started; exec sleep 30\n' >bin/slow
printf '#!/bin/sh\nkill -KILL $$\n' >bin/dies
chmod +x bin/slow bin/dies
early slow
early dies
rm -f requeued started
SLURM_ARRAY_JOB_ID=8 SLURM_ARRAY_TASK_ID=0 PATH=$PWD/bin:$PATH bash early-slow.sbatch >early.log 2>&1 &
task=$!
for ((i = 0; i < 200; ++i)); do [ -e started ] && break; sleep 0.05; done
kill -USR1 "$task"
code=0
wait "$task" || code=$?
((code > 128)) || { cat early.log; fail "a signal at the start: exit code $code"; }
[ "$(cat requeued)" = "requeue 8_0" ] || fail "not queued again after a signal at the start"
rm requeued
code=0
SLURM_ARRAY_JOB_ID=9 SLURM_ARRAY_TASK_ID=0 PATH=$PWD/bin:$PATH bash early-dies.sbatch >early.log 2>&1 || code=$?
[ "$code" = 137 ] && [ ! -e requeued ] || fail "a program that was killed: exit code $code, $(cat requeued 2>/dev/null)"

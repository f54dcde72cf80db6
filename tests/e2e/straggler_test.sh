# A rank that is slow, here stopped for moments again and again, is named with its host while it is, and it is said when it is no
# longer; the run's results are those of an undisturbed one.
source "$(dirname "$0")/rank_of_job.sh"
source "$(dirname "$0")/tiny_run.sh"
host=$(hostname)
# Steps of work that is long beside the waiting: a rank that is stopped while it waits is not slow.
options=(schedule.steps=1000000 data.length=1024 data.sequences=16 parallel.straggler_window_s=0.5)
mpirun -n 2 "$program" train tiny.yaml run.folder=run "${options[@]}" >run.log 2>&1 &
job=$!
pulses=
stop_all() {
  [ -z "$pulses" ] || kill "$pulses" 2>/dev/null || true
  kill -CONT "${victim:-$job}" 2>/dev/null || true
  kill -TERM "$job" 2>/dev/null || true
}
trap stop_all EXIT
# wait_for TEXT: two minutes
wait_for() {
  for ((i = 0; i < 1200; ++i)); do
    grep -q "$1" run.log && return 0
    sleep 0.1
  done
  cat run.log
  tail -n 3 run/metrics.jsonl
  fail "waited for '$1'"
}
for ((i = 0; i < 200; ++i)); do [ -s run/metrics.jsonl ] && break; sleep 0.05; done
find_rank 1 run
while :; do kill -STOP "$victim"; sleep 0.3; kill -CONT "$victim"; sleep 0.1; done &
pulses=$!
wait_for "rank 1 (host $host): own work takes .* times the median"
"$program" status run | grep -q "run: rank 1 (host $host): own work takes" || { "$program" status run; fail "status does not say it"; }
grep '"kind": *"ranks"' run/metrics.jsonl | tail -1 | grep -q '"slowest_rank"' || fail "the metrics do not say it"
kill "$pulses"
wait "$pulses" 2>/dev/null || true
pulses=
kill -CONT "$victim"
wait_for "rank 1 (host $host): is as fast as the others again"
[ "$(grep -c "own work takes" run.log)" = 1 ] || { cat run.log; fail "it was warned of more than once"; }
kill -USR1 "$job"
code=0
wait "$job" || code=$?
trap - EXIT
[ "$code" = 75 ] || { cat run.log; fail "exit code $code after SIGUSR1, expected 75"; }

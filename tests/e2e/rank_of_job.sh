# Sourced by end-to-end tests that do something to one rank of the job $job under mpirun, whose output is in FOLDER.log.

# find_rank RANK FOLDER: of the run in FOLDER; its process is then $victim. The job is mpirun or launch/mpirun.sh.
find_rank() {
  for victim in $(pgrep -P "$job,$(pgrep -d, -P "$job")" -f "run.folder=$2"); do
    if grep -qz "^OMPI_COMM_WORLD_RANK=$1\$" "/proc/$victim/environ"; then return; fi
  done
  kill -KILL "$job" 2>/dev/null || true
  cat "$2.log"
  fail "rank $1 does not run"
}

# lose_rank RANK FOLDER SIGNAL: the signal must end the job within 20 s, as failed; $took is what it took.
lose_rank() {
  local start=$SECONDS code=0
  find_rank "$1" "$2"
  kill "-$3" "$victim"
  for ((i = 0; i < 200; ++i)); do
    kill -0 "$job" 2>/dev/null || break
    sleep 0.1
  done
  kill -0 "$job" 2>/dev/null && { kill -KILL "$victim" "$job"; cat "$2.log"; fail "20 s after SIG$3 the job still runs"; }
  wait "$job" || code=$?
  kill -KILL "$victim" 2>/dev/null || true
  took=$((SECONDS - start))
  [ "$code" != 0 ] || { cat "$2.log"; fail "exit 0 after SIG$3"; }
}

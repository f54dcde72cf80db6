# Sourced by kill.sh: one job under mpirun in a session of its own, and what can be done to it.

job=0 job_code=0 # the running job's mpirun, which is also its session; how the last one ended
sessions=()      # of all jobs

# start_job FOLDER [ARG…]: with the ranks and options in `shape`.
start_job() {
  folder=$1 has_lock=no
  : >job.log # what the job before said is not to be taken for this one's
  shift
  : >started
  (ulimit -c unlimited && exec setsid mpirun -n "${shape[0]}" "$program" train tiny.yaml run.folder="$folder" \
    "${shape[@]:1}" schedule.steps="$steps" checkpoint.keep=3 "$@" >job.log 2>&1) &
  job=$!
  sessions+=("$job")
}

# await SECONDS COMMAND…: until it succeeds.
await() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.01
  done
}

job_runs() { kill -0 "$job" 2>/dev/null; }
ranks_of_job() { pgrep -s "$job" -x "$(basename "$program")"; }
# Training has begun: handlers of signals are in place. Ranks whose mpirun was killed before may still have written until
# this job had the run's lock, after which it says where the run is.
trains() {
  if [ $has_lock = no ]; then
    grep -qs '^run folder' job.log || return 1
    has_lock=yes
    : >started
  fi
  [ -s "$folder/metrics.jsonl" ] && [ "$folder/metrics.jsonl" -nt started ]
}
trains_or_ended() { trains || ! job_runs; }
writes_or_ended() { left_partial "$folder" || ! job_runs; }
# The job that ended last was writing a checkpoint.
left_partial() { [ -n "$(find "$1/checkpoints" -maxdepth 1 -name '.*partial' -newer started 2>/dev/null)" ]; }
job_ended() { ! job_runs; }

# end_of_job SECONDS: takes its exit code. The shell has nothing to say about killed jobs.
end_of_job() {
  {
    await "$1" job_ended || return 1
    job_code=0
    wait "$job" || job_code=$?
  } 2>/dev/null
}

# await_end: of the job that was afflicted. Where a rank dies within MPI_Init, Open MPI 4.1's mpirun can wait for ever though
# no rank is left: that is counted ("mpirun_hung"), a rank that lives on is a failure.
await_end() {
  if end_of_job 150; then return; fi
  [ -z "$(ranks_of_job)" ] || { cat job.log; fail "ranks live on after kill $killed: $1 (seed $seed)"; }
  send KILL session
  end_of_job 10 || fail "mpirun cannot be killed"
  job_code=mpirun_hung
}

stop_job() {
  local session
  for session in "${sessions[@]}"; do pkill -KILL -s "$session" || true; done
}

gone() { ! pgrep -s "$(IFS=, && echo "${sessions[*]}")" >/dev/null; }

pause() { sleep "$(awk -v r=$RANDOM -v most="$1" 'BEGIN { printf "%.3f", most * r / 32767 }')"; }

# send SIGNAL KIND: to those of the job that the kind is called after.
send() {
  local targets=()
  case $2 in
  *_rank | rank) mapfile -t targets < <(ranks_of_job | shuf -n 1 --random-source=<(yes $RANDOM)) ;;
  *_ranks | ranks) mapfile -t targets < <(ranks_of_job) ;;
  *mpirun) targets=("$job") ;;
  *session) mapfile -t targets < <(pgrep -s "$job") ;;
  esac
  ((${#targets[@]} == 0)) || kill "-$1" "${targets[@]}" 2>/dev/null || true
}

# afflict KIND: at a random moment, which is before the first step every fourth time.
afflict() {
  trained=no
  if ((RANDOM % 4 == 0)); then
    pause 1
  else
    await 60 trains_or_ended || { cat job.log; fail "the job does not begin to train"; }
    pause 0.8
  fi
  if [[ $1 == writing_* ]]; then
    await 60 writes_or_ended || { cat job.log; fail "the job writes no checkpoint"; }
    pause 0.02
  fi
  if trains; then trained=yes; fi
  case $1 in
  term_*) send TERM "$1" ;;
  usr1_*) send USR1 "$1" ;;
  disk) fill_disk ;;
  *) send KILL "$1" ;;
  esac
}

# The job may find room for all that it writes: then it is killed.
fill_disk() {
  dd if=/dev/zero of=disk/filler bs=4k 2>/dev/null || true
  truncate -s "-$((RANDOM % 400))K" disk/filler 2>/dev/null || true
  await 4 job_ended || send KILL session
}

# check_ending KIND: as it must.
check_ending() {
  local damage='corrupted|double free|free\(\)|malloc|Segmentation|SIGSEGV|SIGBUS|SIGABRT|Check failed|Sanitizer|terminate called'
  if grep -qE "$damage" job.log || compgen -G 'core*' >/dev/null; then
    cat job.log
    fail "memory or logic is damaged after kill $killed: $1 (seed $seed)"
  fi
  local expected=0
  case $1 in
  term_rank | usr1_ranks) [ $trained = no ] || expected="75" ;;
  disk) expected="1 2 137" ;; # 2: refused before the first step
  *) return 0 ;;
  esac
  [ "$expected" = 0 ] || [[ " 0 $expected " == *" $job_code "* ]] || { cat job.log; fail "$1: exit code $job_code, expected $expected"; }
  if [ "$1 $job_code" = "disk 1" ]; then
    grep -q "No space left on device" job.log || { cat job.log; fail "the message does not name the full disk"; }
  elif [ "$1 $job_code" = "disk 2" ]; then
    grep -q "free in disk/broken, a checkpoint takes" job.log || { cat job.log; fail "refused for another reason"; }
  fi
}

# finish_job FOLDER: without another kill.
finish_job() {
  start_job "$1" --resume
  end_of_job 500 || { cat job.log; fail "the last resumption hangs"; }
  ((job_code == 0)) || { cat job.log; fail "the last resumption: exit code $job_code"; }
}

# Files of a run: no leftovers. The names of TensorBoard's hold time and process; which checkpoints stay depends on where
# signals have saved.
files_of() { (cd "$1" && find . -type f ! -name 'events.out.tfevents.*' ! -path './checkpoints/step-*' | sort); }

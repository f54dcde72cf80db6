# Sourced by scripts that start a job and outlive it: it gets SIGUSR1 when they are told to stop, saves, and ends with 75.
# shellcheck shell=bash disable=SC2317  # a trap calls what looks unused
job='' interrupted=no

# pass_on SIGNAL: to the job, where it runs already.
pass_on() {
  interrupted=yes
  [[ -z $job ]] || kill "-$1" "$job" 2>/dev/null || true
}
# Of SIGTERM mpirun makes a SIGKILL after one second, in which nothing is saved.
trap 'pass_on USR1' USR1 TERM

# run_job COMMAND…: its exit code in $code.
run_job() {
  local ended=no
  "$@" <&0 &
  job=$!
  [[ $interrupted == no ]] || pass_on USR1
  # A signal ends wait before the job has ended.
  while [[ $ended == no ]]; do
    kill -0 "$job" 2>/dev/null || ended=yes
    code=0
    wait "$job" || code=$?
    ((code > 128)) || ended=yes
  done
}

# requeue_if_saved SLURM_JOB
requeue_if_saved() {
  # Above 128: the signal came while the job was starting, and ended it. Nothing was computed yet.
  if ((code == 75)) || { [[ $interrupted == yes ]] && ((code > 128)); }; then scontrol requeue "$1"; fi
}

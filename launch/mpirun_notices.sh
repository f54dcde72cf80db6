# Sourced by mpirun.sh: what passes of the output of mpirun and its ranks.
# shellcheck shell=bash disable=SC2034 # what mpirun.sh reads
notices_rule=$(printf -- '-%.0s' {1..74})
said_of_notices='^mpirun: Forwarding signal | ORTE_ERROR_LOG: .*/show_help\.c at line |^\[[^]]*\] [0-9]+ more process(es)? ha(s|ve) sent help message |^\[[^]]*\] Set MCA parameter "orte_base_help_aggregate" '

# show_notice BLOCK: a rank's death is one line. Ends that the ranks have told of are none.
show_notice() {
  local text=${1//$'\n'/ }
  local killed='process rank ([0-9]+) .*on node ([^ ]+) +exited on signal ([0-9]+) +\(([^)]*)\)'
  if [[ $text =~ $killed ]]; then
    echo "mpirun.sh: rank ${BASH_REMATCH[1]} (host ${BASH_REMATCH[2]}) was ended by signal ${BASH_REMATCH[3]} (${BASH_REMATCH[4]}), and the job with it$(
      if ((BASH_REMATCH[3] == 9)); then echo "; if nobody sent it, that host ran out of memory"; fi)"
    return
  fi
  case $text in
    *"MPI_ABORT was invoked"* | *"terminated normally, but"* | *"exited with non-zero status"*) ;;
    *) printf '%s\n%s%s\n' "$notices_rule" "$1" "$notices_rule" ;;
  esac
}

# filter_notices: stdin to stdout. mpirun's blocks stand between rules; ranks may write in their midst.
filter_notices() {
  trap '' TERM INT HUP USR1 # as long as the job
  local inside=no block='' line
  while IFS= read -r line || [[ -n $line ]]; do
    if [[ $line == "$notices_rule" ]]; then
      if [[ $inside == yes ]]; then show_notice "$block"; inside=no; else inside=yes; fi
      block=''
    elif [[ $inside == yes && $line != longhaul:* ]]; then
      block+=$line$'\n'
    elif [[ ! $line =~ $said_of_notices ]]; then
      printf '%s\n' "$line"
    fi
  done
  printf '%s' "$block"
}

# forward_output: stdin to stdout. Where nobody reads that any more mpirun would end the job.
forward_output() {
  trap '' TERM INT HUP USR1
  cat 2>/dev/null && exit 0
  echo "mpirun.sh: standard output: cannot be written; the job goes on" >&2
  cat >/dev/null
  exit 1
}

# await_filter PROCESS: its exit code in $filter_code, 0 where an ssh that outlives mpirun keeps it from its end.
await_filter() {
  filter_code=0
  for ((i = 0; i < 40; ++i)); do
    kill -0 "$1" 2>/dev/null || { wait "$1" || filter_code=$?; break; }
    sleep 0.05
  done
}

#!/usr/bin/env bash
# mpirun with what longhaul needs: launch/mpirun.sh RANKS PROGRAM ARGUMENT…
#   HOSTS           "a,b": the ranks in equal parts on these hosts; default: this machine, or the nodes
#                   of the batch job that it is called in
#   CPUS_PER_RANK   binds every rank to so many processors of its own, counted as the system and Slurm
#                   count them; default: ranks are not bound, and those of a node share all
# A rank computes on the GPU that its number within the node names, with a thread for each of its processors.
# SIGTERM and Ctrl-C reach the ranks as SIGUSR1: they save and end with 75. Again after two seconds or more, mpirun ends them.
# Root may start ranks (containers); shared memory does without process_vm_readv, which containers
# often forbid.
set -euo pipefail

stop() { echo "mpirun.sh: $1" >&2; exit 2; }
if (($# < 2)) || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: launch/mpirun.sh RANKS PROGRAM ARGUMENT..." >&2
  exit 2
fi
ranks=$1
shift

options=()
nodes=${SLURM_JOB_NUM_NODES:-1}
if [[ -n ${HOSTS:-} ]]; then
  IFS=, read -ra hosts <<<"$HOSTS"
  nodes=${#hosts[@]}
  slots=$(printf ",%s:$((ranks / nodes))" "${hosts[@]}")
  options+=(--host "${slots:1}")
elif [[ -z ${SLURM_JOB_ID:-} ]] && ((ranks > $(nproc))); then
  options+=(--oversubscribe)
fi
if [[ -n ${HOSTS:-}${CPUS_PER_RANK:-} ]] && ((ranks % nodes != 0)); then
  stop "found $ranks ranks for $nodes nodes, expected as many on each"
fi
if [[ -z ${CPUS_PER_RANK:-} ]]; then
  options+=(--bind-to none)
elif [[ $CPUS_PER_RANK =~ ^[1-9][0-9]*$ ]]; then
  options+=(--use-hwthread-cpus --map-by "ppr:$((ranks / nodes)):node:PE=$CPUS_PER_RANK" --bind-to hwthread)
else
  stop "CPUS_PER_RANK: found '$CPUS_PER_RANK', expected a whole number of 1 or more"
fi

if ((EUID == 0)); then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
export OMPI_MCA_btl_vader_single_copy_mechanism=none
scripts=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=launch/forward_signals.sh
source "$scripts/forward_signals.sh"
# shellcheck source=launch/mpirun_notices.sh
source "$scripts/mpirun_notices.sh"
told_at=''
# shellcheck disable=SC2317  # a trap calls it
tell() {
  local signal=USR1
  if [[ -n $told_at ]]; then
    ((SECONDS - told_at >= 2)) || return 0  # timeout and others tell a process and then its group
    signal=TERM
  fi
  told_at=$SECONDS
  pass_on "$signal"
}
trap tell TERM INT HUP
set -m  # mpirun's own process group: what is sent to this one's does not reach it
exec 8> >(forward_output)
output=$!
exec 9> >(filter_notices >&2)
notices=$!
run_job mpirun "${options[@]}" -n "$ranks" "$@" >&8 2>&9 8>&- 9>&-
exec 8>&- 9>&-
await_filter "$notices"
await_filter "$output"
if ((code == 0 && filter_code != 0)); then code=1; fi
exit "$code"

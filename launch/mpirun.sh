#!/usr/bin/env bash
# mpirun on this machine: launch/mpirun.sh RANKS PROGRAM ARGUMENT…
# Ranks are not bound to cores (each one has threads) and may be more than the cores; root may start
# them (containers); shared memory does without process_vm_readv, which containers often forbid.
set -euo pipefail

if (($# < 2)) || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: launch/mpirun.sh RANKS PROGRAM ARGUMENT..." >&2
  exit 2
fi
ranks=$1
shift

if ((EUID == 0)); then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_btl_vader_single_copy_mechanism=none
options=(--quiet --bind-to none)
if ((ranks > $(nproc))); then options+=(--oversubscribe); fi
exec mpirun "${options[@]}" -n "$ranks" "$@"

#!/usr/bin/env bash
# Runs one file of interop tests: run.sh ENVIRONMENT PROGRAM TEST.py SCRATCH
# Exit code 77 (skipped) where environment.sh found no package index.
set -euo pipefail
environment=$1 program=$2 test=$3 scratch=$4
if [[ -e $environment/unavailable ]]; then
  echo "SKIPPED: $(<"$environment/unavailable")"
  exit 77
fi
if [[ ! -e $environment/made_from ]]; then
  echo "run.sh: $environment is not made; environment.sh makes it" >&2
  exit 1
fi
rm -rf "$scratch"
mkdir -p "$(dirname "$scratch")"
export LONGHAUL_PROGRAM=$program
# Two threads at most, whatever the machine; nothing is to be looked for on a hub.
export OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error PYTHONDONTWRITEBYTECODE=1
exec "$environment/bin/python" -m pytest -q -p no:cacheprovider --strict-markers -r fEs \
  --durations=5 --basetemp "$scratch" "$test"

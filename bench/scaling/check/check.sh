#!/usr/bin/env bash
# Measures exchanges, collectives and training steps on 1 to 8 ranks, each on a host of its own behind an emulated network, for SCALING.md
# to compare with: bench/scaling/check/check.sh [BUILD_FOLDER [RESULTS]]. Needs root; ten minutes. Ranks have real-time priority: what else
# the machine does must not count. Afterwards bench/scaling/regenerate.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${1:-$here/../../../build/release}")
results=$(realpath -m "${2:-$here/measured.jsonl}")
bin=$build/bin
scratch=$(mktemp -d)
cd "$scratch"
source "$here/../../../tests/support/network_hosts.sh"
make_hosts 8 || exit 77
source "$here/wire.sh"

# with KEYS…: adds "key": value pairs to every JSON object of the input
with() { sed -E "s/\}\$/, $1}/"; }

exchanges() {  # LATENCY RATE
  start_wire "$1" "$2"
  for ranks in 2 4 8; do
    on_hosts "$ranks" "$bin/bench_exchange" --one-clock --repeats 7 --elements 12288 262144 | with "\"latency_s\": $1, \"bytes_per_second\": $2"
  done
}

# median FOLDER: seconds of a step of 8 × 512 tokens, the first two left out
median() {
  tail -n +3 "$1/metrics.jsonl" | grep -o '"tokens_per_second": *[0-9.e+-]*' | sed 's/.*: *//' | sort -g |
    awk '{a[NR]=$1} END {print 4096/a[int((NR+1)/2)]}'
}

step() {  # LATENCY RATE RANKS OVERRIDES…
  local latency=$1 rate=$2 ranks=$3 list
  shift 3
  rm -rf run
  on_hosts "$ranks" "$bin/longhaul" train "$here/step.yaml" "$@" >step.log 2>&1 || { cat step.log; exit 1; }
  list=$(printf ', "%s"' "$@")
  echo "{\"bench\": \"step\", \"ranks\": $ranks, \"overrides\": [${list:2}], \"seconds\": $(median run), \"alone_s\": $alone, \"latency_s\": $latency, \"bytes_per_second\": $rate}"
}

steps() {  # LATENCY RATE
  start_wire "$1" "$2"
  for ranks in 2 4 8; do
    rm -rf alone
    on_hosts 1 "$bin/longhaul" train "$here/step.yaml" run.folder=alone >step.log 2>&1 || { cat step.log; exit 1; }
    alone=$(median alone)
    step "$1" "$2" "$ranks" parallel.zero=0
    step "$1" "$2" "$ranks" parallel.zero=1
    for exchange in all_gather chain log_step; do
      step "$1" "$2" "$ranks" parallel.sequence="$ranks" parallel.exchange="$exchange"
    done
  done
  step "$1" "$2" 8 parallel.sequence=4 parallel.zero=1
  step "$1" "$2" 8 parallel.sequence=2 parallel.zero=1
  step "$1" "$2" 8 parallel.sequence=8 data.recompute=true
  step "$1" "$2" 8 parallel.sequence=8 parallel.gradient=truncated
}

{
  exchanges 0.02 25e6
  exchanges 0.002 5e6
  steps 0.01 10e6
} | tee measured.jsonl
mv measured.jsonl "$results.part"
mv "$results.part" "$results"
cd / && rm -rf "$scratch"

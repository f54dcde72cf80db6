#!/usr/bin/env bash
# Renews every table of SCALING.md: bench/scaling/regenerate.sh [BUILD_FOLDER]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/release}
"$build/bin/bench_scaling" tables --write "$root/SCALING.md" \
    --network "$root/bench/scaling/networks/h100_ib400.yaml" --device "$root/bench/scaling/devices/h100.yaml"

#!/usr/bin/env bash
# Renews every table of SCALING.md: bench/scaling/regenerate.sh [BUILD_FOLDER]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/release}
"$build/bin/bench_scaling" tables --files "$root/bench/scaling" --write "$root/SCALING.md"

#!/usr/bin/env bash
# From a fresh clone to a report on length generalization: ./quickstart.sh [FOLDER WITH TEXT]
# Installs, builds, post-trains five arms on text and five on associative recall with two ranks, and
# leaves runs/quickstart/report.html and runs/recall/report.html. Run again, it goes on where it was.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

case ${1:-} in
  -h | --help)
    sed -n '2,4s/^# //p' "$0"
    exit 0
    ;;
  '') ;;
  *)
    if (($# > 1)) || [[ ! -d $1 ]]; then
      echo "quickstart.sh: found '$*', expected one folder with text, or nothing" >&2
      exit 2
    fi
    ;;
esac

launch/install_dependencies.sh
cmake --preset release
cmake --build --preset release --target longhaul
exec launch/quickstart_job.sh build/release/bin/longhaul "$@"

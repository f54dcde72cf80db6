#!/usr/bin/env bash
# Builds everything and runs all tests: ./test.sh [--quick] [NAME]
#   --quick  unit tests only
#   NAME     only tests whose name matches this regular expression
# The last line says how many passed, failed and were skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

selection=()
dependencies=(--tests)
while (($# > 0)); do
  case $1 in
    --quick)
      selection+=(-L '^unit$')
      dependencies=()
      ;;
    -h | --help)
      sed -n '2,5s/^# //p' "$0"
      exit 0
      ;;
    -*)
      echo "test.sh: $1: unknown option, expected --quick" >&2
      exit 2
      ;;
    *) selection+=(-R "$1") ;;
  esac
  shift
done

stop() {
  echo "$1" >&2
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

launch/install_dependencies.sh "${dependencies[@]}" || stop "test.sh: the dependencies could not be installed"
cmake --preset dev || stop "test.sh: CMake did not configure"
cmake --build --preset dev || stop "test.sh: the build failed"

results=$PWD/build/dev/test-results.xml
rm -f "$results"
status=0
ctest --preset dev -j 2 "${selection[@]}" --output-junit "$results" </dev/null || status=$?
[[ -s $results ]] || stop "test.sh: ctest left no results"

# The first testsuite element carries the totals: tests, failures, disabled, skipped.
total() { grep -o -m 1 "\b$1=\"[0-9]*\"" "$results" | head -n 1 | tr -cd '0-9'; }
failed=$(total failures)
skipped=$(($(total skipped) + $(total disabled)))
passed=$(($(total tests) - failed - skipped))
if ((status != 0 && failed == 0)); then failed=1; fi
grep -o 'SKIPPED: .*' "$results" | sort -u || true
echo "$passed passed, $failed failed, $skipped skipped"
exit "$((status != 0))"

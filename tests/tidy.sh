#!/usr/bin/env bash
# clang-tidy and clang-format over the tree: tests/tidy.sh [FILE…]   (default: every file that git tracks)
# Needs the build folder of `cmake --preset dev`, built: what that build does not compile is left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if (($# > 0)); then files=("$@"); else mapfile -t files < <(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh'); fi
clang-format --dry-run -Werror "${files[@]}"
compiled=$(sed -n "s|^ *\"file\": \"$PWD/\(.*\.cpp\)\",*|\1|p" build/dev/compile_commands.json)
printf '%s\n' "${files[@]}" | grep '\.cpp$' | { grep -Fx "$compiled" || true; } |
  xargs -r -P "$(nproc)" -n 8 clang-tidy -p build/dev --quiet

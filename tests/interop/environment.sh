#!/usr/bin/env bash
# Makes the Python environment of the interop tests, or finds it made: environment.sh FOLDER
# Exit code 77, and the reason in FOLDER/unavailable, where no package index can be reached.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1

fail() { echo "environment.sh: $*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python; launch/install_dependencies.sh --tests installs it"
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9

# What the environment was made from; it is made anew when that changes.
made_from=$({ cat "$here/requirements.txt" "$here/cpu_torch.py"; "$python" --version; } | sha256sum)
rm -f "$folder/unavailable"
if [[ -e $folder/made_from && $(<"$folder/made_from") == "$made_from" ]]; then
  echo "$folder is up to date"
  exit 0
fi
find "$folder" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
"$python" -m venv "$folder" || fail "no virtual environment; launch/install_dependencies.sh --tests installs python3-venv"
pip=("$folder/bin/python" -m pip)

# One small package tells an index that cannot be reached from an installation that fails.
probe=$(grep '^iniconfig==' "$here/requirements.txt")
if ! answer=$("${pip[@]}" --no-cache-dir --retries 1 --timeout 20 download -q --no-deps -d "$folder/probe" "$probe" 2>&1); then
  if grep -q -E 'connection broken|Max retries exceeded|NewConnectionError|ConnectTimeout' <<<"$answer"; then
    cause=$(grep -o -m 1 -E "[A-Za-z]+(Error|Timeout)\(.*" <<<"$answer" | sed -E "s/.* object at 0x[0-9a-f]+>[:,] *//" | cut -c 1-200)
    reason="no package index can be reached: $cause"
    echo "$reason" >"$folder/unavailable"
    echo "SKIPPED: $reason"
    exit 77
  fi
  fail "$answer"
fi
"${pip[@]}" install -q --no-deps -r "$here/requirements.txt" || fail "the packages could not be installed"
"$folder/bin/python" "$here/cpu_torch.py"
"$folder/bin/python" -c 'import torch' || fail "torch cannot be imported"
rm -rf "$folder/probe"
printf '%s' "$made_from" >"$folder/made_from"
echo "$folder is made"

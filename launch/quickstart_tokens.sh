#!/usr/bin/env bash
# Text to train and to measure on, as bytes: launch/quickstart_tokens.sh [--job FOLDER] PROGRAM [FOLDER WITH TEXT|'' [PATTERN…]]
# writes runs/quickstart/tokens and runs/quickstart/tokens_held_out (with --job: FOLDER/…), unless they are there.
# Without text of one's own it is those of the kernel's sources that match a PATTERN.
set -euo pipefail

job=runs/quickstart
if [[ ${1:-} == --job && $# -gt 1 ]]; then
  job=$2
  shift 2
fi
if (($# < 1)) || [[ ! -x $1 ]]; then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 2
fi
program=$(realpath "$1")
given_text=${2:+$(realpath "$2")}
patterns=("${@:3}")
((${#patterns[@]} > 0)) || patterns=('*/Documentation/*.rst' '*/kernel/*.c' '*/mm/*.c')
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

# Real, long documents: documentation and C sources of the kernel, as Debian and Ubuntu package them.
# Nothing is installed; the package is only unpacked.
download_sources() {
  local package
  for package in linux-source-6.1 linux-source-6.8.0; do
    (cd "$1" && apt-get -q download "$package") && return
  done
  return 1
}
fetch_text() {
  local target=$1 scratch archive as_root=()
  scratch=$(mktemp -d)
  trap "rm -rf '$scratch'" EXIT
  ((EUID == 0)) || as_root=(sudo -n)
  if ! download_sources "$scratch"; then
    "${as_root[@]}" apt-get -q update || true
    download_sources "$scratch" || true
  fi
  if ! compgen -G "$scratch/*.deb" >/dev/null; then
    echo "quickstart: no text: apt-get could not fetch the kernel's sources;" \
      "give a folder with text: ./quickstart.sh FOLDER" >&2
    exit 1
  fi
  dpkg-deb -x "$scratch"/*.deb "$scratch/unpacked"
  archive=$(find "$scratch/unpacked" -name 'linux-source-*.tar.*' -type f | head -n 1)
  mkdir "$scratch/text"
  tar -C "$scratch/text" --strip-components=1 --wildcards -xf "$archive" "${patterns[@]}"
  mkdir -p "$(dirname "$target")"
  mv "$scratch/text" "$target"
}

# Every tenth file is held out for evaluation, of fewer the last, of a single one its last tenth. share FOLDER PART TARGET
share() {
  local folder=$1 part=$2 target=$3 list files
  list=$(mktemp)
  (cd "$folder" && find . -type f -size +0 | LC_ALL=C sort) >"$list"
  files=$(wc -l <"$list")
  rm -rf "$target"
  mkdir -p "$target"
  if ((files == 1)); then
    share_of_file "$folder/$(<"$list")" "$part" "$target"
  else
    awk -v part="$part" -v every="$((files < 10 ? files : 10))" '(NR % every == 0) == (part == "held_out")' "$list" |
      tar -C "$folder" --verbatim-files-from -c -T - | tar -C "$target" -x
  fi
  rm -f "$list"
}
share_of_file() {
  local file=$1 part=$2 target=$3 unit=-c total
  case $file in
    *.gz | *.zst)
      echo "quickstart: found one compressed file, expected two files or more: one is held out" >&2
      exit 2
      ;;
    *.jsonl) unit=-l ;;
  esac
  total=$(wc "$unit" <"$file")
  unit=${unit/l/n}
  case $part in
    train) head "$unit" "$((total - total / 10))" "$file" ;;
    held_out) tail "$unit" "$((total / 10))" "$file" ;;
  esac >"$target/${file##*/}"
}

prepare_tokens() {
  local origin=$job/tokens_from
  if [[ -e $job/tokens && -e $job/tokens_held_out ]]; then
    if [[ -n $given_text && -e $origin && $(<"$origin") != "$given_text" ]]; then
      echo "quickstart: $job/tokens were made from $(<"$origin"), expected $given_text:" \
        "remove $job to begin anew" >&2
      exit 2
    fi
    return
  fi
  local text=${given_text:-$job/text}
  if [[ ! -d $text ]]; then
    say "fetching text"
    fetch_text "$text"
  fi
  say "tokenizing $text"
  local part target
  for part in train held_out; do
    target=$job/tokens
    [[ $part == train ]] || target=$job/tokens_held_out
    share "$text" "$part" "$job/text_$part"
    "$program" tokenize --tokenizer byte --out "$target" "$job/text_$part"
    rm -rf "$job/text_$part"
  done
  (cd "$text" && pwd) >"$origin"
}

prepare_tokens

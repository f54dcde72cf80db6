#!/usr/bin/env bash
# Installs what longhaul is built with on Debian 12 and Ubuntu 24.04: only what is missing.
# On other systems it says what is needed, and goes on if the tools are there.
# install_dependencies.sh [--tests]   --tests: also what tests run beside the program: Python, Slurm, tools of the network
set -euo pipefail

for_tests=false
case "$*" in
  '') ;;
  --tests) for_tests=true ;;
  *)
    echo "install_dependencies.sh: found '$*', expected --tests or nothing" >&2
    exit 2
    ;;
esac

packages=(
  build-essential cmake ninja-build git pkg-config
  libopenmpi-dev openmpi-bin libprotobuf-dev protobuf-compiler
  libyaml-cpp-dev libgoogle-glog-dev libcli11-dev nlohmann-json3-dev
  libdnnl-dev libzstd-dev zlib1g-dev xz-utils bzip2
  libpcre2-dev libicu-dev libsentencepiece-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  libboost-context-dev
  gnuplot-nox
)
if $for_tests; then packages+=(python3 python3-venv procps slurm-wlm munge iproute2); fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "This system has no apt-get. longhaul needs, by their names on Debian: ${packages[*]}"
  lacking=()
  for tool in c++ cmake ninja pkg-config mpicc mpirun protoc; do
    command -v "$tool" >/dev/null || lacking+=("$tool")
  done
  if ((${#lacking[@]} > 0)); then
    echo "install_dependencies.sh: not found: ${lacking[*]}" >&2
    exit 1
  fi
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies.sh: not root and no sudo; please install: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -q || echo "apt-get update failed; trying with the lists that are there"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null

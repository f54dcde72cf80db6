#!/usr/bin/env bash
# What FOLDER/bin/NAME of a bundle does: starts libexec/NAME with the bundle's libraries and Open MPI, and with CUDA's wherever
# this machine has them (CUDA_HOME, /usr/local/cuda, the dynamic linker's own folders, or the packages beside Python's).
set -euo pipefail
bundle=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
name=$(basename "$0")
program=$bundle/libexec/$name

if [[ -z ${LONGHAUL_BUNDLE_PATH:-} ]]; then
  folders=$bundle/lib
  for folder in "${CUDA_HOME:-/usr/local/cuda}"/{lib64,lib}; do
    if [[ -d $folder ]]; then folders+=:$folder; fi
  done
  # What pip installs beside PyTorch: nvidia/*/lib. Asking Python takes a moment: only if NCCL is nowhere else.
  if ! compgen -G "${CUDA_HOME:-/usr/local/cuda}/lib*/libnccl.so.2" >/dev/null && ! ldconfig -p 2>/dev/null | grep -q libnccl.so.2; then
    site=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
    for folder in ${site:+"$site"/*/lib}; do folders+=:$folder; done
  fi
  export LONGHAUL_BUNDLE_PATH=$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi

# Open MPI and PMIx are not where they were built for.
export OPAL_PREFIX=$bundle OPAL_LIBDIR=$bundle/lib OPAL_PKGLIBDIR=$bundle/lib/openmpi OPAL_PKGDATADIR=$bundle/share/openmpi
export OPAL_SYSCONFDIR=$bundle/etc OPAL_BINDIR=$bundle/bin OPAL_DATADIR=$bundle/share
export OMPI_MCA_orte_launch_agent=$bundle/bin/orted
export PMIX_INSTALL_PREFIX=$bundle PMIX_PKGLIBDIR=$bundle/lib/pmix PMIX_PKGDATADIR=$bundle/share/pmix
# mpirun wants a remote shell even for ranks on this machine alone.
if ! command -v ssh rsh >/dev/null; then export OMPI_MCA_plm_rsh_agent=${OMPI_MCA_plm_rsh_agent:-false}; fi

own=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2 || echo 0)
needed=$(sed -n 's/^glibc //p' "$bundle/bundle.txt")
if [[ $(printf '%s\n' "$needed" "$own" | sort -V | head -1) == "$needed" ]]; then
  LD_LIBRARY_PATH=$LONGHAUL_BUNDLE_PATH exec "$program" "$@"
fi
exec "$bundle/lib/glibc/ld-linux-x86-64.so.2" --argv0 "$name" --library-path "$bundle/lib/glibc:$LONGHAUL_BUNDLE_PATH" "$program" "$@"

#!/usr/bin/env bash
# For machines where nothing can be installed: launch/bundle.sh [--no-archive] FOLDER [BUILD] [PROGRAM…]
# Puts longhaul, or the named programs of the build (default: build/release), with Open MPI and every shared library they
# need into FOLDER, which can be copied anywhere, and packs it as FOLDER.tar.xz. Of CUDA nothing is packed: FOLDER/bin/NAME
# finds its libraries in the toolkit or beside PyTorch. Smallest from a build of 'cmake --preset bundle'.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if (($# == 0)) || [[ $1 == -h || $1 == --help ]]; then
  sed -n '2,5s/^# //p' "$0"
  exit $(($# == 0 ? 2 : 0))
fi
archive=true
if [[ $1 == --no-archive ]]; then
  archive=false
  shift
fi
out=${1:?a folder to make} build=${2:-$here/build/release}
shift $(($# > 1 ? 2 : 1))
programs=("${@:-longhaul}")
if [[ -e $out && ! -e $out/bundle.txt ]]; then
  echo "bundle.sh: $out is there and is no bundle, expected a folder to make" >&2
  exit 2
fi

if grep -qs '^LONGHAUL_NATIVE:BOOL=ON' "$build/CMakeCache.txt"; then
  echo "bundle.sh: note: $build is for processors like this machine's (CMake: -DLONGHAUL_NATIVE=OFF for others too)" >&2
fi

declare -A chosen
for name in "${programs[@]}"; do
  file=$(find "$build" -type f -name "$name" -perm -u+x -not -path '*/CMakeFiles/*' -print -quit)
  if [[ -z $file ]]; then
    echo "bundle.sh: $build has no program '$name'; build it first" >&2
    exit 2
  fi
  chosen[$name]=$file
done

staging=$(mktemp -d "$(dirname "$(realpath -m "$out")")/.bundle.XXXXXX")
trap 'rm -rf "$staging"' EXIT
mkdir -p "$staging"/{bin,libexec,lib/openmpi,share,etc/openmpi}

# Open MPI looks for its parts below OPAL_PREFIX, in the folders that it was built for.
mpi_path() { ompi_info --parsable --path "$1" | cut -d: -f3; }
plugins=$(mpi_path pkglibdir)
cp "$plugins"/mca_*.so "$staging/lib/openmpi/"
cp -r "$(mpi_path pkgdatadir)" "$staging/share/openmpi"
cp -L "$(mpi_path sysconfdir)"/* "$staging/etc/openmpi/"
rm -f "$staging"/lib/openmpi/mca_{btl_openib,btl_usnic,mtl_psm,mtl_psm2,io_romio321,fs_lustre}.so
rm -f "$staging"/lib/openmpi/mca_{atomic,memheap,scoll,spml,sshmem}_*.so # OpenSHMEM's
pmix=$(dpkg -L libpmix2 2>/dev/null | grep -m 1 '/pmix/pmix_mca_.*\.so$' || true)
if [[ -n $pmix ]]; then
  cp -r "$(dirname "$pmix")" "$staging/lib/pmix"
  cp -rL "$(dpkg -L libpmix2 | grep -m 1 '/share/pmix$')" "$staging/share/pmix"
fi
for name in orted mpirun; do chosen[$name]=$(realpath "$(command -v "$name")"); done

for name in "${!chosen[@]}"; do
  cp "${chosen[$name]}" "$staging/libexec/$name"
  strip --strip-unneeded "$staging/libexec/$name"
  ln -s run "$staging/bin/$name"
done

# Everything they link, but for CUDA and the C library; that only for machines whose own is older.
mkdir "$staging/lib/glibc"
mapfile -t libraries < <(
  { ldd "$staging"/libexec/* "$staging"/lib/openmpi/*.so "$staging"/lib/pmix/*.so 2>/dev/null || true; } |
    awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u
)

# ICU's data, 31 MB, are locales and code pages. What the tokenizers ask for, NFC and properties of characters, is in
# libicuuc itself: it gets an empty package, as from ICU's own stubdata, unless another library may want more.
empty_icu_data() {
  local name=$(basename "$1")
  [[ -z $(grep -lF libicuuc.so "${libraries[@]}" | grep -v -e /libicuuc -e /liblonghaul || true) ]] || return 1
  cc -shared -nostdlib -s -Wl,-soname,"$name" -x c -o "$staging/lib/$name" - <<END
const struct {
  unsigned short bytes;
  unsigned char header[30];
  unsigned entries, reserved;
} icudt${name##*.so.}_dat __attribute__((aligned(16))) = {32, {0xda, 0x27, 20, [8] = 2, [10] = 'T', 'o', 'C', 'P', 1}};
END
}

for library in "${libraries[@]}"; do
  case $(basename "$library") in
    libicudata.so.*) empty_icu_data "$library" 2>/dev/null || cp -L "$library" "$staging/lib/" ;;
    libcuda* | libcudart* | libnccl* | libcublas* | libcudnn*) ;;
    libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | libresolv.so* | libutil.so*)
      cp -L "$library" "$staging/lib/glibc/" ;;
    *)
      cp -L "$library" "$staging/lib/"
      strip --strip-unneeded "$staging/lib/$(basename "$library")" ;;
  esac
done
cp -L /lib64/ld-linux-x86-64.so.2 "$staging/lib/glibc/"
cp "$here/launch/bundle_run.sh" "$staging/bin/run"
{
  git -C "$here" log -1 --format='longhaul %h of %cs' 2>/dev/null || echo longhaul
  echo "programs: ${programs[*]}"
  ldd --version | sed -n '1s/.* /glibc /p'
} >"$staging/bundle.txt"

rm -rf "$out"
mv "$staging" "$out"
chmod 755 "$out"
trap - EXIT
du -sh "$out" | awk '{print "folder  " $2 "  " $1}'
if $archive; then
  tar -C "$(dirname "$out")" -cf - "$(basename "$out")" | xz -T0 -6 >"$out.tar.xz.part"
  mv "$out.tar.xz.part" "$out.tar.xz"
  du -h "$out.tar.xz" | awk '{print "archive " $2 "  " $1}'
fi

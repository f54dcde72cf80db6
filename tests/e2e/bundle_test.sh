# launch/bundle.sh: the folder runs anywhere, with its own Open MPI and libraries, also on the C library that it carries.
source "$(dirname "$0")/tiny_run.sh"
launch=$SOURCE_DIR/launch

"$launch/bundle.sh" --no-archive made "$(dirname "$program")" "$(basename "$program")" >made.log
mv made moved
bundle=$PWD/moved
name=$(basename "$program")

# Nothing but the C library, the kernel's and CUDA's comes from elsewhere.
strays=$(LD_LIBRARY_PATH=$bundle/lib ldd "$bundle/libexec/$name" "$bundle"/lib/openmpi/*.so |
  awk '$2 == "=>" {print $1, $3}' | grep -v -e " $bundle/" \
    -e '^lib\(c\|m\|dl\|rt\|pthread\|resolv\|util\|cudart\|nccl\|cuda\)\.so' || true)
[ -z "$strays" ] || fail "not in the bundle: $strays"

alone() { env -i PATH=/usr/bin:/bin HOME="$HOME" "${@}"; }
settings=$(env | grep -E '^OMPI_' | tr '\n' ' ')
alone $settings "$bundle/bin/mpirun" -n 2 "$bundle/bin/$name" train tiny.yaml run.folder=moved-run >moved.log 2>&1 ||
  { cat moved.log; fail "two ranks of the bundle"; }
ranks 2 train tiny.yaml run.folder=usual-run >usual.log
same_run moved-run usual-run

# As on a machine whose C library is older.
sed -i 's/^glibc .*/glibc 99.9/' "$bundle/bundle.txt"
alone "$bundle/bin/$name" inspect moved-run/model >older.log || fail "on the C library of the bundle"

[ "$("$launch/bundle.sh" >/dev/null 2>&1; echo $?)" = 2 ] || fail "no folder named"
[ "$("$launch/bundle.sh" "$PWD/moved-run" >/dev/null 2>&1; echo $?)" = 2 ] || fail "a folder that is no bundle was taken"
[ -d moved-run/model ] || fail "a folder that is no bundle was replaced"

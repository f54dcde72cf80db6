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

# ICU's data are left out; what normalizes text is not. The build's programs share their code if it was made for that.
[ "$(stat -c %s "$bundle"/lib/libicudata.so.*)" -lt 100000 ] || fail "ICU's data in the bundle"
python3 - >tokenizer.json <<'PYTHON'
import json
alphabet = [chr(c) for c in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144))]
byte_level = {"type": "ByteLevel", "add_prefix_space": False}
model = {"type": "BPE", "merges": [], "vocab": {c: number for number, c in enumerate(alphabet)}}
print(json.dumps({"normalizer": {"type": "NFC"}, "pre_tokenizer": byte_level, "decoder": byte_level, "model": model}))
PYTHON
printf 'e\xcc\x81' >accent.txt
alone "$bundle/bin/$name" tokenize --tokenizer tokenizer.json --end-of-document 0 --out tokens accent.txt >accent.log 2>&1 ||
  { cat accent.log; fail "tokenizing in the bundle"; }
grep -q ' 3 tokens ' accent.log || { cat accent.log; fail "no NFC in the bundle: expected two bytes and the end"; }
if grep -q '^LONGHAUL_BUNDLE:BOOL=ON' "$(dirname "$program")/../CMakeCache.txt"; then
  [ -e "$bundle/lib/liblonghaul.so" ] || fail "programs made for bundles share nothing"
  [ "$(stat -c %s "$bundle/libexec/$name")" -lt 12000000 ] || fail "code is in the program that is in liblonghaul.so"
fi

# As on a machine whose C library is older.
loads_own_c_library() {
  alone LD_DEBUG=libs "$bundle/bin/$name" inspect moved-run/model >inspect.log 2>libraries.log || { cat inspect.log; fail "inspect in the bundle"; }
  grep -qF "calling init: $bundle/lib/glibc/libc.so" libraries.log
}
if loads_own_c_library; then fail "the bundle's C library was taken where the machine's would do"; fi
sed -i 's/^glibc .*/glibc 99.9/' "$bundle/bundle.txt"
loads_own_c_library || fail "the C library of the bundle was not taken"

[ "$("$launch/bundle.sh" >/dev/null 2>&1; echo $?)" = 2 ] || fail "no folder named"
[ "$("$launch/bundle.sh" "$PWD/moved-run" >/dev/null 2>&1; echo $?)" = 2 ] || fail "a folder that is no bundle was taken"
[ -d moved-run/model ] || fail "a folder that is no bundle was replaced"

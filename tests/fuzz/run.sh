#!/bin/bash
# Builds and runs the fuzz targets: run.sh [FOLDER [SECONDS [TARGET…]]]
# FOLDER (default: a new one in /tmp) gets the programs, the corpora that grow, and inputs that crash.
# SECONDS (default 60) for each target. Exit 0: nothing found.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
folder=${1:-$(mktemp -d /tmp/longhaul-fuzz.XXXXXX)}
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(safetensors torch_archive gguf model_config state_spaces token_folder run_config
  tokenizer_json token_files babi_file)
mkdir -p "$folder/scratch"
export TMPDIR=$folder/scratch
trap 'rm -rf "$folder/scratch"' EXIT
cd "$source"

launcher=$(command -v ccache || true)
compiler="$launcher ${CLANG:-clang++-14}"
flags="-std=c++20 -O1 -g1 -I$source -I$folder/proto -I$folder/kinds -fsanitize=fuzzer,address,undefined
       -fno-sanitize-recover=all"

# The sources that a target runs, and the libraries beside them.
sources_of() {
  case $1 in
    safetensors) echo model/checkpoint/{safetensors_header,json_reading}.cpp kernels/core/shape.cpp ;;
    model_config) echo model/checkpoint/{config_json,config_fields,config_reader,config_rules,config_writer,json_reading}.cpp \
      model/config.cpp ;;
    torch_archive) echo model/checkpoint/torch/{torch_archive,pickle_reader,pickle_machine,zip_reader}.cpp \
      model/checkpoint/{safetensors_header,json_reading}.cpp kernels/core/shape.cpp ;;
    gguf) echo model/checkpoint/gguf/{gguf_header,gguf_config}.cpp model/checkpoint/json_reading.cpp \
      model/config.cpp kernels/core/shape.cpp ;;
    state_spaces) echo model/checkpoint/state_spaces/state_spaces_config.cpp \
      model/checkpoint/{config_reader,config_rules,json_reading}.cpp model/config.cpp ;;
    token_folder) echo data/{token_folder,document_index,manifest,file_io,tokenizer,tokenizer_files}.cpp \
      kernels/core/random_access_file.cpp "$folder/proto/data/token_folder.pb.cc" ;;
    tokenizer_json) echo data/bpe/*.cpp data/{utf8,end_of_document,file_io,json_part,tokenizer,tokenizer_files}.cpp \
      kernels/core/random_access_file.cpp ;;
    babi_file) echo data/{tasks/babi_file,text_stream,file_io}.cpp kernels/core/random_access_file.cpp ;;
    token_files) echo data/token_files/{flat,npy,megatron}.cpp ;;
    run_config) echo launch/{run_config,run_rules,yaml_builder,yaml_document,yaml_reader,field_list,utf8}.cpp \
      launch/{task_settings,babilong_kind}.cpp data/tasks/{task_kind,kinds/*}.cpp model/config.cpp ;;
    *) echo "run.sh: no target '$1'" >&2; return 2 ;;
  esac
}
# What a target never calls need not be linked.
unlinked='-no-pie -Wl,--unresolved-symbols=ignore-all'
libraries_of() {
  case $1 in
    token_folder) echo -lprotobuf -lz -lglog $unlinked ;;
    # Of kinds of task only the settings are asked.
    run_config) echo -lyaml-cpp -lglog $unlinked ;;
    babi_file) echo -lz -lzstd -lglog ;;
    tokenizer_json) echo -lpcre2-8 -licuuc -lz -lglog $unlinked ;;
    *) echo -lglog ;;
  esac
}

build() {
  local target=$1 objects=() object sources
  sources=$(sources_of "$target")
  if [ "$target" = token_folder ]; then
    mkdir -p "$folder/proto"
    protoc -I. --cpp_out="$folder/proto" data/token_folder.proto
  fi
  if [ "$target" = run_config ]; then
    mkdir -p "$folder/kinds/data"
    for file in data/tasks/kinds/*.cpp; do
      echo "LONGHAUL_KIND($(basename "${file%.cpp}"))"
    done >"$folder/kinds/data/task_kinds.inc"
  fi
  for file in tests/fuzz/${target}_fuzz.cpp $sources; do
    object=$folder/$target-$(basename "${file%.*}").o
    $compiler $flags -c "$file" -o "$object"
    objects+=("$object")
  done
  $compiler $flags "${objects[@]}" -o "$folder/$target" $(libraries_of "$target")
}

failed=()
for target in "${targets[@]}"; do
  build "$target"
  mkdir -p "$folder/corpus/$target" "$folder/crashes"
  seeds=("$here/seeds/$target")
  [ "$target" != run_config ] || seeds+=("$source/configs")
  "$folder/$target" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$folder/crashes/$target-" \
    "$folder/corpus/$target" "${seeds[@]}" > "$folder/$target.log" 2>&1 || failed+=("$target")
  echo "$target: $(grep -o 'number_of_executed_units: .*' "$folder/$target.log" || echo failed)"
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "run.sh: found something in ${failed[*]}: $folder/*.log, $folder/crashes" >&2
  exit 1
fi

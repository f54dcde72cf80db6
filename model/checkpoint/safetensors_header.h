// The header of a safetensors file, checked completely; no file needed (the fuzzer's door).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/byte_source.h"
#include "model/checkpoint/safetensors.h"

namespace longhaul::model {

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;  ///< in order of their data
  std::map<std::string, std::string> metadata;
  uint64_t data_begin = 0;  ///< byte of the file
};

/// `file` is the whole file, of which the header alone is read; `name` stands for it in messages.
/// Throws InputError.
SafetensorsHeader parse_safetensors_header(const core::ByteSource& file, const std::string& name);
inline SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& name) {
  return parse_safetensors_header(core::MemoryBytes(file), name);
}

uint64_t size_of(StoredType type);
/// As the container spells it: "F32".
const char* name_of(StoredType type);

}  // namespace longhaul::model

// The head of a GGUF file, checked completely; no file needed (the fuzzer's door).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/byte_source.h"
#include "kernels/core/shape.h"
#include "model/checkpoint/gguf/gguf_types.h"

namespace longhaul::model {

struct GgufValue {
  GgufValueType type = GgufValueType::kU32;
  int64_t integer = 0;         ///< of integers and truth values (u64 beyond int64: the same bits)
  double number = 0;           ///< of every number
  std::string_view text;       ///< of strings; in GgufHeader::bytes
  GgufValueType element = {};  ///< of arrays
  uint64_t count = 0;          ///< of arrays
  std::string_view elements;   ///< of arrays: their bytes
  /// For people.
  std::string shown() const;
};

struct GgufTensor {
  std::string name;
  GgufTensorType type = GgufTensorType::kF32;
  core::Shape shape;            ///< slowest extent first, the reverse of the file's
  uint64_t begin = 0, end = 0;  ///< bytes of the file
};

struct GgufHeader {
  std::unique_ptr<const std::string> bytes;  ///< of the file's beginning
  std::map<std::string, GgufValue> values;
  std::vector<GgufTensor> tensors;  ///< in the file's order
};

/// `file` is the whole file, of which the beginning alone is read; `name` stands for it in
/// messages. Every tensor lies within the file, aligned, and overlaps no other. Throws InputError
/// naming key or tensor.
GgufHeader parse_gguf_header(const core::ByteSource& file, const std::string& name);
inline GgufHeader parse_gguf_header(std::string_view file, const std::string& name) {
  return parse_gguf_header(core::MemoryBytes(file), name);
}

/// The strings of an array of strings.
std::vector<std::string_view> strings_of(const GgufValue& array);

}  // namespace longhaul::model

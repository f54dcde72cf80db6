// Where the tokens lie in a file that others made. The readers check everything that can be checked
// without looking at tokens, and throw InputError that begins with `name`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/byte_source.h"

namespace longhaul::data {

/// Little-endian integers.
enum class Element { kU8, kI8, kU16, kI16, kU32, kI32, kU64, kI64 };
int64_t bytes_of(Element element);

struct TokenLayout {
  std::string format;
  Element element = Element::kU16;
  int64_t offset = 0;  ///< of the first token, in bytes
  int64_t tokens = 0;
  /// First token of each document, then the number of tokens; empty: the file has no borders.
  std::vector<int64_t> borders;
};

using core::ByteSource;

/// NumPy's .npy, one dimension.
bool is_npy(const ByteSource& file);
TokenLayout read_npy(const ByteSource& file, const std::string& name);

/// Megatron's index for a .bin of `token_bytes` bytes.
TokenLayout read_megatron_index(const ByteSource& index, int64_t token_bytes,
                                const std::string& name);

/// llm.c's .bin: 256 int32 of header (magic, version, tokens, zeros), then tokens.
bool is_llm_c(const ByteSource& file);
TokenLayout read_llm_c(const ByteSource& file, const std::string& name);

/// Nothing but tokens.
TokenLayout flat_layout(int64_t bytes, Element element, const std::string& name);

/// The value of type T at `offset`, which must lie inside. The files need not be aligned.
template <class T>
T value_at(const ByteSource& bytes, int64_t offset) {
  T value;
  bytes.read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace longhaul::data

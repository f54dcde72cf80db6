// Any bytes as a file of tokens that others made: refused, or all tokens lie in the file and the
// documents follow each other. The first byte chooses the kind.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "data/token_files/layout.h"
#include "kernels/core/error.h"

namespace {

using namespace longhaul::data;

TokenLayout read(int kind, const ByteSource& file, int64_t& bytes) {
  bytes = file.size();
  if (kind == 0) return read_npy(file, "a.npy");
  if (kind == 1) return read_llm_c(file, "a.bin");
  bytes = kind == 2 ? 10 : 0;
  return read_megatron_index(file, bytes, "a.idx");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const longhaul::core::MemoryBytes file({reinterpret_cast<const char*>(data) + 1, size - 1});
  const int kind = data[0] % 4;
  if ((kind == 0 && !is_npy(file)) || (kind == 1 && !is_llm_c(file))) return 0;
  try {
    int64_t bytes = 0;
    const TokenLayout layout = read(kind, file, bytes);
    if (layout.offset + layout.tokens * bytes_of(layout.element) != bytes) std::abort();
    for (size_t i = 1; i < layout.borders.size(); ++i)
      if (layout.borders[i] <= layout.borders[i - 1]) std::abort();
    if (!layout.borders.empty() &&
        (layout.borders.front() != 0 || layout.borders.back() != layout.tokens))
      std::abort();
  } catch (const longhaul::core::InputError&) {
  }
  return 0;
}

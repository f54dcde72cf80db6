// Any bytes as a safetensors file: the header is refused or describes the data exactly.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernels/core/error.h"
#include "model/checkpoint/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const model::SafetensorsHeader header = model::parse_safetensors_header(bytes, "input");
    uint64_t next = header.data_begin;
    for (const model::StoredTensor& tensor : header.tensors) {
      if (header.data_begin + tensor.begin != next) std::abort();
      next += static_cast<uint64_t>(tensor.shape.elements()) * model::size_of(tensor.type);
    }
    if (next != size) std::abort();
  } catch (const core::InputError&) {
  }
  return 0;
}

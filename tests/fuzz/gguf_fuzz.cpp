// Any bytes as a GGUF file: refused, or the head describes data that is there, and a model that can
// be named.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernels/core/error.h"
#include "model/checkpoint/gguf/gguf_header.h"
#include "model/checkpoint/gguf/gguf_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const model::GgufHeader header = model::parse_gguf_header(bytes, "input");
    for (const model::GgufTensor& tensor : header.tensors) {
      const uint64_t block = model::block_elements(tensor.type);
      const auto elements = static_cast<uint64_t>(tensor.shape.elements());
      if (tensor.end > size ||
          tensor.end - tensor.begin != elements / block * model::block_bytes(tensor.type)) {
        std::abort();
      }
    }
    for (const auto& [key, value] : header.values) {
      value.shown();
      if (value.element == model::GgufValueType::kString &&
          model::strings_of(value).size() != value.count) {
        std::abort();
      }
    }
    core::Problems problems;
    model::read_gguf_config(header, "input").validate("", problems);
    if (!problems.empty()) std::abort();
  } catch (const core::InputError&) {
  }
  return 0;
}

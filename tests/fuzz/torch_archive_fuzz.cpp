// Any bytes as a file of torch.save, and as its pickle: refused, or every element can be read.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/torch/pickle_reader.h"
#include "model/checkpoint/torch/torch_archive.h"
#include "tests/model/torch_bytes.h"

namespace {

using namespace longhaul;

void read_all(std::string_view bytes) {
  for (const model::TorchTensor& tensor : model::parse_torch_archive(bytes, "input")) {
    if (tensor.first_byte() + tensor.bytes() > bytes.size()) std::abort();
    const int64_t count = std::min<int64_t>(tensor.shape.elements(), 1000);
    std::vector<char> values(static_cast<size_t>(count) * model::size_of(tensor.type));
    const std::string_view elements = bytes.substr(tensor.first_byte(), tensor.bytes());
    tensor.pick(elements, 0, count, values.data());
    tensor.pick(elements, tensor.shape.elements() - count, count, values.data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // An archive around the bytes brings the fuzzer to the unpickler without having to find a zip.
  const std::string around =
      testing::torch_bytes(std::string(bytes), {std::string(24, 'x'), std::string(8, 'y')});
  for (const std::string_view file : {bytes, std::string_view(around)}) {
    try {
      read_all(file);
    } catch (const core::InputError&) {
    }
  }
  return 0;
}

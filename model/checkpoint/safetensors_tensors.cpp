#include "model/checkpoint/safetensors_tensors.h"

#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::model {

SafetensorsTensors::SafetensorsTensors(const std::filesystem::path& path) : file_(path) {
  for (const StoredTensor& tensor : file_.tensors()) {
    TensorStream stream;
    stream.name = tensor.name;
    stream.shape = tensor.shape;
    stream.type = tensor.type;
    stream.origin = core::message(path.string(), ": tensor ", in_quotes(tensor.name));
    stream.read = [this, &tensor](int64_t begin, int64_t count, void* target) {
      file_.read_bytes(tensor, static_cast<uint64_t>(begin) * size_of(tensor.type),
                       static_cast<uint64_t>(count) * size_of(tensor.type), target);
    };
    streams_.push_back(std::move(stream));
  }
}

}  // namespace longhaul::model

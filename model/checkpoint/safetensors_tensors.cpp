#include "model/checkpoint/safetensors_tensors.h"

namespace longhaul::model {

SafetensorsTensors::SafetensorsTensors(const std::filesystem::path& path) : file_(path) {
  for (const StoredTensor& tensor : file_.tensors()) {
    streams_.push_back(stream_of(file_, tensor));
  }
}

}  // namespace longhaul::model

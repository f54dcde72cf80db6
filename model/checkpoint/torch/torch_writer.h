#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/tensor_stream.h"

namespace longhaul::model {

/// A further name of a tensor: both are stored as one.
struct SharedName {
  std::string name, of;
};

/// Writes what torch.save writes of a state_dict, so that torch.load reads it with
/// weights_only=True. `progress` is called with the bytes of each piece.
void write_torch_file(const std::filesystem::path& path, const std::vector<TensorStream>& tensors,
                      const std::vector<SharedName>& shared,
                      const std::function<void(int64_t bytes)>& progress = {});

}  // namespace longhaul::model

// Python's pickle, as far as a saved dictionary of tensors needs it. Nothing is executed: a name
// that is not on the short list is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longhaul::model {

/// ('storage', torch.FloatStorage, KEY, LOCATION, ELEMENTS)
struct PickledStorage {
  std::string type;  ///< "FloatStorage"
  std::string key;
  uint64_t elements = 0;
};

/// torch._utils._rebuild_tensor_v2: a view of a storage. Offset and strides count elements; nothing
/// about them is checked here but that they are natural numbers.
struct PickledTensor {
  PickledStorage storage;
  uint64_t offset = 0;
  std::vector<uint64_t> shape, strides;
};

struct PickledEntry {
  std::string name;
  PickledTensor tensor;
};

/// The tensors of a pickled dictionary (collections.OrderedDict or dict), in its order. `name`
/// stands for the file in messages. Throws InputError for anything else, naming the entry or the
/// byte.
std::vector<PickledEntry> read_pickled_tensors(std::string_view bytes, const std::string& name);

}  // namespace longhaul::model

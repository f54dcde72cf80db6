#include "model/checkpoint/torch/pickle_reader.h"

#include <set>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/torch/pickle_machine.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr uint64_t kLargestPickle = uint64_t{16} << 20;
constexpr size_t kMostDimensions = 16;
constexpr size_t kLongestKey = 64;
constexpr size_t kMostProblems = 20;
constexpr std::string_view kTorch = "torch.";

class TensorReader {
 public:
  TensorReader(const PickleMachine& machine, const std::string& file)
      : machine_(machine), file_(file) {}

  std::vector<PickledEntry> read(PickleValueId root) {
    const PickleValue& dict = machine_.value(root);
    if (dict.kind != PickleKind::kDict) {
      throw core::InputError(message(file_, ": is ", name_of(dict.kind),
                                     ", expected a dictionary of tensors (a state_dict)"));
    }
    std::vector<PickledEntry> entries;
    std::set<std::string_view> names;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue& key = machine_.value(dict.items[i]);
      if (key.kind != PickleKind::kText || !is_name(key.text)) {
        problem(message(file_, ": entry ", i / 2, ": its name is ", name_of(key.kind),
                        ", expected a text without control characters"));
      } else if (!names.insert(key.text).second) {
        problem(message(file_, ": tensor ", in_quotes(key.text), ": is there twice"));
      } else {
        read_tensor(std::string(key.text), machine_.value(dict.items[i + 1]), entries);
      }
    }
    if (!problems_.empty()) throw core::InputError(problems_);
    return entries;
  }

 private:
  static bool is_name(std::string_view text) {
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    }
    return !text.empty();
  }

  void problem(std::string text) {
    if (problems_.size() < kMostProblems) problems_.push_back(std::move(text));
  }

  void read_tensor(const std::string& name, const PickleValue& value,
                   std::vector<PickledEntry>& entries) {
    const auto refuse = [&](const std::string& what) {
      problem(message(file_, ": tensor ", in_quotes(name), ": ", what));
    };
    if (value.kind != PickleKind::kTensor) {
      return refuse(message("is ", name_of(value.kind), ", expected a tensor"));
    }
    PickledTensor tensor;
    const auto item = [&](size_t i) -> const PickleValue& {
      return machine_.value(value.items[i]);
    };
    if (!read_storage(item(0), tensor.storage)) return refuse("its storage is not understood");
    const bool is_whole = read_natural(item(1), tensor.offset) &&
                          read_naturals(item(2), tensor.shape) &&
                          read_naturals(item(3), tensor.strides);
    if (!is_whole || tensor.shape.size() != tensor.strides.size()) {
      return refuse("its offset, shape or strides are not understood");
    }
    entries.push_back({name, std::move(tensor)});
  }

  bool read_storage(const PickleValue& storage, PickledStorage& result) const {
    if (storage.kind != PickleKind::kStorage || storage.items.size() != 5) return false;
    const auto item = [&](size_t i) -> const PickleValue& {
      return machine_.value(storage.items[i]);
    };
    const PickleValue &type = item(1), &key = item(2);
    if (item(0).kind != PickleKind::kText || item(0).text != "storage") return false;
    if (type.kind != PickleKind::kGlobal || !type.text.starts_with(kTorch)) return false;
    if (key.kind != PickleKind::kText || key.text.size() > kLongestKey) return false;
    result.type = type.text.substr(kTorch.size());
    result.key = key.text;
    return read_natural(item(4), result.elements);
  }

  static bool read_natural(const PickleValue& value, uint64_t& result) {
    result = static_cast<uint64_t>(value.integer);
    return value.kind == PickleKind::kInteger && value.integer >= 0;
  }

  bool read_naturals(const PickleValue& tuple, std::vector<uint64_t>& result) const {
    if (tuple.kind != PickleKind::kTuple || tuple.items.size() > kMostDimensions) return false;
    for (const PickleValueId id : tuple.items) {
      if (!read_natural(machine_.value(id), result.emplace_back())) return false;
    }
    return true;
  }

  const PickleMachine& machine_;
  const std::string& file_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<PickledEntry> read_pickled_tensors(std::string_view bytes, const std::string& name) {
  if (bytes.size() > kLargestPickle) {
    throw core::InputError(
        message(name, ": a pickle of ", bytes.size(), " bytes, the most is ", kLargestPickle));
  }
  PickleMachine machine(bytes, name);
  const PickleValueId root = machine.run();
  return TensorReader(machine, name).read(root);
}

}  // namespace longhaul::model

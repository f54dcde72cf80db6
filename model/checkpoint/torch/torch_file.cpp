#include "model/checkpoint/torch/torch_file.h"

#include <algorithm>
#include <tuple>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::model {

namespace {

/// Neighbours in a storage: enough to find every tensor that shares elements with an earlier one.
/// Interleaved tensors count as sharing; no checkpoint has them.
std::vector<TorchFile::Alias> find_aliases(const std::vector<TorchTensor>& tensors) {
  std::vector<const TorchTensor*> order;
  for (const TorchTensor& tensor : tensors) {
    if (tensor.end > tensor.first) order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const TorchTensor* a, const TorchTensor* b) {
    return std::tie(a->storage, a->first) < std::tie(b->storage, b->first);
  });
  std::vector<TorchFile::Alias> aliases;
  const TorchTensor* reaching = nullptr;  // the one that reaches furthest so far
  for (const TorchTensor* tensor : order) {
    const bool is_new = reaching == nullptr || reaching->storage != tensor->storage;
    if (!is_new && tensor->first < reaching->end) {
      const bool is_same = tensor->first == reaching->first && tensor->shape == reaching->shape &&
                           tensor->strides == reaching->strides && tensor->type == reaching->type;
      aliases.push_back({reaching->name, tensor->name, is_same});
    }
    if (is_new || tensor->end > reaching->end) reaching = tensor;
  }
  return aliases;
}

}  // namespace

TorchFile::TorchFile(const std::filesystem::path& path)
    : file_(path),
      tensors_(parse_torch_archive(file_.text(), path.string())),
      aliases_(find_aliases(tensors_)) {
  for (const TorchTensor& tensor : tensors_) {
    TensorStream stream;
    stream.name = tensor.name;
    stream.shape = tensor.shape;
    stream.type = tensor.type;
    stream.origin = core::message(path.string(), ": tensor ", in_quotes(tensor.name));
    stream.read = [this, &tensor](int64_t begin, int64_t count, void* target) {
      tensor.read(file_.text(), begin, count, target);
      // Strides may come back to a page: only what is read in order can go piece by piece.
      const uint64_t size = size_of(tensor.type);
      const bool in_order = tensor.is_contiguous();
      if (!in_order && begin + count < tensor.shape.elements()) return;
      const uint64_t first = tensor.first + (in_order ? static_cast<uint64_t>(begin) : 0);
      const uint64_t end = in_order ? first + static_cast<uint64_t>(count) : tensor.end;
      file_.release(tensor.storage_begin + first * size, tensor.storage_begin + end * size);
    };
    streams_.push_back(std::move(stream));
  }
}

}  // namespace longhaul::model

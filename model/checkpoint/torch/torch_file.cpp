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
      tensors_(parse_torch_archive(file_, path.string())),
      aliases_(find_aliases(tensors_)) {
  for (const TorchTensor& tensor : tensors_) {
    TensorStream stream;
    stream.name = tensor.name;
    stream.shape = tensor.shape;
    stream.type = tensor.type;
    stream.origin = core::message(path.string(), ": tensor ", in_quotes(tensor.name));
    stream.read = [this, &tensor](int64_t begin, int64_t count, void* target) {
      read(tensor, begin, count, target);
    };
    streams_.push_back(std::move(stream));
  }
}

void TorchFile::read(const TorchTensor& tensor, int64_t begin, int64_t count, void* target) {
  if (count == 0) return;
  const uint64_t size = size_of(tensor.type), skipped = static_cast<uint64_t>(begin) * size;
  if (tensor.is_contiguous()) {
    file_.read(static_cast<int64_t>(tensor.first_byte() + skipped),
               {static_cast<std::byte*>(target), static_cast<uint64_t>(count) * size});
    return;
  }
  // Strides may come back to any place until the last element has been read.
  std::string& elements = strided_[&tensor];
  if (elements.empty()) {
    elements =
        file_.text(static_cast<int64_t>(tensor.first_byte()), static_cast<int64_t>(tensor.bytes()));
  }
  tensor.pick(elements, begin, count, target);
  if (begin + count == tensor.shape.elements()) strided_.erase(&tensor);
}

}  // namespace longhaul::model

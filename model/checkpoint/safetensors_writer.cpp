#include <glog/logging.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::model {

namespace {

/// Wider elements first, as the reference implementation, so that each tensor is aligned to its
/// own.
std::vector<const TensorToStore*> in_file_order(const std::vector<TensorToStore>& tensors) {
  std::vector<const TensorToStore*> order;
  for (const TensorToStore& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->type) > size_of(b->type);
  });
  return order;
}

std::string header_bytes(const std::vector<const TensorToStore*>& tensors,
                         const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  uint64_t next = 0;
  for (const TensorToStore* tensor : tensors) {
    std::vector<int64_t> shape;
    for (int i = 0; i < tensor->view.rank(); ++i) shape.push_back(tensor->view.extent(i));
    const uint64_t end =
        next + static_cast<uint64_t>(tensor->view.elements()) * size_of(tensor->type);
    header[tensor->name] = {
        {"dtype", name_of(tensor->type)}, {"shape", shape}, {"data_offsets", {next, end}}};
    next = end;
  }
  std::string text = header.dump();
  while (text.size() % 8 != 0) text += ' ';
  std::string bytes;
  for (uint64_t i = 0; i < 8; ++i) {
    bytes += static_cast<char>(static_cast<unsigned char>(uint64_t{text.size()} >> (8 * i)));
  }
  return bytes + text;
}

void write_data(const TensorToStore& tensor, const std::filesystem::path& path, AtomicFile& file) {
  constexpr int64_t kPiece = int64_t{1} << 18;
  const auto stored_size = static_cast<int64_t>(size_of(tensor.type));
  std::vector<char> piece(
      static_cast<size_t>(std::min(kPiece, tensor.view.elements()) * stored_size));
  std::vector<char> copy;
  const auto* source = static_cast<const char*>(tensor.view.raw());
  if (!tensor.view.device().is_cpu()) {
    copy.resize(static_cast<size_t>(tensor.view.bytes()));
    core::copy_now(tensor.view, {copy.data(), tensor.view.dtype(), tensor.view.shape()});
    source = copy.data();
  }
  for (int64_t begin = 0; begin < tensor.view.elements(); begin += kPiece) {
    const int64_t count = std::min(kPiece, tensor.view.elements() - begin);
    const std::string problem =
        store_elements(source + begin * core::size_of(tensor.view.dtype()), tensor.view.dtype(),
                       begin, count, piece.data(), tensor.type);
    if (!problem.empty()) {
      throw core::InputError(
          core::message(path.string(), ": tensor ", in_quotes(tensor.name), ": ", problem));
    }
    file.write(piece.data(), static_cast<size_t>(count * stored_size));
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToStore>& tensors,
                       std::map<std::string, std::string> metadata) {
  std::set<std::string> names = {"__metadata__"};
  for (const TensorToStore& tensor : tensors) {
    CHECK(names.insert(tensor.name).second) << "not a tensor name of its own: " << tensor.name;
    CHECK(tensor.view.is_contiguous()) << tensor.name;
    CHECK(can_store(tensor.view.dtype(), tensor.type))
        << tensor.name << ": " << core::name_of(tensor.view.dtype()) << " as "
        << name_of(tensor.type);
  }
  metadata.emplace("format", "pt");  // transformers refuses files without it
  const auto order = in_file_order(tensors);
  AtomicFile file(path);
  const std::string header = header_bytes(order, metadata);
  file.write(header.data(), header.size());
  for (const TensorToStore* tensor : order) write_data(*tensor, path, file);
  file.commit();
}

}  // namespace longhaul::model

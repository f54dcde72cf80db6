#include <glog/logging.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/number_bytes.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/tensor_stream.h"

namespace longhaul::model {

namespace {

/// Wider elements first, as the reference implementation, so that each tensor is aligned to its
/// own.
std::vector<const TensorStream*> in_file_order(const std::vector<TensorStream>& tensors) {
  std::vector<const TensorStream*> order;
  for (const TensorStream& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->type) > size_of(b->type);
  });
  return order;
}

std::string header_bytes(const std::vector<const TensorStream*>& tensors,
                         const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  uint64_t next = 0;
  for (const TensorStream* tensor : tensors) {
    std::vector<int64_t> shape;
    for (int i = 0; i < tensor->shape.rank(); ++i) shape.push_back(tensor->shape[i]);
    const uint64_t end = next + static_cast<uint64_t>(tensor->bytes());
    header[tensor->name] = {
        {"dtype", name_of(tensor->type)}, {"shape", shape}, {"data_offsets", {next, end}}};
    next = end;
  }
  std::string text = header.dump();
  while (text.size() % 8 != 0) text += ' ';
  std::string bytes;
  append_number(bytes, uint64_t{text.size()});
  return bytes + text;
}

TensorStream stream_of(const std::filesystem::path& path, const TensorToStore& tensor) {
  TensorStream stream;
  stream.name = tensor.name;
  stream.shape = tensor.view.shape();
  stream.type = tensor.type;
  stream.origin = core::message(path.string(), ": tensor ", in_quotes(tensor.name));
  stream.read = [&tensor, origin = stream.origin](int64_t begin, int64_t count, void* target) {
    const core::DType dtype = tensor.view.dtype();
    const core::TensorView part =
        tensor.view.reshape({tensor.view.elements()}).slice(0, begin, begin + count);
    std::vector<char> copy;
    const void* source = part.raw();
    if (!part.device().is_cpu()) {
      copy.resize(static_cast<size_t>(part.bytes()));
      core::copy_now(part, {copy.data(), dtype, part.shape()});
      source = copy.data();
    }
    const std::string problem = store_elements(source, dtype, begin, count, target, tensor.type);
    if (!problem.empty()) throw core::InputError(core::message(origin, ": ", problem));
  };
  return stream;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToStore>& tensors,
                       std::map<std::string, std::string> metadata, WrittenTo where) {
  std::vector<TensorStream> streams;
  for (const TensorToStore& tensor : tensors) {
    CHECK(tensor.view.is_contiguous()) << tensor.name;
    CHECK(can_store(tensor.view.dtype(), tensor.type))
        << tensor.name << ": " << core::name_of(tensor.view.dtype()) << " as "
        << name_of(tensor.type);
    streams.push_back(stream_of(path, tensor));
  }
  write_tensor_streams(path, streams, {}, std::move(metadata), where);
}

void write_tensor_streams(const std::filesystem::path& path,
                          const std::vector<TensorStream>& tensors,
                          const std::function<void(int64_t)>& progress,
                          std::map<std::string, std::string> metadata, WrittenTo where) {
  std::set<std::string> names = {"__metadata__"};
  for (const TensorStream& tensor : tensors) {
    CHECK(names.insert(tensor.name).second) << "not a tensor name of its own: " << tensor.name;
  }
  metadata.emplace("format", "pt");  // transformers refuses files without it
  const auto order = in_file_order(tensors);
  AtomicFile file(path, where);
  const std::string header = header_bytes(order, metadata);
  file.write(header.data(), header.size());
  for (const TensorStream* tensor : order) {
    for_each_piece(*tensor, [&](const void* bytes, size_t count) {
      file.write(bytes, count);
      if (progress) progress(static_cast<int64_t>(count));
    });
  }
  file.commit();
}

}  // namespace longhaul::model

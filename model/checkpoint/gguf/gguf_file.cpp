#include "model/checkpoint/gguf/gguf_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "kernels/core/error.h"
#include "model/checkpoint/gguf/q8_0.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

StoredType stored_type(GgufTensorType type) {
  switch (type) {
    case GgufTensorType::kF16:
      return StoredType::kF16;
    case GgufTensorType::kBF16:
      return StoredType::kBF16;
    default:
      return StoredType::kF32;
  }
}

/// Elements [begin, begin + count) of consecutive blocks.
void read_q8_0(const char* blocks, int64_t begin, int64_t count, float* target) {
  std::array<float, kQ8Elements> values{};
  for (int64_t at = begin; at < begin + count;) {
    dequantize_q8_0(blocks + at / kQ8Elements * kQ8Bytes, values.data());
    const int64_t first = at % kQ8Elements;
    const int64_t some = std::min(kQ8Elements - first, begin + count - at);
    std::copy_n(values.begin() + first, some, target);
    target += some;
    at += some;
  }
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path)
    : file_(path), header_(parse_gguf_header(file_, path.string())) {
  for (const GgufTensor& tensor : header_.tensors) {
    TensorStream stream;
    stream.name = tensor.name;
    stream.shape = tensor.shape;
    stream.type = stored_type(tensor.type);
    stream.origin = core::message(path.string(), ": tensor ", in_quotes(tensor.name));
    stream.read = [this, &tensor](int64_t begin, int64_t count, void* target) {
      read(tensor, begin, count, target);
    };
    streams_.push_back(std::move(stream));
  }
}

void GgufFile::read(const GgufTensor& tensor, int64_t begin, int64_t count, void* target) const {
  if (count == 0) return;
  const uint64_t block = block_elements(tensor.type), bytes = block_bytes(tensor.type);
  const uint64_t first = static_cast<uint64_t>(begin) / block * bytes;
  const uint64_t end = (static_cast<uint64_t>(begin + count) + block - 1) / block * bytes;
  const auto place = static_cast<int64_t>(tensor.begin + first);
  if (tensor.type != GgufTensorType::kQ8) {
    return file_.read(place, {static_cast<std::byte*>(target), end - first});
  }
  const std::string blocks = file_.text(place, static_cast<int64_t>(end - first));
  read_q8_0(blocks.data(), begin % kQ8Elements, count, static_cast<float*>(target));
}

bool is_gguf_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  std::ifstream in(path, std::ios::binary);
  std::array<char, 4> start{};
  return in.read(start.data(), 4) && std::memcmp(start.data(), "GGUF", 4) == 0;
}

}  // namespace longhaul::model

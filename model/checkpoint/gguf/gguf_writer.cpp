#include "model/checkpoint/gguf/gguf_writer.h"

#include <glog/logging.h>

#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/gguf/q8_0.h"
#include "model/checkpoint/number_bytes.h"

namespace longhaul::model {

namespace {

uint64_t aligned(uint64_t at) {
  return (at + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

void append_string(std::string& bytes, const std::string& text) {
  append_number(bytes, uint64_t{text.size()});
  bytes += text;
}

uint64_t bytes_of(const GgufTensorToStore& stored) {
  return static_cast<uint64_t>(stored.tensor.shape.elements()) / block_elements(stored.type) *
         block_bytes(stored.type);
}

std::string header_of(const GgufKeys& keys, const std::vector<GgufTensorToStore>& tensors) {
  std::string bytes;
  append_number(bytes, kGgufMagic);
  append_number(bytes, kGgufVersion);
  append_number(bytes, uint64_t{tensors.size()});
  append_number(bytes, keys.count());
  bytes += keys.bytes();
  uint64_t next = 0;
  for (const GgufTensorToStore& stored : tensors) {
    const core::Shape& shape = stored.tensor.shape;
    CHECK_LE(stored.tensor.name.size(), kLongestGgufName) << stored.tensor.name;
    append_string(bytes, stored.tensor.name);
    append_number(bytes, static_cast<uint32_t>(shape.rank()));
    for (int i = shape.rank(); i-- > 0;) append_number(bytes, static_cast<uint64_t>(shape[i]));
    append_number(bytes, static_cast<uint32_t>(stored.type));
    append_number(bytes, next);
    next = aligned(next + bytes_of(stored));
  }
  bytes.resize(aligned(bytes.size()), '\0');
  return bytes;
}

/// Calls take(bytes, count) for the tensor's blocks, piece by piece.
void quantize(const TensorStream& tensor,
              const std::function<void(const void* bytes, size_t count)>& take) {
  static_assert(kPieceElements % kQ8Elements == 0);
  int64_t first = 0;
  std::string blocks;
  for_each_piece(converted(tensor, StoredType::kF32), [&](const void* piece, size_t size) {
    const auto* values = static_cast<const float*>(piece);
    const auto count = static_cast<int64_t>(size / sizeof(float));
    blocks.resize(static_cast<size_t>(count / kQ8Elements * kQ8Bytes));
    for (int64_t i = 0; i < count; i += kQ8Elements) {
      if (!quantize_q8_0(values + i, blocks.data() + i / kQ8Elements * kQ8Bytes)) {
        throw core::InputError(core::message(tensor.origin, ": elements from ", first + i,
                                             " on are not finite or beyond what Q8_0 can hold"));
      }
    }
    take(blocks.data(), blocks.size());
    first += count;
  });
}

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

}  // namespace

void GgufKeys::begin(const std::string& key, GgufValueType type) {
  append_string(bytes_, key);
  append_number(bytes_, static_cast<uint32_t>(type));
  ++count_;
}

void GgufKeys::u32(const std::string& key, int64_t value) {
  begin(key, GgufValueType::kU32);
  append_number(bytes_, static_cast<uint32_t>(value));
}

void GgufKeys::f32(const std::string& key, double value) {
  begin(key, GgufValueType::kF32);
  append_number(bytes_, static_cast<float>(value));
}

void GgufKeys::boolean(const std::string& key, bool value) {
  begin(key, GgufValueType::kBool);
  append_number(bytes_, static_cast<uint8_t>(value));
}

void GgufKeys::string(const std::string& key, const std::string& value) {
  begin(key, GgufValueType::kString);
  append_string(bytes_, value);
}

void GgufKeys::begin_array(const std::string& key, GgufValueType element, size_t count) {
  begin(key, GgufValueType::kArray);
  append_number(bytes_, static_cast<uint32_t>(element));
  append_number(bytes_, uint64_t{count});
}

void GgufKeys::strings(const std::string& key, const std::vector<std::string>& values) {
  begin_array(key, GgufValueType::kString, values.size());
  for (const std::string& value : values) append_string(bytes_, value);
}

void GgufKeys::i32s(const std::string& key, const std::vector<int32_t>& values) {
  begin_array(key, GgufValueType::kI32, values.size());
  for (const int32_t value : values) append_number(bytes_, value);
}

void GgufKeys::f32s(const std::string& key, const std::vector<float>& values) {
  begin_array(key, GgufValueType::kF32, values.size());
  for (const float value : values) append_number(bytes_, value);
}

void GgufKeys::u8s(const std::string& key, const std::string& values) {
  begin_array(key, GgufValueType::kU8, values.size());
  bytes_ += values;
}

void write_gguf_file(const std::filesystem::path& path, const GgufKeys& keys,
                     const std::vector<GgufTensorToStore>& tensors,
                     const std::function<void(int64_t)>& progress) {
  make_folder_of(path);
  AtomicFile file(path);
  const std::string header = header_of(keys, tensors);
  file.write(header.data(), header.size());
  for (const GgufTensorToStore& stored : tensors) {
    const auto take = [&](const void* bytes, size_t count) {
      file.write(bytes, count);
      if (progress) progress(static_cast<int64_t>(count));
    };
    if (stored.type == GgufTensorType::kQ8) {
      quantize(stored.tensor, take);
    } else {
      for_each_piece(converted(stored.tensor, stored_type(stored.type)), take);
    }
    const std::string gap(aligned(file.size()) - file.size(), '\0');
    file.write(gap.data(), gap.size());
  }
  file.commit();
}

}  // namespace longhaul::model

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/checkpoint/gguf/gguf_types.h"
#include "model/checkpoint/tensor_stream.h"

namespace longhaul::model {

/// Key-value pairs as they stand in the file.
class GgufKeys {
 public:
  void u32(const std::string& key, int64_t value);
  void f32(const std::string& key, double value);
  void boolean(const std::string& key, bool value);
  void string(const std::string& key, const std::string& value);
  void strings(const std::string& key, const std::vector<std::string>& values);
  void i32s(const std::string& key, const std::vector<int32_t>& values);
  void f32s(const std::string& key, const std::vector<float>& values);
  void u8s(const std::string& key, const std::string& values);

  uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(const std::string& key, GgufValueType type);
  void begin_array(const std::string& key, GgufValueType element, size_t count);

  std::string bytes_;
  uint64_t count_ = 0;
};

/// `tensor` by its name and shape in the file, stored as `type`; Q8_0 needs rows of whole blocks.
struct GgufTensorToStore {
  TensorStream tensor;
  GgufTensorType type = GgufTensorType::kF32;
};

/// Makes the folder, writes beside `path`, fsyncs, renames; memory does not grow with the tensors.
/// `progress` is called with the bytes of each piece. Throws InputError naming a tensor that its
/// type cannot hold.
void write_gguf_file(const std::filesystem::path& path, const GgufKeys& keys,
                     const std::vector<GgufTensorToStore>& tensors,
                     const std::function<void(int64_t bytes)>& progress = {});

}  // namespace longhaul::model

// Files of torch.save put together by hand, well-formed or not.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::testing {

template <class T>
std::string number_bytes(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

struct ZipPart {
  std::string name, bytes;
  uint16_t method = 0, flags = 0;
};

/// A plain zip archive, checksums left out.
inline std::string zip_bytes(const std::vector<ZipPart>& parts) {
  std::string file, directory;
  for (const ZipPart& part : parts) {
    const auto size = static_cast<uint32_t>(part.bytes.size());
    const std::string common = number_bytes<uint16_t>(20) + number_bytes(part.flags) +
                               number_bytes(part.method) + std::string(8, '\0') +
                               number_bytes(size) + number_bytes(size) +
                               number_bytes(static_cast<uint16_t>(part.name.size()));
    directory += "PK\1\2" + number_bytes<uint16_t>(20) + common + std::string(12, '\0') +
                 number_bytes(static_cast<uint32_t>(file.size())) + part.name;
    file += "PK\3\4" + common + number_bytes<uint16_t>(0) + part.name + part.bytes;
  }
  const auto count = static_cast<uint16_t>(parts.size());
  return file + directory + "PK\5\6" + std::string(4, '\0') + number_bytes(count) +
         number_bytes(count) + number_bytes(static_cast<uint32_t>(directory.size())) +
         number_bytes(static_cast<uint32_t>(file.size())) + number_bytes<uint16_t>(0);
}

inline std::string pickled_text(const std::string& text) {
  return "X" + number_bytes(static_cast<uint32_t>(text.size())) + text;
}

inline std::string pickled_integer(int64_t value) { return "\x8a\x08" + number_bytes(value); }

inline std::string pickled_tuple(const std::vector<int64_t>& values) {
  std::string bytes = "(";
  for (const int64_t value : values) bytes += pickled_integer(value);
  return bytes + "t";
}

struct TensorToPickle {
  std::string name, storage = "FloatStorage", key = "0";
  int64_t elements = 0, offset = 0;
  std::vector<int64_t> shape, strides;
};

/// One call of torch._utils._rebuild_tensor_v2.
inline std::string pickled_tensor(const TensorToPickle& tensor) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickled_text("storage") + "ctorch\n" +
         tensor.storage + "\n" + pickled_text(tensor.key) + pickled_text("cpu") +
         pickled_integer(tensor.elements) + "tQ" + pickled_integer(tensor.offset) +
         pickled_tuple(tensor.shape) + pickled_tuple(tensor.strides) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

inline std::string pickled_dict(const std::vector<TensorToPickle>& tensors) {
  std::string bytes =
      "\x80\x02"
      "ccollections\nOrderedDict\n)R(";
  for (const auto& tensor : tensors) bytes += pickled_text(tensor.name) + pickled_tensor(tensor);
  return bytes + "u.";
}

/// The archive of a pickle and its storages, whose keys count from 0.
inline std::string torch_bytes(const std::string& pickle,
                               const std::vector<std::string>& storages) {
  std::vector<ZipPart> parts = {{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}};
  for (size_t i = 0; i < storages.size(); ++i) {
    parts.push_back({"archive/data/" + std::to_string(i), storages[i]});
  }
  parts.push_back({"archive/version", "3\n"});
  return zip_bytes(parts);
}

}  // namespace longhaul::testing

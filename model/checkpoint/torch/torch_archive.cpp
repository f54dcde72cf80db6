#include "model/checkpoint/torch/torch_archive.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/torch/pickle_reader.h"
#include "model/checkpoint/torch/zip_reader.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr uint64_t kMostElements = uint64_t{1} << 61;  // of 8 bytes: below 2^64
constexpr size_t kMostProblems = 20;
constexpr uint64_t kLongestText = uint64_t{1} << 28;  // of the pickle
constexpr std::array<std::pair<std::string_view, StoredType>, 6> kStorages = {{
    {"FloatStorage", StoredType::kF32},
    {"HalfStorage", StoredType::kF16},
    {"BFloat16Storage", StoredType::kBF16},
    {"DoubleStorage", StoredType::kF64},
    {"LongStorage", StoredType::kI64},
    {"IntStorage", StoredType::kI32},
}};

std::optional<StoredType> type_of(std::string_view storage) {
  for (const auto& [name, type] : kStorages) {
    if (name == storage) return type;
  }
  return std::nullopt;
}

using Entries = std::map<std::string, ZipEntry>;

/// Files of before torch 1.6 begin with a pickled number, 0x1950a86a20f9469cfc6c.
void check_is_archive(const core::ByteSource& file, const std::string& name) {
  using namespace std::string_view_literals;
  constexpr auto kLegacy = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;
  const std::string start = file.text(0, std::min(std::ssize(kLegacy), file.size()));
  if (start == kLegacy) {
    throw core::InputError(message(name,
                                   ": is in the format of torch before 1.6, which is no zip "
                                   "archive: not supported; load it in torch and save it again"));
  }
  if (!start.starts_with("PK")) {
    throw core::InputError(
        message(name, ": is no file of torch.save: it does not begin as a zip archive"));
  }
}

/// All entries lie in one folder of the archive, whatever its name.
std::string find_prefix(const Entries& entries, const std::string& name) {
  constexpr std::string_view kPickle = "data.pkl";
  for (const auto& [entry, bytes] : entries) {
    const size_t slash = entry.find('/');
    if (slash != std::string::npos && std::string_view(entry).substr(slash + 1) == kPickle) {
      return entry.substr(0, slash + 1);
    }
  }
  const bool is_script = entries.contains("constants.pkl");
  throw core::InputError(message(name, ": has no data.pkl, expected what torch.save writes",
                                 is_script ? " (it is a TorchScript archive)" : ""));
}

class ArchiveReader {
 public:
  ArchiveReader(const core::ByteSource& file, const std::string& name) : file_(file), name_(name) {}

  std::vector<TorchTensor> read() {
    check_is_archive(file_, name_);
    for (ZipEntry& entry : read_zip_directory(file_, name_)) {
      entries_.emplace(entry.name, std::move(entry));
    }
    prefix_ = find_prefix(entries_, name_);
    const auto order = entries_.find(prefix_ + "byteorder");
    if (order != entries_.end() && text_of(order->second) == "big") {
      throw core::InputError(message(name_, ": is big-endian, which is not supported"));
    }
    const std::string pickle = text_of(entries_.at(prefix_ + "data.pkl"));
    std::vector<TorchTensor> tensors;
    for (const PickledEntry& entry : read_pickled_tensors(pickle, name_)) {
      if (auto tensor = locate(entry)) tensors.push_back(std::move(*tensor));
    }
    if (!problems_.empty()) throw core::InputError(problems_);
    return tensors;
  }

 private:
  std::string text_of(const ZipEntry& entry) const {
    const uint64_t bytes = entry.end - entry.begin;
    if (bytes > kLongestText) {
      throw core::InputError(message(name_, ": ", in_quotes(entry.name), ": has ", bytes,
                                     " bytes, the most is ", kLongestText));
    }
    return file_.text(static_cast<int64_t>(entry.begin), static_cast<int64_t>(bytes));
  }

  template <class... Parts>
  std::nullopt_t problem(const PickledEntry& entry, const Parts&... parts) {
    if (problems_.size() < kMostProblems) {
      problems_.push_back(message(name_, ": tensor ", in_quotes(entry.name), ": ", parts...));
    }
    return std::nullopt;
  }

  std::optional<TorchTensor> locate(const PickledEntry& entry) {
    const PickledStorage& storage = entry.tensor.storage;
    const auto type = type_of(storage.type);
    if (!type) {
      return problem(entry, "is of torch.", storage.type,
                     ", expected Float, Half, BFloat16 or DoubleStorage");
    }
    const auto found = entries_.find(prefix_ + "data/" + storage.key);
    if (found == entries_.end()) {
      return problem(entry, "its storage ", in_quotes(storage.key), " is missing");
    }
    const uint64_t bytes = found->second.end - found->second.begin;
    if (storage.elements > kMostElements || storage.elements * size_of(*type) != bytes) {
      return problem(entry, "its storage has ", bytes, " bytes, but ", storage.elements,
                     " elements of ", name_of(*type));
    }
    TorchTensor tensor{.name = entry.name,
                       .type = *type,
                       .shape = {},
                       .strides = {},
                       .storage = storage.key,
                       .storage_begin = found->second.begin};
    const std::string wrong = place(entry.tensor, tensor);
    if (!wrong.empty()) return problem(entry, wrong);
    return tensor;
  }

  /// Shape, strides and extent within the storage, or what is wrong with them.
  static std::string place(const PickledTensor& pickled, TorchTensor& tensor) {
    if (pickled.shape.size() > core::Shape::kMaxRank) {
      return message("has ", pickled.shape.size(), " dimensions, the most is ",
                     core::Shape::kMaxRank);
    }
    uint64_t elements = 1, last = pickled.offset;
    bool is_empty = false, overflows = false;
    for (size_t i = 0; i < pickled.shape.size(); ++i) {
      const uint64_t extent = pickled.shape[i], stride = pickled.strides[i];
      uint64_t reach = 0;
      is_empty |= extent == 0;
      overflows |= __builtin_mul_overflow(elements, std::max<uint64_t>(extent, 1), &elements) ||
                   elements > kMostElements;
      if (extent > 0) {
        overflows |= __builtin_mul_overflow(extent - 1, stride, &reach) ||
                     __builtin_add_overflow(last, reach, &last);
      }
      if (overflows) return "its shape and strides are too large";
      tensor.shape.append(static_cast<int64_t>(extent));
      tensor.strides.append(static_cast<int64_t>(stride));
    }
    if (is_empty) return "";
    if (last >= pickled.storage.elements) {
      return message("reaches to element ", last, " of a storage of ", pickled.storage.elements);
    }
    tensor.first = pickled.offset;
    tensor.end = last + 1;
    return "";
  }

  const core::ByteSource& file_;
  const std::string& name_;
  Entries entries_;
  std::string prefix_;
  std::vector<std::string> problems_;
};

}  // namespace

bool TorchTensor::is_contiguous() const {
  int64_t expected = 1;
  for (int i = shape.rank(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

uint64_t TorchTensor::first_byte() const { return storage_begin + first * size_of(type); }

uint64_t TorchTensor::bytes() const { return (end - first) * size_of(type); }

void TorchTensor::pick(std::string_view elements, int64_t begin, int64_t count,
                       void* target) const {
  if (count == 0) return;
  const auto size = static_cast<int64_t>(size_of(type));
  std::array<int64_t, core::Shape::kMaxRank> index{};
  int64_t rest = begin, at = 0;
  for (int i = shape.rank(); i-- > 0;) {
    index[static_cast<size_t>(i)] = rest % shape[i];
    at += rest % shape[i] * strides[i];
    rest /= shape[i];
  }
  auto* out = static_cast<char*>(target);
  for (int64_t n = 0; n < count; ++n, out += size) {
    std::memcpy(out, elements.data() + at * size, static_cast<size_t>(size));
    for (int i = shape.rank(); i-- > 0;) {
      int64_t& digit = index[static_cast<size_t>(i)];
      at += strides[i];
      if (++digit < shape[i]) break;
      at -= digit * strides[i];
      digit = 0;
    }
  }
}

std::vector<TorchTensor> parse_torch_archive(const core::ByteSource& file,
                                             const std::string& name) {
  return ArchiveReader(file, name).read();
}

}  // namespace longhaul::model

#include "model/checkpoint/gguf/gguf_header.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <set>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/gguf/q8_0.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/number_bytes.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr uint64_t kMostEntries = 1'000'000;
constexpr int64_t kFirstBytes = int64_t{1} << 20, kLongestHeader = int64_t{1} << 30;
constexpr uint64_t kLongestKey = 65535;
constexpr uint32_t kMostDimensions = 4;
constexpr uint64_t kMostElements = uint64_t{1} << 60;
constexpr const char* kAlignmentKey = "general.alignment";

/// Bytes of a number; 0 for strings and arrays.
uint64_t size_of(GgufValueType type) {
  switch (type) {
    case GgufValueType::kU8:
    case GgufValueType::kI8:
    case GgufValueType::kBool:
      return 1;
    case GgufValueType::kU16:
    case GgufValueType::kI16:
      return 2;
    case GgufValueType::kU32:
    case GgufValueType::kI32:
    case GgufValueType::kF32:
      return 4;
    case GgufValueType::kU64:
    case GgufValueType::kI64:
    case GgufValueType::kF64:
      return 8;
    default:
      return 0;
  }
}

void set_integer(GgufValue& value, int64_t integer) {
  value.integer = integer;
  value.number = static_cast<double>(integer);
}

void read_number(std::string_view bytes, GgufValue& value) {
  switch (value.type) {
    case GgufValueType::kU8:
    case GgufValueType::kBool:
      return set_integer(value, number_at<uint8_t>(bytes, 0));
    case GgufValueType::kI8:
      return set_integer(value, number_at<int8_t>(bytes, 0));
    case GgufValueType::kU16:
      return set_integer(value, number_at<uint16_t>(bytes, 0));
    case GgufValueType::kI16:
      return set_integer(value, number_at<int16_t>(bytes, 0));
    case GgufValueType::kU32:
      return set_integer(value, number_at<uint32_t>(bytes, 0));
    case GgufValueType::kI32:
      return set_integer(value, number_at<int32_t>(bytes, 0));
    case GgufValueType::kU64:
    case GgufValueType::kI64:
      return set_integer(value, number_at<int64_t>(bytes, 0));
    case GgufValueType::kF32:
      value.number = static_cast<double>(number_at<float>(bytes, 0));
      return;
    default:
      value.number = number_at<double>(bytes, 0);
  }
}

/// The header goes on where the bytes that were read of the file end.
struct NeedsMore {};

class GgufReader {
 public:
  /// `bytes`: the first of a file of `file_bytes`.
  GgufReader(std::string_view bytes, uint64_t file_bytes, const std::string& name)
      : bytes_(bytes), file_bytes_(file_bytes), name_(name) {}

  GgufHeader read() {
    check_start();
    const auto tensors = take<uint64_t>(), values = take<uint64_t>();
    if (tensors > kMostEntries || values > kMostEntries) {
      refuse("claims ", tensors, " tensors and ", values, " keys, the most is ", kMostEntries);
    }
    for (uint64_t i = 0; i < values; ++i) read_value();
    for (uint64_t i = 0; i < tensors; ++i) read_tensor();
    place_tensors();
    return std::move(header_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    throw core::InputError(message(name_, ": ", parts...));
  }

  std::string_view take_bytes(uint64_t count) {
    if (count > file_bytes_ - at_) {
      refuse("truncated: ", count, " bytes from byte ", at_, " on, the file has ", file_bytes_);
    }
    if (count > bytes_.size() - at_) throw NeedsMore();
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  template <class T>
  T take() {
    return number_at<T>(take_bytes(sizeof(T)), 0);
  }
  std::string_view take_string() { return take_bytes(take<uint64_t>()); }

  void check_start() {
    if (file_bytes_ < 8 || take<uint32_t>() != kGgufMagic) refuse("is no GGUF file");
    const auto version = take<uint32_t>();
    if (version == __builtin_bswap32(kGgufVersion)) refuse("is big-endian, which is not supported");
    if (version != 2 && version != kGgufVersion) {  // 2 is laid out alike
      refuse("is of GGUF version ", version, ", expected 2 or 3");
    }
  }

  void read_value() {
    const std::string_view key = take_string();
    if (key.empty() || key.size() > kLongestKey) refuse("a key of ", key.size(), " bytes");
    GgufValue value;
    value.type = static_cast<GgufValueType>(take<uint32_t>());
    const std::string shown_key = in_quotes(key);
    if (value.type == GgufValueType::kString) {
      value.text = take_string();
    } else if (value.type == GgufValueType::kArray) {
      read_array(shown_key, value);
    } else {
      read_number(take_bytes(number_bytes(shown_key, value.type)), value);
    }
    if (!header_.values.emplace(key, value).second) refuse("key ", shown_key, ": is there twice");
  }

  uint64_t number_bytes(const std::string& key, GgufValueType type) const {
    const uint64_t size = size_of(type);
    if (size == 0) refuse("key ", key, ": is of type ", static_cast<uint32_t>(type));
    return size;
  }

  void read_array(const std::string& key, GgufValue& value) {
    value.element = static_cast<GgufValueType>(take<uint32_t>());
    value.count = take<uint64_t>();
    const uint64_t begin = at_;
    if (value.element == GgufValueType::kString) {
      for (uint64_t i = 0; i < value.count; ++i) take_string();
    } else {
      uint64_t size = 0;
      if (__builtin_mul_overflow(value.count, number_bytes(key, value.element), &size)) {
        refuse("key ", key, ": an array of ", value.count, " elements");
      }
      take_bytes(size);
    }
    value.elements = bytes_.substr(begin, at_ - begin);
  }

  void read_tensor() {
    GgufTensor tensor;
    const std::string_view name = take_string();
    const std::string shown_name = in_quotes(name);
    if (name.empty() || name.size() > kLongestGgufName) {
      refuse("tensor ", shown_name, ": a name of ", name.size(), " bytes, the most is ",
             kLongestGgufName);
    }
    tensor.name = name;
    const auto dimensions = take<uint32_t>();
    if (dimensions > kMostDimensions) {
      refuse("tensor ", shown_name, ": has ", dimensions, " dimensions, the most is ",
             kMostDimensions);
    }
    uint64_t elements = 1, row = 1;
    std::vector<uint64_t> extents;
    for (uint32_t i = 0; i < dimensions; ++i) {
      extents.push_back(take<uint64_t>());
      if (i == 0) row = extents.front();
      if (extents.back() == 0 || __builtin_mul_overflow(elements, extents.back(), &elements) ||
          elements > kMostElements) {
        refuse("tensor ", shown_name, ": an extent of ", extents.back());
      }
    }
    for (size_t i = extents.size(); i-- > 0;) {
      tensor.shape.append(static_cast<int64_t>(extents[i]));
    }
    tensor.type = read_type(shown_name, take<uint32_t>());
    const uint64_t block = block_elements(tensor.type);
    if (row % block != 0) {
      refuse("tensor ", shown_name, ": ", name_of(tensor.type), " rows of ", row,
             " elements, which is no multiple of ", block);
    }
    tensor.begin = take<uint64_t>();  // within the data, for now
    tensor.end = elements / block * block_bytes(tensor.type);
    header_.tensors.push_back(std::move(tensor));
  }

  GgufTensorType read_type(const std::string& tensor, uint32_t stored) const {
    for (const auto type :
         {GgufTensorType::kF32, GgufTensorType::kF16, GgufTensorType::kQ8, GgufTensorType::kBF16}) {
      if (static_cast<uint32_t>(type) == stored) return type;
    }
    refuse("tensor ", tensor, ": is of ggml type ", stored,
           ", expected F32 (0), F16 (1), Q8_0 (8) or BF16 (30)");
  }

  uint64_t alignment() const {
    const auto found = header_.values.find(kAlignmentKey);
    if (found == header_.values.end()) return kGgufAlignment;
    const int64_t value = found->second.integer;
    const bool fits = found->second.type == GgufValueType::kU32 && value >= 8 &&
                      value <= (int64_t{1} << 20) &&
                      std::has_single_bit(static_cast<uint64_t>(value));
    if (!fits) refuse("key ", in_quotes(kAlignmentKey), ": is ", found->second.shown());
    return static_cast<uint64_t>(value);
  }

  void place_tensors() {
    const uint64_t unit = alignment();
    const uint64_t data = (at_ + unit - 1) / unit * unit;
    std::set<std::string_view> names;
    std::vector<const GgufTensor*> order;
    for (GgufTensor& tensor : header_.tensors) {
      const std::string shown_name = in_quotes(tensor.name);
      if (!names.insert(tensor.name).second) refuse("tensor ", shown_name, ": is there twice");
      const uint64_t room = file_bytes_ > data ? file_bytes_ - data : 0;
      if (tensor.begin % unit != 0) {
        refuse("tensor ", shown_name, ": begins at ", tensor.begin, ", no multiple of ", unit);
      }
      if (tensor.begin > room || tensor.end > room - tensor.begin) {
        refuse("tensor ", shown_name, ": ", tensor.end, " bytes from byte ", tensor.begin,
               " on, the data has ", room, " (truncated?)");
      }
      tensor.begin += data;
      tensor.end += tensor.begin;
      order.push_back(&tensor);
    }
    std::sort(order.begin(), order.end(),
              [](const auto* a, const auto* b) { return a->begin < b->begin; });
    for (size_t i = 1; i < order.size(); ++i) {
      if (order[i]->begin < order[i - 1]->end) {
        refuse("tensors ", in_quotes(order[i - 1]->name), " and ", in_quotes(order[i]->name),
               ": overlap");
      }
    }
  }

  std::string_view bytes_;
  uint64_t file_bytes_;
  const std::string& name_;
  uint64_t at_ = 0;
  GgufHeader header_;
};

}  // namespace

const char* name_of(GgufTensorType type) {
  switch (type) {
    case GgufTensorType::kF32:
      return "F32";
    case GgufTensorType::kF16:
      return "F16";
    case GgufTensorType::kQ8:
      return "Q8_0";
    case GgufTensorType::kBF16:
      return "BF16";
  }
  return "";
}

uint64_t block_elements(GgufTensorType type) {
  return type == GgufTensorType::kQ8 ? static_cast<uint64_t>(kQ8Elements) : 1;
}

uint64_t block_bytes(GgufTensorType type) {
  switch (type) {
    case GgufTensorType::kF32:
      return 4;
    case GgufTensorType::kQ8:
      return static_cast<uint64_t>(kQ8Bytes);
    default:
      return 2;
  }
}

std::string GgufValue::shown() const {
  if (type == GgufValueType::kString) return in_quotes(text);
  if (type == GgufValueType::kArray) return message("(", count, " elements)");
  if (type == GgufValueType::kBool) return integer != 0 ? "true" : "false";
  if (type == GgufValueType::kF32 || type == GgufValueType::kF64) return message(number);
  return message(integer);
}

GgufHeader parse_gguf_header(const core::ByteSource& file, const std::string& name) {
  // Nothing says how long the header is: mostly the vocabulary, some MiB.
  for (int64_t most = kFirstBytes; most <= kLongestHeader; most *= 4) {
    auto bytes = std::make_unique<const std::string>(file.text(0, std::min(most, file.size())));
    try {
      GgufHeader header = GgufReader(*bytes, static_cast<uint64_t>(file.size()), name).read();
      header.bytes = std::move(bytes);
      return header;
    } catch (const NeedsMore&) {
    }
  }
  throw core::InputError(message(name, ": its header has more than ", kLongestHeader, " bytes"));
}

std::vector<std::string_view> strings_of(const GgufValue& array) {
  std::vector<std::string_view> strings;
  std::string_view rest = array.elements;
  while (!rest.empty()) {  // lengths have been checked
    const auto size = number_at<uint64_t>(rest, 0);
    strings.push_back(rest.substr(8, size));
    rest.remove_prefix(8 + size);
  }
  return strings;
}

}  // namespace longhaul::model

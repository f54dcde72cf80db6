#include "model/checkpoint/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/number_bytes.h"

namespace longhaul::model {

namespace {

using core::message;
using nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kLongestHeader = 100'000'000;  // as the reference implementation
constexpr uint64_t kMostBytes = uint64_t{1} << 62;
constexpr size_t kMostProblems = 20;
constexpr std::array<std::pair<const char*, StoredType>, 6> kTypes = {{{"F64", StoredType::kF64},
                                                                       {"F32", StoredType::kF32},
                                                                       {"F16", StoredType::kF16},
                                                                       {"BF16", StoredType::kBF16},
                                                                       {"I64", StoredType::kI64},
                                                                       {"I32", StoredType::kI32}}};

/// Problems of one file. A hostile header has a million: the first few are told.
class Report {
 public:
  explicit Report(const std::string& file) : file_(file) {}

  template <class... Parts>
  void tensor(const std::string& name, const Parts&... parts) {
    add(message(file_, ": tensor ", in_quotes(name), ": ", parts...));
  }
  template <class... Parts>
  void file(const Parts&... parts) {
    add(message(file_, ": ", parts...));
  }
  bool empty() const { return problems_.empty(); }
  void throw_if_any() {
    if (problems_.empty()) return;
    if (left_out_ > 0) problems_.push_back(message(file_, ": and ", left_out_, " more problems"));
    throw core::InputError(problems_);
  }

 private:
  void add(std::string problem) {
    if (problems_.size() < kMostProblems) {
      problems_.push_back(std::move(problem));
    } else {
      ++left_out_;
    }
  }

  const std::string& file_;
  std::vector<std::string> problems_;
  size_t left_out_ = 0;
};

/// The JSON text.
std::string header_text(const core::ByteSource& file, const std::string& name) {
  const auto size = static_cast<uint64_t>(file.size());
  if (size < kLengthBytes) {
    throw core::InputError(message(name, ": not a safetensors file: ", size,
                                   " bytes, expected at least ", kLengthBytes));
  }
  const auto length = number_at<uint64_t>(file.text(0, kLengthBytes), 0);
  if (length > kLongestHeader) {
    throw core::InputError(message(name, ": not a safetensors file: header of ", length,
                                   " bytes, the most is ", kLongestHeader));
  }
  if (length > size - kLengthBytes) {
    throw core::InputError(message(name, ": truncated: the header takes ", length,
                                   " bytes, the file has ", size - kLengthBytes));
  }
  std::string text = file.text(kLengthBytes, static_cast<int64_t>(length));
  if (!text.starts_with('{')) {
    throw core::InputError(message(name, ": not a safetensors file: the header is no JSON object"));
  }
  return text;
}

std::optional<uint64_t> natural(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

std::optional<StoredType> read_type(const std::string& name, const json& entry, Report& report) {
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) {
    report.tensor(name, "dtype: expected a string, is ",
                  dtype == entry.end() ? "absent" : shown(*dtype));
    return std::nullopt;
  }
  const auto& spelled = dtype->get_ref<const std::string&>();
  for (const auto& [spelling, type] : kTypes) {
    if (spelled == spelling) return type;
  }
  report.tensor(name, "dtype: ", in_quotes(spelled),
                " cannot be read, expected F64, F32, F16, BF16, I64 or I32");
  return std::nullopt;
}

std::optional<core::Shape> read_shape(const std::string& name, const json& entry, Report& report) {
  const auto found = entry.find("shape");
  if (found == entry.end() || !found->is_array()) {
    report.tensor(name, "shape: expected a list of extents, is ",
                  found == entry.end() ? "absent" : shown(*found));
    return std::nullopt;
  }
  if (found->size() > core::Shape::kMaxRank) {
    report.tensor(name, "shape: ", found->size(), " dimensions, the most is ",
                  core::Shape::kMaxRank);
    return std::nullopt;
  }
  core::Shape shape;
  uint64_t elements = 1;  // zeros left out, so that no order of multiplication overflows
  for (const json& item : *found) {
    const auto extent = natural(item);
    if (!extent || __builtin_mul_overflow(elements, std::max<uint64_t>(*extent, 1), &elements) ||
        elements > kMostBytes) {
      report.tensor(name, "shape: ", shown(*found), extent ? " is too large" : " is no shape");
      return std::nullopt;
    }
    shape.append(static_cast<int64_t>(*extent));
  }
  return shape;
}

bool read_offsets(const json& entry, StoredTensor& tensor, Report& report) {
  const auto found = entry.find("data_offsets");
  std::optional<uint64_t> begin, end;
  if (found != entry.end() && found->is_array() && found->size() == 2) {
    begin = natural((*found)[0]);
    end = natural((*found)[1]);
  }
  if (!begin || !end || *begin > *end) {
    report.tensor(tensor.name, "data_offsets: expected [begin, end] with begin ≤ end, is ",
                  found == entry.end() ? "absent" : shown(*found));
    return false;
  }
  tensor.begin = *begin;
  tensor.end = *end;
  return true;
}

void read_tensor(const std::string& name, const json& entry, SafetensorsHeader& header,
                 Report& report) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (name.empty() || std::any_of(name.begin(), name.end(), is_control)) {
    report.tensor(name, "the name is empty or has control characters");
    return;
  }
  if (!entry.is_object()) {
    report.tensor(name, "expected an object, is ", shown(entry));
    return;
  }
  StoredTensor tensor{.name = name, .type = {}, .shape = {}, .begin = 0, .end = 0};
  const auto type = read_type(name, entry, report);
  const auto shape = read_shape(name, entry, report);
  if (!read_offsets(entry, tensor, report) || !type || !shape) return;
  tensor.type = *type;
  tensor.shape = *shape;
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<uint64_t>(shape->elements()), size_of(*type), &bytes) ||
      bytes != tensor.end - tensor.begin) {
    report.tensor(name, "data_offsets: ", tensor.end - tensor.begin, " bytes, but ", name_of(*type),
                  " ", *shape, " takes ", bytes);
    return;
  }
  header.tensors.push_back(std::move(tensor));
}

void read_metadata(const json& entry, SafetensorsHeader& header, Report& report) {
  if (!entry.is_object()) {
    report.file("__metadata__: expected an object of strings, is ", shown(entry));
    return;
  }
  for (const auto& [key, value] : entry.items()) {
    if (value.is_string()) {
      header.metadata[key] = value.get<std::string>();
    } else {
      report.file("__metadata__: ", in_quotes(key), ": expected a string, is ", shown(value));
    }
  }
}

/// The tensors tile the data section: each begins where the one before ends, the last ends the
/// file.
void check_tiling(SafetensorsHeader& header, uint64_t data_bytes, Report& report) {
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const StoredTensor& a, const StoredTensor& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  uint64_t next = 0;
  for (const StoredTensor& tensor : header.tensors) {
    if (tensor.begin != next) {
      report.tensor(tensor.name, "data_offsets: begins at ", tensor.begin, ", which leaves ",
                    tensor.begin > next ? "a hole after " : "an overlap before ", next);
    }
    if (tensor.end > data_bytes) {
      report.tensor(tensor.name, "data_offsets: ends at ", tensor.end, ", the data has ",
                    data_bytes, " bytes (truncated?)");
    }
    next = tensor.end;
  }
  if (next < data_bytes && report.empty()) {
    report.file(data_bytes - next, " bytes after the last tensor belong to none");
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(const core::ByteSource& file, const std::string& name) {
  const std::string text = header_text(file, name);
  const json root = parse_json(text, name);
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + text.size();
  Report report(name);
  for (const auto& [key, entry] : root.items()) {
    if (key == "__metadata__") {
      read_metadata(entry, header, report);
    } else {
      read_tensor(key, entry, header, report);
    }
  }
  report.throw_if_any();
  check_tiling(header, static_cast<uint64_t>(file.size()) - header.data_begin, report);
  report.throw_if_any();
  return header;
}

uint64_t size_of(StoredType type) {
  switch (type) {
    case StoredType::kF64:
    case StoredType::kI64:
      return 8;
    case StoredType::kF32:
    case StoredType::kI32:
      return 4;
    default:
      return 2;
  }
}

const char* name_of(StoredType type) {
  for (const auto& [spelling, listed] : kTypes) {
    if (listed == type) return spelling;
  }
  return "";
}

}  // namespace longhaul::model

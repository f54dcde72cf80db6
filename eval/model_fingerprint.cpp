#include "eval/model_fingerprint.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/tensor.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::eval {

namespace {

/// A configuration's visitor: all fields as text. Fingerprints of Mamba-2 are as they were when it
/// was the only architecture.
struct FieldText {
  bool is_mamba2 = false;
  std::string text;
  template <class T, class... More>
  void field(const char* name, const T& value, More&&...) {
    const std::string_view field_name = name;
    if (is_mamba2 && (field_name == "architecture" || field_name == "dt_rank")) return;
    if constexpr (std::is_enum_v<T>) {
      text += core::message(name, "=", enum_names(value)[static_cast<size_t>(value)], " ");
    } else {
      text += core::message(name, "=", value, " ");
    }
  }
};

std::string fields_of(model::ModelConfig config) {
  FieldText fields{.is_mamba2 = config.architecture == model::Architecture::kMamba2, .text = {}};
  config.visit(fields);
  return fields.text;
}

class Checksum {
 public:
  void add(std::string_view bytes) {
    crc_ = ::crc32_z(crc_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  }
  /// A contiguous tensor on any device.
  void add(core::Context& context, const core::TensorView& tensor) {
    constexpr int64_t kElements = 4 << 20;  // copied to the host at a time
    const core::TensorView values = tensor.reshape({tensor.elements()});
    const int64_t unit = core::size_of(values.dtype());
    std::vector<char> host(static_cast<size_t>(std::min(kElements, values.elements()) * unit));
    for (int64_t begin = 0; begin < values.elements(); begin += kElements) {
      const int64_t end = std::min(begin + kElements, values.elements());
      core::copy(context, values.slice(0, begin, end),
                 core::TensorView(host.data(), values.dtype(), {end - begin}));
      add({host.data(), static_cast<size_t>((end - begin) * unit)});
    }
  }
  std::string text() const {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%08lx", crc_);
    return digits;
  }

 private:
  uLong crc_ = ::crc32(0, nullptr, 0);
};

}  // namespace

std::string model_fingerprint(const model::LanguageModel& model) {
  Checksum sum;
  sum.add(fields_of(model.config()));
  sum.add(model.context(), model.parameters().values());
  return core::message(sum.text(), " of ", model.parameters().count(), " parameters");
}

std::string model_fingerprint(const model::StoredModel& stored, model::StoredType type) {
  Checksum sum;
  sum.add(fields_of(stored.config));
  int64_t count = 0;
  for (const model::TensorStream& tensor : stored.tensors) {
    model::for_each_piece(model::converted(tensor, type), [&](const void* bytes, size_t size) {
      sum.add({static_cast<const char*>(bytes), size});
    });
    // The gap that model::ParameterSet leaves.
    const int64_t elements = tensor.shape.elements();
    const int64_t gap = model::flat_elements({{.name = "", .shape = tensor.shape}}) - elements;
    sum.add(std::string(static_cast<size_t>(gap) * model::size_of(type), '\0'));
    count += elements;
  }
  return core::message(sum.text(), " of ", count, " parameters");
}

std::string state_fingerprint(core::Context& context, const model::RecurrentState& state) {
  Checksum sum;
  for (const core::Tensor& tensor : state) sum.add(context, tensor);
  return sum.text();
}

}  // namespace longhaul::eval

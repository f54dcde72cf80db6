#include "eval/model_fingerprint.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/tensor.h"

namespace longhaul::eval {

namespace {

/// A configuration's visitor: all fields as text.
struct FieldText {
  std::string text;
  template <class T, class... More>
  void field(const char* name, const T& value, More&&...) {
    text += core::message(name, "=", value, " ");
  }
};

}  // namespace

std::string model_fingerprint(const model::LanguageModel& model) {
  model::ModelConfig config = model.config();
  FieldText fields;
  config.visit(fields);
  uLong crc = ::crc32(0, nullptr, 0);
  const auto add = [&crc](const void* bytes, size_t count) {
    crc = ::crc32_z(crc, static_cast<const Bytef*>(bytes), count);
  };
  add(fields.text.data(), fields.text.size());
  constexpr int64_t kElements = 4 << 20;  // copied to the host at a time
  const core::TensorView values = model.parameters().values();
  std::vector<char> host(static_cast<size_t>(kElements * core::size_of(values.dtype())));
  for (int64_t begin = 0; begin < values.elements(); begin += kElements) {
    const int64_t end = std::min(begin + kElements, values.elements());
    const core::TensorView part = values.slice(0, begin, end);
    core::copy(model.context(), part, core::TensorView(host.data(), values.dtype(), {end - begin}));
    add(host.data(), static_cast<size_t>(part.bytes()));
  }
  char text[32];
  std::snprintf(text, sizeof text, "%08lx of %lld parameters", crc,
                static_cast<long long>(model.parameters().count()));
  return text;
}

}  // namespace longhaul::eval

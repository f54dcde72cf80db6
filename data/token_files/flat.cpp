#include "data/token_files/layout.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr int64_t kHeaderBytes = 1024;
constexpr int32_t kGpt2Magic = 20240520, kGpt2Version = 1;      // u16
constexpr int32_t kLlama3Magic = 20240801, kLlama3Version = 7;  // u32

[[noreturn]] void refuse(const std::string& name, const auto&... what) {
  throw core::InputError(core::message(name, ": ", what...));
}
}  // namespace

int64_t bytes_of(Element element) {
  switch (element) {
    case Element::kU8:
    case Element::kI8:
      return 1;
    case Element::kU16:
    case Element::kI16:
      return 2;
    case Element::kU32:
    case Element::kI32:
      return 4;
    case Element::kU64:
    case Element::kI64:
      return 8;
  }
  return 0;
}

bool is_llm_c(const ByteSource& file) {
  if (file.size() < int64_t{sizeof(int32_t)}) return false;
  const auto magic = value_at<int32_t>(file, 0);
  return magic == kGpt2Magic || magic == kLlama3Magic;
}

TokenLayout read_llm_c(const ByteSource& file, const std::string& name) {
  const int64_t size = file.size();
  if (size < kHeaderBytes)
    refuse(name, "has ", size, " bytes, expected at least the header of ", kHeaderBytes);
  const auto magic = value_at<int32_t>(file, 0);
  const auto version = value_at<int32_t>(file, 4), tokens = value_at<int32_t>(file, 8);
  const int32_t known = magic == kGpt2Magic ? kGpt2Version : kLlama3Version;
  if (version != known)
    refuse(name, "llm.c header: version is ", version, ", expected ", known,
           " for the magic number ", magic);
  TokenLayout layout{.format = "llm.c",
                     .element = magic == kGpt2Magic ? Element::kU16 : Element::kU32,
                     .offset = kHeaderBytes,
                     .tokens = tokens};
  const int64_t expected = kHeaderBytes + tokens * bytes_of(layout.element);
  if (tokens < 0 || size != expected)
    refuse(name, "has ", size, " bytes, expected ", expected, " (", tokens, " tokens of ",
           bytes_of(layout.element), " bytes in its llm.c header)");
  return layout;
}

TokenLayout flat_layout(int64_t bytes, Element element, const std::string& name) {
  if (bytes % bytes_of(element) != 0)
    refuse(name, "has ", bytes, " bytes, expected a multiple of ", bytes_of(element));
  return {.format = "flat", .element = element, .tokens = bytes / bytes_of(element)};
}

}  // namespace longhaul::data

#include "data/text_kind.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
using std::string_view_literals::operator""sv;

constexpr size_t kProbedBytes = size_t{64} << 10;

struct Signature {
  std::string_view bytes;
  const char* what;
};
constexpr std::array kSignatures = {
    Signature{"\x1f\x8b"sv, "gzip data"},
    Signature{"\x28\xb5\x2f\xfd"sv, "zstd data"},
    Signature{"\xfd"
              "7zXZ\0"sv,
              "xz data"},
    Signature{"BZh"sv, "bzip2 data"},
    Signature{"\x04\x22\x4d\x18"sv, "lz4 data"},
    Signature{"7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive"},
    Signature{"PK\x03\x04"sv, "a ZIP archive"},
    Signature{"PAR1"sv, "a Parquet file"},
    Signature{"%PDF-"sv, "a PDF"},
    Signature{"\xff\xfe"sv, "UTF-16 text"},
    Signature{"\xfe\xff"sv, "UTF-16 text"},
};
constexpr std::string_view kBzip2Block = "\x31\x41\x59\x26\x53\x59";  // follows BZh and a digit

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool begins_with(std::string_view beginning, const Signature& signature) {
  if (!beginning.starts_with(signature.bytes)) return false;
  // A text may begin so too.
  const bool is_word = signature.bytes == "BZh"sv;
  return !is_word || (beginning.size() > 4 && beginning.substr(4).starts_with(kBzip2Block));
}
}  // namespace

bool holds_records(const std::filesystem::path& file) {
  const std::string name = lower(uncompressed_name(file));
  return name.ends_with(".jsonl") || name.ends_with(".ndjson");
}

bool is_json_document(const std::filesystem::path& file, std::string_view beginning) {
  const size_t first = beginning.find_first_not_of(" \t\r\n");
  return lower(uncompressed_name(file)).ends_with(".json") && first != std::string_view::npos &&
         (beginning[first] == '[' || beginning[first] == '{');
}

std::string problem_of_text(std::string_view beginning) {
  for (const Signature& signature : kSignatures)
    if (begins_with(beginning, signature)) return signature.what;
  return beginning.find('\0') == std::string_view::npos ? "" : "binary, with NUL bytes";
}

void expect_text(const std::filesystem::path& file, std::string_view beginning) {
  const std::string problem = problem_of_text(beginning);
  if (problem.empty()) return;
  throw core::InputError(core::message(
      file.string(), ": is ", problem,
      ", expected text in UTF-8 or records of JSON (by name .jsonl or .ndjson), as they are or "
      "compressed (by name .gz or .zst); --any-bytes takes files as they are"));
}

BegunText::BegunText(const std::filesystem::path& file)
    : rest_(open_text(file)), beginning_(kProbedBytes) {
  beginning_.resize(rest_->read(beginning_));
}

size_t BegunText::read(std::span<char> out) {
  const size_t known = std::min(out.size(), beginning_.size() - given_);
  std::copy_n(beginning_.begin() + static_cast<std::ptrdiff_t>(given_), known, out.begin());
  given_ += known;
  return known + rest_->read(out.subspan(known));
}

}  // namespace longhaul::data

#include "data/held_out.h"

#include <algorithm>
#include <cmath>

#include "data/file_io.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::data {

namespace {
constexpr size_t kKeyBytes = size_t{64} << 10;
constexpr double kKeys = 4294967296.0;  // 2³²

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
}  // namespace

const char* const kRuleOfContent =
    "held out: CRC-32 of the document's first 65536 bytes of text, divided by 2^32, is below share";
const char* const kRuleOfEnd = "held out: the end of the file that is the only document";

uint32_t document_key(std::string_view text) { return crc32(text.substr(0, kKeyBytes)); }

bool is_held_out(uint32_t key, double share) { return static_cast<double>(key) / kKeys < share; }

double share_at(uint32_t key, bool least) {
  const double exact = (static_cast<double>(key) + (least ? 1 : 0)) / kKeys;
  if (exact == 0) return 0;
  const double unit = std::pow(10.0, std::floor(std::log10(exact)) - 1);
  const double digits = exact / unit;
  return (least ? std::ceil(digits) : std::floor(digits)) * unit;
}

int64_t begin_of_end(const std::filesystem::path& file, int64_t bytes, double share) {
  const auto held_out = static_cast<int64_t>(static_cast<double>(bytes) * share);
  const core::RandomAccessFile opened(file);
  const int64_t begin = std::min(opened.size(), std::max<int64_t>(0, bytes - held_out));
  if (begin > 0 && opened.text(begin - 1, 1) == "\n") return begin;
  const int64_t rest = opened.size() - begin;
  const std::string next = opened.text(begin, std::min(std::max<int64_t>(kKeyBytes, 3), rest));
  const size_t line = std::string_view(next).substr(0, static_cast<size_t>(rest / 8)).find('\n');
  if (line != std::string_view::npos) return begin + static_cast<int64_t>(line) + 1;
  size_t character = 0;
  while (character < next.size() && character < 3 && continues_character(next[character]))
    ++character;
  return begin + static_cast<int64_t>(character);
}

std::filesystem::path held_out_beside(const std::filesystem::path& folder) {
  const auto whole = folder.lexically_normal();
  auto beside = whole.has_filename() ? whole : whole.parent_path();
  return beside += "_held_out";
}

}  // namespace longhaul::data

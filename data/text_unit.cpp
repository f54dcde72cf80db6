#include "data/text_unit.h"

#include <string_view>

#include "data/held_out.h"
#include "data/jsonl.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
void append(const std::vector<int32_t>& some, std::vector<int32_t>& tokens) {
  tokens.insert(tokens.end(), some.begin(), some.end());
}

/// The text of a record in `document`; false if it is left out.
bool take_record(const UnitEncoding& encoding, TextUnit& unit, int64_t line,
                 std::string_view record, std::string& document) {
  const std::string problem = read_record(record, encoding.text_key, document);
  if (problem.empty()) return true;
  const std::string place = core::message(unit.file, ":", line);
  std::string mended;
  if (mend_record(record, mended) && read_record(mended, encoding.text_key, document).empty()) {
    unit.mended.add({.count = 1, .first = place});
    return true;
  }
  if (!encoding.skip_bad_records) throw core::InputError(place + ": " + problem);
  unit.bad.add({.count = 1, .first = place + ": " + problem});
  return false;
}
}  // namespace

void encode_unit(const UnitEncoding& encoding, TextUnit& unit) {
  std::string document;
  size_t begin = 0;
  for (const auto& entry : unit.entries) {
    std::string_view text(unit.text.data() + begin, entry.end - begin);
    begin = entry.end;
    if (unit.records) {
      if (!take_record(encoding, unit, entry.line, text, document)) continue;
      text = document;
      if (text.size() < encoding.minimum_bytes) {
        ++unit.short_documents;
        continue;
      }
    }
    if (entry.begins) append(encoding.frame.before, unit.tokens);
    encoding.tokenizer.encode(text, unit.tokens);
    if (entry.ends) append(encoding.frame.after, unit.tokens);
    unit.pieces.push_back(
        {unit.tokens.size(), entry.ends, unit.records ? document_key(text) : entry.key});
  }
}

}  // namespace longhaul::data

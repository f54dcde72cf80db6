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
}  // namespace

void encode_unit(const UnitEncoding& encoding, TextUnit& unit) {
  std::string document;
  size_t begin = 0;
  for (const auto& entry : unit.entries) {
    std::string_view text(unit.text.data() + begin, entry.end - begin);
    begin = entry.end;
    if (unit.records) {
      const std::string problem = read_record(text, encoding.text_key, document);
      if (!problem.empty())
        throw core::InputError(core::message(unit.file, ":", entry.line, ": ", problem));
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

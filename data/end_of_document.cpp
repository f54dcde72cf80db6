#include "data/end_of_document.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "data/json_part.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// eos_token: a text, or an object whose content is one; "" if there is none.
std::string token_of_config(const fs::path& file) {
  if (!fs::is_regular_file(file)) return "";
  const JsonFile json(file);
  const JsonPart token = json.root()["eos_token"];
  if (token.is_null()) return "";
  return token.is_object() ? token["content"].text() : token.text();
}
}  // namespace

int32_t choose_end_of_document(const EndOfDocumentChoice& choice) {
  if (!choice.asked.empty()) {
    if (const auto token = choice.find(choice.asked)) return *token;
    if (is_number(choice.asked) && std::stoll(choice.asked) < choice.vocabulary)
      return static_cast<int32_t>(std::stoll(choice.asked));
    throw core::InputError(core::message("end of document: is \"", choice.asked,
                                         "\", expected a token of ", choice.file,
                                         " or a number less than ", choice.vocabulary));
  }
  const fs::path config = fs::path(choice.file).parent_path() / "tokenizer_config.json";
  const std::string named = token_of_config(config);
  if (!named.empty()) {
    if (const auto token = choice.find(named)) return *token;
    throw core::InputError(core::message(config.string(), ": eos_token: is \"", named,
                                         "\", which is no token of ", choice.file));
  }
  std::vector<int32_t> known;
  for (const char* text : {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"})
    if (const auto token = choice.find(text)) known.push_back(*token);
  if (known.size() == 1) return known[0];
  throw core::InputError(core::message(
      choice.file, ": has ", known.empty() ? "none" : "several",
      " of the usual tokens that end a document, and no tokenizer_config.json beside it names one; "
      "expected the option --end-of-document TOKEN"));
}

}  // namespace longhaul::data

#include "data/bpe/description.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "data/bpe/split_json.h"
#include "data/json_part.h"

namespace longhaul::data {

namespace {
void read_vocabulary(const JsonPart& part, BpeDescription& out) {
  std::vector<const std::string*> owner;
  part.each_member([&](const std::string& spelling, const JsonPart& member) {
    const int32_t token = member.token();
    owner.resize(std::max(owner.size(), static_cast<size_t>(token) + 1));
    auto& taken = owner[static_cast<size_t>(token)];
    if (taken != nullptr)
      part.refuse("\"", spelling, "\" and \"", *taken, "\" have the same number ", token);
    taken = &spelling;
    out.vocabulary.emplace_back(spelling, token);
  });
  if (out.vocabulary.empty()) part.refuse("is empty, expected tokens");
}

/// "left right", or ["left", "right"].
std::pair<std::string, std::string> read_merge(const JsonPart& part) {
  if (part.is_array()) {
    if (part.size() != 2) part.refuse("has ", part.size(), " texts, expected 2");
    return {part[size_t{0}].text(), part[size_t{1}].text()};
  }
  const std::string& text = part.text();
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
    part.refuse("is ", part.shown(), ", expected two tokens with a space between");
  return {text.substr(0, space), text.substr(space + 1)};
}

void read_model(const JsonPart& model, BpeDescription& out) {
  // Files from before version 0.9 of the library leave the type out.
  const std::string type = model["type"].is_null() ? "BPE" : model["type"].text();
  if (type != "BPE")
    model["type"].refuse("is \"", type, "\", which is not supported; expected BPE");
  model.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                    "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                    "merges"});
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix", "dropout"})
    model[key].require_unused();
  if (model["byte_fallback"].flag_or(false))
    model["byte_fallback"].refuse(
        "is true: a BPE of characters, which is not supported; expected byte-level BPE, or the "
        "tokenizer.model of the same tokenizer");
  // unk_token and fuse_unk are for what has no token: here every byte must have one.
  out.ignore_merges = model["ignore_merges"].flag_or(false);
  read_vocabulary(model["vocab"], out);
  const JsonPart merges = model["merges"];
  for (size_t i = 0; i < merges.size(); ++i) {
    if (merges[i].is_text() && merges[i].text().starts_with("#version")) continue;
    out.merges.push_back(read_merge(merges[i]));
  }
}

void read_normalizer(const JsonPart& part, BpeDescription& out) {
  if (part.is_null()) return;
  const std::string& type = part["type"].text();
  if (type == "NFC") {
    part.allow_only({"type"});
    out.nfc = true;
  } else if (type == "Sequence") {
    part.allow_only({"type", "normalizers"});
    for (size_t i = 0; i < part["normalizers"].size(); ++i)
      read_normalizer(part["normalizers"][i], out);
  } else {
    part["type"].refuse("is \"", type, "\", which is not supported; expected NFC or Sequence");
  }
}

void read_decoder(const JsonPart& part) {
  const std::string& type = part["type"].text();
  if (type == "Sequence") {
    part.allow_only({"type", "decoders"});
    if (part["decoders"].size() != 1)
      part["decoders"].refuse("has ", part["decoders"].size(), " entries, expected one, ByteLevel");
    return read_decoder(part["decoders"][size_t{0}]);
  }
  part.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (type != "ByteLevel")
    part["type"].refuse("is \"", type, "\", which is not supported; expected ByteLevel");
}

void read_added_tokens(const JsonPart& part, BpeDescription& out) {
  if (part.is_null()) return;
  for (size_t i = 0; i < part.size(); ++i) {
    const JsonPart token = part[i];
    token.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    const bool special = token["special"].flag_or(false);
    out.added.push_back({.content = token["content"].text(),
                         .id = token["id"].token(),
                         .single_word = token["single_word"].flag_or(false),
                         .lstrip = token["lstrip"].flag_or(false),
                         .rstrip = token["rstrip"].flag_or(false),
                         .normalized = token["normalized"].flag_or(!special),
                         .special = special});
    if (out.added.back().content.empty()) token["content"].refuse("is empty");
  }
}

/// The library numbers added tokens itself, whatever the file says: what is in the vocabulary keeps
/// its number, others follow. A file that says otherwise means different things to different
/// readers.
void check_added_numbers(const JsonPart& part, const BpeDescription& description) {
  std::vector<std::pair<std::string_view, int32_t>> known;
  for (const auto& [spelling, id] : description.vocabulary) known.emplace_back(spelling, id);
  std::sort(known.begin(), known.end());
  auto next = static_cast<int32_t>(known.size());
  std::unordered_set<std::string_view> added;
  for (size_t i = 0; i < description.added.size(); ++i) {
    const AddedToken& token = description.added[i];
    const auto found = std::lower_bound(known.begin(), known.end(),
                                        std::pair<std::string_view, int32_t>(token.content, 0));
    const bool in_vocabulary = found != known.end() && found->first == token.content;
    if (!added.insert(token.content).second)
      part[i]["content"].refuse("\"", token.content, "\" is given twice");
    const int32_t expected = in_vocabulary ? found->second : next;
    if (token.id != expected)
      part[i]["id"].refuse("is ", token.id, " for \"", token.content, "\", expected ", expected,
                           in_vocabulary ? " as in model.vocab" : " (the numbers go on)");
    next = std::max(next, token.id + 1);
  }
}

int32_t added_number(const JsonPart& part, const BpeDescription& description) {
  for (const auto& token : description.added)
    if (token.content == part.text()) return token.id;
  part.refuse("is ", part.shown(), ", which is no added token");
}

void read_post_processor(const JsonPart& part, BpeDescription& out) {
  if (part.is_null()) return;
  const std::string& type = part["type"].text();
  if (type == "Sequence") {
    part.allow_only({"type", "processors"});
    for (size_t i = 0; i < part["processors"].size(); ++i)
      read_post_processor(part["processors"][i], out);
    return;
  }
  if (type == "ByteLevel") return;  // of offsets, which nobody here looks at
  if (type != "TemplateProcessing")
    part["type"].refuse("is \"", type,
                        "\", which is not supported; expected ByteLevel, TemplateProcessing or "
                        "Sequence");
  part.allow_only({"type", "single", "pair", "special_tokens"});
  bool inside = false;
  for (size_t i = 0; i < part["single"].size(); ++i) {
    const JsonPart piece = part["single"][i];
    piece.allow_only({"SpecialToken", "Sequence"});
    if (piece.has("Sequence")) {
      if (inside) piece.refuse("is a second text, expected one");
      inside = true;
      continue;
    }
    const int32_t id = added_number(piece["SpecialToken"]["id"], out);
    (inside ? out.frame.after : out.frame.before).push_back(id);
  }
}
}  // namespace

BpeDescription read_tokenizer_json(const std::filesystem::path& file) {
  const JsonFile json(file);
  const JsonPart root = json.root();
  root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer",
                   "pre_tokenizer", "post_processor", "decoder", "model"});
  for (const char* key : {"truncation", "padding"}) root[key].require_unused();
  BpeDescription description;
  read_model(root["model"], description);
  read_normalizer(root["normalizer"], description);
  description.steps = read_split_steps(root["pre_tokenizer"]);
  read_decoder(root["decoder"]);
  read_added_tokens(root["added_tokens"], description);
  check_added_numbers(root["added_tokens"], description);
  read_post_processor(root["post_processor"], description);
  return description;
}

bool is_byte_level(const std::filesystem::path& file) try {
  const JsonFile json(file);
  const JsonPart model = json.root()["model"];
  const bool is_bpe = model["type"].is_null() || model["type"].text() == "BPE";
  return is_bpe && !model["byte_fallback"].flag_or(false);
} catch (const core::InputError&) {
  return true;
}

}  // namespace longhaul::data

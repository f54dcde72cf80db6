#include "data/bpe/byte_level_tokenizer.h"

#include <glog/logging.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "data/bpe/added_tokens.h"
#include "data/bpe/byte_alphabet.h"
#include "data/bpe/description.h"
#include "data/bpe/merge_table.h"
#include "data/bpe/normalizer.h"
#include "data/bpe/splitter.h"
#include "data/bpe/word_cache.h"
#include "data/end_of_document.h"
#include "data/tokenizer_files.h"
#include "data/utf8.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
using Numbers = std::unordered_map<std::string, int32_t>;

/// Bytes 0xC0, 0xC1 and 0xF5 up are in no UTF-8 text: a vocabulary may lack them.
bool occurs_in_utf8(int byte) { return byte < 0xC0 || (byte > 0xC1 && byte < 0xF5); }

std::vector<int32_t> byte_tokens(const Numbers& vocabulary, const std::string& file) {
  std::vector<int32_t> tokens(256, -1);
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelling = spell_byte(static_cast<unsigned char>(byte));
    const auto found = vocabulary.find(spelling);
    if (found != vocabulary.end()) tokens[static_cast<size_t>(byte)] = found->second;
    if (found == vocabulary.end() && occurs_in_utf8(byte))
      throw core::InputError(core::message(file, ": model.vocab: has no token \"", spelling,
                                           "\" for the byte ", byte, ", expected one for each"));
  }
  return tokens;
}

std::vector<MergeTable::Merge> numbered_merges(const BpeDescription& description,
                                               const Numbers& vocabulary, const std::string& file) {
  std::vector<MergeTable::Merge> merges;
  for (const auto& [left, right] : description.merges) {
    const auto number = [&](const std::string& token) {
      const auto found = vocabulary.find(token);
      if (found == vocabulary.end())
        throw core::InputError(core::message(file, ": model.merges[", merges.size(), "]: \"", token,
                                             "\" is no token of model.vocab"));
      return found->second;
    };
    merges.push_back({number(left), number(right), number(left + right)});
  }
  return merges;
}

/// Tokens looked for before normalization, or after; special ones first, as the library does.
std::vector<AddedToken> chosen(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> some;
  for (const bool special : {true, false})
    for (const auto& token : tokens)
      if (token.normalized == normalized && token.special == special) some.push_back(token);
  return some;
}

std::vector<std::string> contents(const std::vector<AddedToken>& tokens, const NfcNormalizer* nfc) {
  std::vector<std::string> texts;
  std::string buffer;
  for (const auto& token : tokens)
    texts.emplace_back(nfc == nullptr ? token.content : nfc->normalize(token.content, buffer));
  return texts;
}

class ByteLevelTokenizer : public Tokenizer {
 public:
  ByteLevelTokenizer(const BpeDescription& description, const std::string& file,
                     const std::string& end_of_document)
      : numbers_(description.vocabulary.begin(), description.vocabulary.end()),
        name_(name_of_tokenizer_file(file)),
        nfc_(description.nfc ? std::make_unique<NfcNormalizer>() : nullptr),
        raw_tokens_(chosen(description.added, false),
                    contents(chosen(description.added, false), nullptr)),
        normalized_tokens_(chosen(description.added, true),
                           contents(chosen(description.added, true), nfc_.get())),
        splitter_(description.steps),
        merges_(numbered_merges(description, numbers_, file), byte_tokens(numbers_, file)),
        frame_(description.frame) {
    for (const auto& [spelling, id] : description.vocabulary) set_bytes(id, spelling);
    for (const auto& token : description.added) {
      numbers_[token.content] = token.id;
      // As the library spells it: in the form in which it is looked for.
      std::string buffer;
      const bool as_normalized = nfc_ && token.normalized;
      set_bytes(token.id, std::string(as_normalized ? nfc_->normalize(token.content, buffer)
                                                    : std::string_view(token.content)));
      if (token.special) bytes_[static_cast<size_t>(token.id)].clear();
    }
    end_of_document_ = choose_end_of_document(
        {.file = file,
         .asked = end_of_document,
         .vocabulary = vocabulary(),
         .find = [this](const std::string& text) { return number_of(text); }});
    if (description.ignore_merges) keep_words(description);
    for (const auto& token : description.added) cut_after_letters_ &= allows_cuts(token);
    cut_after_letters_ &= splits_after_letters(description.steps);
  }

  std::string name() const override { return name_; }
  int64_t vocabulary() const override { return std::ssize(bytes_); }
  int32_t end_of_document() const override { return end_of_document_; }
  DocumentFrame frame() const override { return frame_; }

  void encode(std::string_view text, std::vector<int32_t>& tokens) const override {
    const Lease lease(*this);
    Work& work = *lease.work;
    raw_tokens_.cut(valid_utf8(text, work.valid), [&](std::string_view piece, int32_t token) {
      if (token >= 0) return tokens.push_back(token);
      if (nfc_) piece = nfc_->normalize(piece, work.normal);
      normalized_tokens_.cut(piece, [&](std::string_view part, int32_t added) {
        if (added >= 0) return tokens.push_back(added);
        splitter_.split(part, work.split, [&](std::string_view word) {
          work.cache.encode(word, tokens, [&](std::string_view unknown, auto& out) {
            encode_word(unknown, work.merging, out);
          });
        });
      });
    });
  }

  std::string decode(int32_t token) const override {
    CHECK(token >= 0 && token < vocabulary()) << "token " << token;
    return bytes_[static_cast<size_t>(token)];
  }

  std::string text(std::span<const int32_t> tokens) const override {
    std::string bytes, buffer;
    for (const int32_t token : tokens) bytes += decode(token);
    return std::string(valid_utf8(bytes, buffer));
  }

  std::string spelling(int32_t token) const override {
    const auto found = std::find_if(numbers_.begin(), numbers_.end(),
                                    [token](const auto& entry) { return entry.second == token; });
    return found == numbers_.end() ? "" : found->first;
  }

  size_t safe_cut(std::string_view text, size_t from) const override {
    if (!cut_after_letters_) return 0;
    for (size_t at = text.size(); at-- > std::max<size_t>(from + 1, 1);)
      if (text[at] == ' ' && is_letter(text[at - 1])) return at;
    return 0;
  }

 private:
  /// What encoding a text needs besides the tokenizer.
  struct Work {
    explicit Work(Splitter::Scratch scratch) : split(std::move(scratch)) {}
    std::string valid, normal;
    Splitter::Scratch split;
    WordCache cache;
    MergeTable::Scratch merging;
  };
  /// Takes one that nobody uses and brings it back.
  struct Lease {
    explicit Lease(const ByteLevelTokenizer& tokenizer) : owner(tokenizer) {
      const std::lock_guard lock(owner.mutex_);
      if (owner.idle_.empty()) {
        work = std::make_unique<Work>(owner.splitter_.make_scratch());
      } else {
        work = std::move(owner.idle_.back());
        owner.idle_.pop_back();
      }
    }
    ~Lease() {
      const std::lock_guard lock(owner.mutex_);
      owner.idle_.push_back(std::move(work));
    }
    const ByteLevelTokenizer& owner;
    std::unique_ptr<Work> work;
  };

  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

  /// Between a letter and a space no added token is cut, and none that touches the place looks
  /// beyond it.
  static bool allows_cuts(const AddedToken& token) {
    const std::string& text = token.content;
    for (size_t i = 1; i < text.size(); ++i)
      if (text[i] == ' ' && is_letter(text[i - 1])) return false;
    return !(token.rstrip && is_letter(text.back())) && !(token.single_word && text[0] == ' ');
  }

  void set_bytes(int32_t token, const std::string& spelling) {
    const auto place = static_cast<size_t>(token);
    if (bytes_.size() <= place) bytes_.resize(place + 1);
    bytes_[place] = bytes_of(spelling).value_or(spelling);
  }

  std::optional<int32_t> number_of(const std::string& text) const {
    const auto found = numbers_.find(text);
    return found == numbers_.end() ? std::nullopt : std::optional(found->second);
  }

  void keep_words(const BpeDescription& description) {
    for (const auto& [spelling, id] : description.vocabulary)
      if (const auto bytes = bytes_of(spelling)) words_.emplace(*bytes, id);
  }

  void encode_word(std::string_view word, MergeTable::Scratch& scratch,
                   std::vector<int32_t>& tokens) const {
    if (!words_.empty()) {
      const auto found = words_.find(std::string(word));
      if (found != words_.end()) return tokens.push_back(found->second);
    }
    merges_.encode(word, scratch, tokens);
  }

  Numbers numbers_;
  std::string name_;
  std::unique_ptr<NfcNormalizer> nfc_;
  AddedTokenFinder raw_tokens_, normalized_tokens_;
  Splitter splitter_;
  MergeTable merges_;
  DocumentFrame frame_;
  std::vector<std::string> bytes_;  // of each token, as decoded
  Numbers words_;                   // that are one token whatever the merges say
  int32_t end_of_document_ = 0;
  bool cut_after_letters_ = true;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Work>> idle_;
};
}  // namespace

std::unique_ptr<Tokenizer> make_byte_level_tokenizer(const std::filesystem::path& file,
                                                     const std::string& end_of_document) {
  return std::make_unique<ByteLevelTokenizer>(read_tokenizer_json(file), file.string(),
                                              end_of_document);
}

}  // namespace longhaul::data

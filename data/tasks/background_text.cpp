#include "data/tasks/background_text.h"

#include <algorithm>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr size_t kShortestSentence = 10;  // tokens, as in BABILong
constexpr size_t kFarthestBorder = 4096;  // a passage begins anywhere if no sentence does before
constexpr int64_t kBlock = 4096;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// Tokens from a place on, around the end to the beginning, without ends of documents.
class Ring {
 public:
  Ring(const TokenData& tokens, int64_t begin, int32_t left_out)
      : tokens_(tokens), place_(begin), left_out_(left_out) {}

  int32_t next() {
    for (int64_t looked_at = 0; looked_at <= tokens_.tokens(); ++looked_at) {
      if (used_ == block_.size()) fill();
      const int32_t token = block_[used_++];
      if (token != left_out_) return token;
    }
    throw core::InputError(core::message(tokens_.path().string(), ": holds nothing but ends of ",
                                         "documents (token ", left_out_, "), expected text"));
  }

 private:
  void fill() {
    if (place_ == tokens_.tokens()) place_ = 0;
    block_.resize(static_cast<size_t>(std::min(kBlock, tokens_.tokens() - place_)));
    tokens_.read(place_, block_);
    place_ += std::ssize(block_);
    used_ = 0;
  }

  const TokenData& tokens_;
  int64_t place_;
  int32_t left_out_;
  std::vector<int32_t> block_;
  size_t used_ = 0;
};
}  // namespace

BackgroundText::BackgroundText(const TokenData& tokens, const Tokenizer& tokenizer)
    : tokens_(tokens),
      end_of_document_(tokenizer.end_of_document()),
      marks_(static_cast<size_t>(tokenizer.vocabulary()), 0) {
  const std::string path = tokens.path().string();
  if (!tokens.tokenizer().empty() &&
      tokenizer_identity(tokens.tokenizer()) != tokenizer_identity(tokenizer.name()))
    throw core::InputError(core::message(path, ": holds tokens of the tokenizer '",
                                         tokens.tokenizer(), "', the text's is '", tokenizer.name(),
                                         "'"));
  if (tokens.vocabulary() > tokenizer.vocabulary())
    throw core::InputError(core::message(path, ": has a vocabulary of ", tokens.vocabulary(),
                                         ", the tokenizer '", tokenizer.name(), "' one of ",
                                         tokenizer.vocabulary()));
  for (size_t token = 0; token < marks_.size(); ++token) {
    const std::string text = tokenizer.decode(static_cast<int32_t>(token));
    if (text.empty()) continue;
    uint8_t& mark = marks_[token];
    if (is_space(text.front())) mark |= kBeginsWithSpace;
    if (is_space(text.back())) mark |= kEndsInSpace;
    const size_t last = text.find_last_not_of(" \n\r\t\"')");
    const bool stops = last != text.npos && std::string_view(".!?").find(text[last]) != text.npos;
    if (stops || text.find('\n') != text.npos) mark |= kStops;
  }
}

bool BackgroundText::ends_sentence(int32_t token, int32_t next) const {
  const uint8_t mark = marks_[static_cast<size_t>(token)];
  return (mark & kStops) != 0 && ((mark & kEndsInSpace) != 0 ||
                                  (marks_[static_cast<size_t>(next)] & kBeginsWithSpace) != 0);
}

BackgroundText::Passage BackgroundText::passage(int64_t length, core::RandomStream& random) const {
  // One document's end and another token besides, or nothing would be left to read.
  const int64_t text = tokens_.tokens() - tokens_.documents();
  if (text < std::max<int64_t>(length, 2))
    throw core::InputError(core::message(tokens_.path().string(), ": has ", text,
                                         " tokens of text, a context needs ",
                                         std::max<int64_t>(length, 2)));
  Ring ring(tokens_, static_cast<int64_t>(random.below(static_cast<uint64_t>(tokens_.tokens()))),
            end_of_document_);
  Passage passage{.tokens = {}, .borders = {0}};
  int32_t token = ring.next(), next = ring.next();
  for (size_t skipped = 0; skipped < kFarthestBorder; ++skipped) {
    const bool border = ends_sentence(token, next);
    token = std::exchange(next, ring.next());
    if (border) break;
  }
  while (std::ssize(passage.tokens) < length) {
    passage.tokens.push_back(token);
    const size_t here = passage.tokens.size();
    if (here - passage.borders.back() >= kShortestSentence && ends_sentence(token, next))
      passage.borders.push_back(here);
    token = std::exchange(next, ring.next());
  }
  return passage;
}

}  // namespace longhaul::data

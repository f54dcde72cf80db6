#include "data/bpe/normalizer.h"

#include <glog/logging.h>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
icu::StringPiece piece_of(std::string_view text) {
  return {text.data(), static_cast<int32_t>(text.size())};
}
}  // namespace

struct NfcNormalizer::State {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* all = icu::Normalizer2::getNFCInstance(status);
  icu::UnicodeSet known{icu::UnicodeString("[:age=9.0:]"), status};
};

NfcNormalizer::NfcNormalizer() : state_(std::make_unique<State>()) {
  CHECK(U_SUCCESS(state_->status)) << ::u_errorName(state_->status);
  state_->known.freeze();
}
NfcNormalizer::~NfcNormalizer() = default;

std::string_view NfcNormalizer::normalize(std::string_view text, std::string& buffer) const {
  UErrorCode status = U_ZERO_ERROR;
  // A text that is in the form with all characters is so with fewer: that is the fast question.
  if (state_->all->isNormalizedUTF8(piece_of(text), status)) return text;
  const icu::FilteredNormalizer2 filtered(*state_->all, state_->known);
  buffer.clear();
  icu::StringByteSink<std::string> sink(&buffer);
  filtered.normalizeUTF8(0, piece_of(text), sink, nullptr, status);
  CHECK(U_SUCCESS(status)) << ::u_errorName(status);
  return buffer;
}

}  // namespace longhaul::data

#include "data/token_files/token_file.h"

#include <glog/logging.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "data/manifest.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;

constexpr int64_t kSampled = 64;              // places of a file that its fingerprint looks at …
constexpr int64_t kSampleBytes = 4096;        // … so many bytes of
constexpr int64_t kPiece = int64_t{1} << 16;  // tokens read at a time

/// Narrows into `out`; the index of the first value that is no token of the vocabulary, or −1.
template <class T>
int64_t copy(const std::byte* in, int64_t vocabulary, std::span<int32_t> out) {
  const auto limit = static_cast<uint64_t>(vocabulary);
  bool good = true;
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, in + i * sizeof(T), sizeof(T));
    // What is negative becomes huge.
    good &= static_cast<uint64_t>(value) < limit;
    out[i] = static_cast<int32_t>(value);
  }
  if (good) return -1;
  for (int64_t i = 0;; ++i) {
    T value;
    std::memcpy(&value, in + i * int64_t{sizeof(T)}, sizeof(T));
    if (static_cast<uint64_t>(value) >= limit) return i;
  }
}

int64_t copy(Element element, const std::byte* in, int64_t vocabulary, std::span<int32_t> out) {
  switch (element) {
    case Element::kU8:
      return copy<uint8_t>(in, vocabulary, out);
    case Element::kI8:
      return copy<int8_t>(in, vocabulary, out);
    case Element::kU16:
      return copy<uint16_t>(in, vocabulary, out);
    case Element::kI16:
      return copy<int16_t>(in, vocabulary, out);
    case Element::kU32:
      return copy<uint32_t>(in, vocabulary, out);
    case Element::kI32:
      return copy<int32_t>(in, vocabulary, out);
    case Element::kU64:
      return copy<uint64_t>(in, vocabulary, out);
    case Element::kI64:
      return copy<int64_t>(in, vocabulary, out);
  }
  return 0;
}

Element flat_element(const TokenDataOptions& options) {
  if (options.element == FlatElement::kU16) return Element::kU16;
  if (options.element == FlatElement::kU32) return Element::kU32;
  return element_bytes_for(options.vocabulary) == 2 ? Element::kU16 : Element::kU32;
}
}  // namespace

fs::path megatron_index(const fs::path& path) {
  fs::path index = path, whole = path;
  if (index.extension() == ".bin") index.replace_extension(".idx");
  if (index.extension() != ".idx") index += ".idx";
  std::error_code error;
  return fs::is_regular_file(index, error) ? index : fs::path();
}

TokenFile::TokenFile(const fs::path& path, const fs::path& file, const TokenDataOptions& options)
    : path_(path), name_(file), file_(file), vocabulary_(options.vocabulary) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (vocabulary_ < 1 || vocabulary_ > kMost)
    throw core::InputError(core::message("vocabulary: is ", vocabulary_, ", expected from 1 to ",
                                         kMost, ": ", file.string(), " does not say it"));
  if (options.end_of_document >= vocabulary_)
    throw core::InputError(core::message("end_of_document: is ", options.end_of_document,
                                         ", expected less than the vocabulary of ", vocabulary_));
  end_of_document_ = static_cast<int32_t>(std::max<int64_t>(0, options.end_of_document));
  layout_ = find_layout(options);
  searches_borders_ = layout_.borders.empty() && tokens() > 0 && options.end_of_document >= 0;
  if (!searches_borders_) {
    borders_ = std::move(layout_.borders);
    if (borders_.empty()) borders_.push_back(0);
    if (borders_.back() != tokens()) borders_.push_back(tokens());
  }
  // The token that ends documents says where they end as well as their number does.
  fingerprint_ = fingerprint_with(searches_borders_ ? -1 - options.end_of_document : documents());
}

TokenLayout TokenFile::find_layout(const TokenDataOptions& options) const {
  const fs::path index = megatron_index(name_);
  if (!index.empty()) {
    return read_megatron_index(core::RandomAccessFile(index), file_.size(), index.string());
  }
  if (is_npy(file_)) return read_npy(file_, name_.string());
  if (is_llm_c(file_)) return read_llm_c(file_, name_.string());
  if (name_.extension() == ".bin")
    return flat_layout(file_.size(), flat_element(options), name_.string());
  throw core::InputError(
      core::message(name_.string(),
                    ": is no file of tokens, expected .npy, .bin (flat, of llm.c, or of Megatron "
                    "with its .idx) or a token folder; longhaul tokenize makes one of text"));
}

const std::vector<int64_t>& TokenFile::borders() const {
  if (searches_borders_) std::call_once(searched_, [&] { search_borders(); });
  return borders_;
}

void TokenFile::search_borders() const {
  std::vector<int64_t> borders{0};
  std::vector<int32_t> piece;
  for (int64_t begin = 0; begin < tokens(); begin += kPiece) {
    piece.resize(static_cast<size_t>(std::min(kPiece, tokens() - begin)));
    read(begin, piece);
    for (size_t i = 0; i < piece.size(); ++i)
      if (piece[i] == end_of_document_) borders.push_back(begin + static_cast<int64_t>(i) + 1);
  }
  if (borders.back() != tokens()) borders.push_back(tokens());
  borders_ = std::move(borders);
}

int64_t TokenFile::document_begin(int64_t document) const {
  CHECK(document >= 0 && document <= documents()) << document;
  return borders()[static_cast<size_t>(document)];
}

uint64_t TokenFile::earlier_fingerprint() const { return fingerprint_with(documents()); }

uint64_t TokenFile::fingerprint_with(int64_t borders) const {
  uint32_t crc = ::crc32(0, nullptr, 0);
  const auto add = [&](const void* data, int64_t bytes) {
    crc = static_cast<uint32_t>(
        ::crc32(crc, static_cast<const Bytef*>(data), static_cast<uInt>(bytes)));
  };
  std::vector<std::byte> sample;
  const auto add_sample = [&](int64_t begin) {
    sample.resize(static_cast<size_t>(std::min(kSampleBytes, file_.size() - begin)));
    file_.read(begin, sample);
    add(sample.data(), std::ssize(sample));
  };
  const int64_t last = std::max<int64_t>(0, file_.size() - kSampleBytes);
  for (int64_t i = 0; i < kSampled; ++i) add_sample(last / (kSampled - 1) * i);
  add_sample(last);
  for (const int64_t value : {tokens(), borders, vocabulary_}) add(&value, sizeof value);
  return uint64_t{crc} << 32 | (static_cast<uint64_t>(tokens()) & 0xFFFFFFFFu);
}

void TokenFile::read(int64_t begin, std::span<int32_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  CHECK(begin >= 0 && begin <= tokens() && count <= tokens() - begin)
      << "tokens [" << begin << ", +" << count << ") of " << tokens();
  const int64_t width = bytes_of(layout_.element);
  std::vector<std::byte> stored(static_cast<size_t>(count * width));
  file_.read(layout_.offset + begin * width, stored);
  const int64_t bad = copy(layout_.element, stored.data(), vocabulary_, out);
  if (bad >= 0)
    throw core::InputError(core::message(
        name_.string(), ": token ", begin + bad, " is ", out[static_cast<size_t>(bad)],
        ", expected from 0 to ", vocabulary_ - 1, " (the vocabulary is ", vocabulary_, ")"));
}

}  // namespace longhaul::data

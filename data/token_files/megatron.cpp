#include <algorithm>
#include <optional>
#include <string_view>

#include "data/token_files/layout.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr std::string_view kMagic("MMIDIDX\0\0", 9);
constexpr int64_t kSizes = 34;  // magic, u64 version, u8 type, u64 sequences, u64 documents

std::optional<Element> element_of(uint8_t code) {
  switch (code) {
    case 1:
      return Element::kU8;
    case 2:
      return Element::kI8;
    case 3:
      return Element::kI16;
    case 4:
      return Element::kI32;
    case 5:
      return Element::kI64;
    case 8:
      return Element::kU16;
    default:
      return std::nullopt;  // 6 and 7 are floating point
  }
}

/// Numbers of type T that follow each other from byte `begin` on, read in pieces.
template <class T>
class Table {
 public:
  Table(const ByteSource& bytes, int64_t begin, int64_t count)
      : bytes_(bytes), begin_(begin), count_(count) {}

  T next() {
    if (at_ == std::ssize(piece_)) {
      first_ += at_;
      at_ = 0;
      piece_.resize(static_cast<size_t>(std::min(kPiece, count_ - first_)));
      bytes_.read(begin_ + first_ * int64_t{sizeof(T)}, std::as_writable_bytes(std::span(piece_)));
    }
    return piece_[static_cast<size_t>(at_++)];
  }

 private:
  static constexpr int64_t kPiece = int64_t{1} << 16;

  const ByteSource& bytes_;
  int64_t begin_, count_, first_ = 0, at_ = 0;  // `at_` of the piece that begins with `first_`
  std::vector<T> piece_;
};

/// Tables of the index: sizes i32 [sequences], places of the sequences in bytes i64 [sequences],
/// first sequence of each document i64 [documents], closed by the number of sequences.
class Index {
 public:
  Index(const ByteSource& bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {
    check_header();
  }

  [[noreturn]] void refuse(const auto&... what) const {
    throw core::InputError(core::message(name_, ": ", what...));
  }

  TokenLayout read(int64_t token_bytes) const {
    TokenLayout layout{.format = "Megatron", .element = *element_of(value_at<uint8_t>(bytes_, 17))};
    const int64_t width = bytes_of(layout.element);
    if (token_bytes % width != 0)
      refuse("is for elements of ", width, " bytes, but the .bin has ", token_bytes, " bytes");
    layout.tokens = token_bytes / width;
    std::vector<int64_t> begins = sequence_begins(layout.tokens, width);
    // An index that was never told where documents end has the opening 0 alone.
    const bool each = documents_ <= 1;
    const int64_t end =
        each ? sequences_ : value_at<int64_t>(bytes_, documents_at_ + 8 * (documents_ - 1));
    if (end != sequences_) refuse("documents end at sequence ", end, ", expected ", sequences_);
    const int64_t count = each ? sequences_ + 1 : documents_;
    Table<int64_t> first(bytes_, documents_at_, documents_);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t sequence = each ? i : first.next();
      if (sequence < 0 || sequence > sequences_ || (i == 0 && sequence != 0))
        refuse("document ", i, " begins with sequence ", sequence, ", expected ",
               i == 0 ? "0" : core::message("at most ", sequences_));
      const int64_t begin = begins[static_cast<size_t>(sequence)];
      if (!layout.borders.empty() && begin < layout.borders.back())
        refuse("document ", i, " begins before the one before");
      if (layout.borders.empty() || begin > layout.borders.back()) layout.borders.push_back(begin);
    }
    return layout;
  }

 private:
  void check_header() {
    const int64_t size = bytes_.size();
    if (size < kSizes || bytes_.text(0, std::ssize(kMagic)) != kMagic)
      refuse("does not begin with MMIDIDX, expected the index of a Megatron data set");
    const auto version = value_at<uint64_t>(bytes_, 9);
    if (version != 1) refuse("version is ", version, ", expected 1");
    const auto code = value_at<uint8_t>(bytes_, 17);
    if (!element_of(code))
      refuse("type of elements is ", static_cast<int>(code),
             ", expected an integer (1 to 5, or 8)");
    const auto sequences = value_at<uint64_t>(bytes_, 18),
               documents = value_at<uint64_t>(bytes_, 26);
    const auto most = static_cast<uint64_t>(size) / 8;
    const bool fits = sequences <= most && documents <= most;
    sequences_ = fits ? static_cast<int64_t>(sequences) : 0;
    documents_ = fits ? static_cast<int64_t>(documents) : 0;
    const int64_t expected = kSizes + 12 * sequences_ + 8 * documents_;
    if (!fits || size != expected)
      refuse("has ", size, " bytes, which is not what ", sequences, " sequences and ", documents,
             " documents need");
    places_at_ = kSizes + 4 * sequences_;
    documents_at_ = places_at_ + 8 * sequences_;
  }

  std::vector<int64_t> sequence_begins(int64_t tokens, int64_t width) const {
    std::vector<int64_t> begins{0};
    begins.reserve(static_cast<size_t>(sequences_) + 1);
    Table<int32_t> sizes(bytes_, kSizes, sequences_);
    Table<int64_t> places(bytes_, places_at_, sequences_);
    for (int64_t i = 0; i < sequences_; ++i) {
      const int32_t size = sizes.next();
      const int64_t place = places.next();
      if (size < 0) refuse("sequence ", i, " has ", size, " tokens");
      if (place != begins.back() * width)
        refuse("sequence ", i, " begins at byte ", place, ", expected ", begins.back() * width,
               " (sequences that follow each other)");
      begins.push_back(begins.back() + size);
    }
    if (begins.back() != tokens)
      refuse("has sequences of ", begins.back(), " tokens, the .bin ", tokens);
    return begins;
  }

  const ByteSource& bytes_;
  std::string name_;
  int64_t sequences_ = 0, documents_ = 0;
  int64_t places_at_ = 0, documents_at_ = 0;
};
}  // namespace

TokenLayout read_megatron_index(const ByteSource& index, int64_t token_bytes,
                                const std::string& name) {
  return Index(index, name).read(token_bytes);
}

}  // namespace longhaul::data

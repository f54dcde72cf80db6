#include "eval/windows.h"

#include <algorithm>
#include <utility>

namespace longhaul::eval {

namespace {

class WindowReader final : public SequenceReader {
 public:
  /// `uncounted` of the first tokens do not count.
  WindowReader(const LabelledTokens& from, int64_t begin, int64_t uncounted)
      : from_(from), position_(begin), counted_(begin + uncounted) {}

  void next(int64_t length, LabelledTokens& out) override {
    const auto take = [&](const std::vector<int32_t>& all, std::vector<int32_t>& to) {
      if (all.empty()) return to.clear();
      to.assign(all.begin() + position_, all.begin() + position_ + length);
    };
    take(from_.tokens, out.tokens);
    take(from_.labels, out.labels);
    take(from_.reaches, out.reaches);
    const int64_t uncounted = std::clamp<int64_t>(counted_ - position_, 0, length);
    std::fill_n(out.labels.begin(), uncounted, -1);
    position_ += length;
  }

 private:
  const LabelledTokens& from_;
  int64_t position_, counted_;  // in it
};

}  // namespace

Windows::Windows(int64_t length, int64_t asked)
    : length_(length),
      width_(std::min(asked, length)),
      stride_(std::max<int64_t>(1, asked / 2)),
      count_(1 + (length - width_ + stride_ - 1) / stride_) {}

Window Windows::at(int64_t window) const {
  if (window == 0) return {};
  return {.begin = std::min(window * stride_, length_ - width_),
          .counted = (window - 1) * stride_ + width_};
}

void WindowSource::advance(int64_t begin, int64_t end) {
  const int64_t first = windows_.at(begin).begin, last = windows_.at(end - 1).begin;
  const int64_t read = begin_ + std::ssize(kept_.tokens);
  LabelledTokens more;
  sequence_->next(last + windows_.width() - read, more);
  const auto keep = [&](std::vector<int32_t>& all, const std::vector<int32_t>& added) {
    all.insert(all.end(), added.begin(), added.end());
    if (!all.empty()) all.erase(all.begin(), all.begin() + (first - begin_));
  };
  keep(kept_.tokens, more.tokens);
  keep(kept_.labels, more.labels);
  keep(kept_.reaches, more.reaches);
  begin_ = first;
}

std::unique_ptr<SequenceReader> WindowSource::reader(int64_t window) const {
  const Window place = windows_.at(window);
  return std::make_unique<WindowReader>(kept_, place.begin - begin_, place.counted - place.begin);
}

}  // namespace longhaul::eval

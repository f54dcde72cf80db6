#include "eval/sequence_reader.h"

namespace longhaul::eval {

namespace {

class TextReader final : public SequenceReader {
 public:
  TextReader(const data::TokenData& folder, int64_t begin) : folder_(folder), position_(begin) {}

  void next(int64_t length, LabelledTokens& out) override {
    out.tokens.resize(static_cast<size_t>(length) + 1);
    folder_.read(position_, out.tokens);
    out.labels.assign(out.tokens.begin() + 1, out.tokens.end());
    out.tokens.pop_back();
    position_ += length;
  }

 private:
  const data::TokenData& folder_;
  int64_t position_;
};

class RecallReader final : public SequenceReader {
 public:
  RecallReader(const data::RecallTask& task, uint64_t seed, uint64_t stream)
      : stream_(task, seed, stream) {}

  void next(int64_t length, LabelledTokens& out) override {
    const auto wanted = static_cast<size_t>(length);
    out.tokens.clear();
    out.labels.clear();
    if (half_left_ && wanted > 0) {
      out.tokens.push_back(pair_tokens_[1]);
      out.labels.push_back(pair_labels_[1]);
      half_left_ = false;
    }
    const size_t begin = out.tokens.size(), even = (wanted - begin) / 2 * 2;
    out.tokens.resize(begin + even);
    out.labels.resize(begin + even);
    if (even > 0) {
      stream_.next(static_cast<int64_t>(even), out.tokens.data() + begin,
                   out.labels.data() + begin);
    }
    if (out.tokens.size() < wanted) {
      stream_.next(2, pair_tokens_, pair_labels_);
      out.tokens.push_back(pair_tokens_[0]);
      out.labels.push_back(pair_labels_[0]);
      half_left_ = true;
    }
  }

 private:
  data::RecallStream stream_;
  int32_t pair_tokens_[2] = {}, pair_labels_[2] = {};
  bool half_left_ = false;  // the pair's second token has not been handed out
};

}  // namespace

std::unique_ptr<SequenceReader> text_reader(const data::TokenData& folder, int64_t begin) {
  return std::make_unique<TextReader>(folder, begin);
}

std::unique_ptr<SequenceReader> recall_reader(const data::RecallTask& task, uint64_t seed,
                                              uint64_t stream) {
  return std::make_unique<RecallReader>(task, seed, stream);
}

}  // namespace longhaul::eval

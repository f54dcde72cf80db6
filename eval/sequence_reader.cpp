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
      : task_(task), stream_(task, seed, stream), last_(static_cast<size_t>(task.keys), -1) {}

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
    add_reaches(out);
  }

 private:
  /// A key comes first in each pair.
  void add_reaches(LabelledTokens& out) {
    out.reaches.assign(out.tokens.size(), -1);
    for (size_t i = 0; i < out.tokens.size(); ++i, ++position_) {
      if (position_ % 2 != 0) continue;
      int64_t& last = last_[static_cast<size_t>(out.tokens[i] - task_.values)];
      const int64_t pair = position_ / 2;
      if (last >= 0 && pair - last <= task_.reach) {
        out.reaches[i] = static_cast<int32_t>(pair - last);
      }
      last = pair;
    }
  }

  data::RecallTask task_;
  data::RecallStream stream_;
  std::vector<int64_t> last_;  // pair in which each key occurred last; −1: never
  int64_t position_ = 0;       // of the next token
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

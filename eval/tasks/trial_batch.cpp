#include "eval/tasks/trial_batch.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "eval/first_state.h"

namespace longhaul::eval {

namespace {

/// Reads prompts [0, end) into the state, which is on the group's first rank at the end.
void read_prompts(PieceRun& pieces, core::Context& context,
                  const std::vector<const data::Example*>& trials, int64_t end, int64_t most,
                  model::RecurrentState& state, const std::function<void(int64_t)>& advance) {
  for (int64_t begin = 0; begin < end;) {
    const Piece piece = pieces.piece(begin, std::min(begin + most, end));
    const int64_t length = piece.segment.length();
    std::vector<int32_t> own;  // [trials, length]
    for (const data::Example* trial : trials) {
      const auto from = trial->prompt.begin() + piece.begin + piece.segment.begin;
      own.insert(own.end(), from, from + length);
    }
    core::Tensor tokens;
    if (length > 0) tokens = core::Tensor::from(context, own, {std::ssize(trials), length});
    pieces.forward(piece, {.tokens = tokens}, state);
    pieces.hand_over(piece, state);
    begin = piece.end;
    advance(begin);
  }
}

/// Goes on from a state, some tokens of every trial at a time.
class Continuing {
 public:
  Continuing(model::LanguageModel& model, model::RecurrentState state)
      : model_(model),
        context_(model.context()),
        state_(std::move(state)),
        next_(model.make_state(state_.batch())) {}

  /// [trials, length]: tokens in, the most likely token after each out.
  void read(std::vector<int32_t>& tokens) {
    const int64_t trials = state_.batch();
    const core::Shape shape{trials, std::ssize(tokens) / trials};
    if (predicted_.shape() != shape) {
      // Any label: the arg max comes with the loss.
      labels_ = core::Tensor::from(context_, std::vector<int32_t>(tokens.size(), 0), shape);
      predicted_ = core::Tensor(context_, core::DType::kI32, shape);
    }
    const core::Tensor read = core::Tensor::from(context_, tokens, shape);
    model_.forward({.tokens = read,
                    .labels = labels_,
                    .initial = &state_,
                    .final_state = &next_,
                    .predicted = predicted_});
    std::swap(state_, next_);
    core::copy(context_, predicted_, core::TensorView(tokens.data(), core::DType::kI32, shape));
  }

 private:
  model::LanguageModel& model_;
  core::Context& context_;
  model::RecurrentState state_, next_;
  core::Tensor labels_, predicted_;
};

/// Token `at` of what a teacher has read after the prompt's beginning; 0 behind a shorter answer.
int32_t right_token(const data::Example& trial, int64_t at) {
  if (at == 0) return trial.prompt.back();
  return at <= std::ssize(trial.answer) ? trial.answer[static_cast<size_t>(at) - 1] : 0;
}

/// Goes on from the state before each prompt's last token, in pieces of at most `most` tokens.
std::vector<std::vector<int32_t>> continue_with_answers(
    const std::vector<const data::Example*>& trials, int64_t count, int64_t most,
    Continuing& model) {
  std::vector<std::vector<int32_t>> said(trials.size());
  for (int64_t begin = 0; begin < count; begin += most) {
    const int64_t length = std::min(most, count - begin);
    std::vector<int32_t> tokens;
    for (const data::Example* trial : trials) {
      for (int64_t i = 0; i < length; ++i) tokens.push_back(right_token(*trial, begin + i));
    }
    model.read(tokens);
    for (auto row = tokens.begin(); auto& each : said) {
      each.insert(each.end(), row, row + length);
      row += length;
    }
  }
  return said;
}

/// Goes on from the state before each prompt's last token.
std::vector<std::vector<int32_t>> continue_greedily(const std::vector<const data::Example*>& trials,
                                                    int64_t count, Continuing& model) {
  std::vector<int32_t> last;
  for (const data::Example* trial : trials) last.push_back(trial->prompt.back());
  std::vector<std::vector<int32_t>> said(trials.size());
  for (int64_t i = 0; i < count; ++i) {
    model.read(last);
    for (size_t trial = 0; trial < said.size(); ++trial) said[trial].push_back(last[trial]);
  }
  return said;
}

}  // namespace

std::vector<std::vector<int32_t>> answers_of(model::LanguageModel& model, PieceRun& pieces,
                                             const std::vector<const data::Example*>& trials,
                                             const AnswerRequest& request,
                                             const std::function<void(int64_t read)>& advance) {
  const int64_t length = std::ssize(trials.front()->prompt);
  for (const data::Example* trial : trials) CHECK_EQ(std::ssize(trial->prompt), length);
  model::RecurrentState state = first_state(model, request.start, std::ssize(trials));
  // The last token begins the answer: the first rank runs it alone.
  read_prompts(pieces, model.context(), trials, length - 1, request.piece, state, advance);
  if (!pieces.piece(0, 1).holds_end) return {};
  Continuing continuing(model, std::move(state));
  if (!request.teacher_forced) return continue_greedily(trials, request.count, continuing);
  return continue_with_answers(trials, request.count, request.piece, continuing);
}

}  // namespace longhaul::eval

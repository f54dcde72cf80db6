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

/// Goes on from the state before each prompt's last token, all at once.
std::vector<std::vector<int32_t>> continue_with_answers(
    model::LanguageModel& model, const std::vector<const data::Example*>& trials, int64_t count,
    const model::RecurrentState& state) {
  core::Context& context = model.context();
  const core::Shape shape{std::ssize(trials), count};
  std::vector<int32_t> read;  // [trials, count]; 0 behind an answer that is shorter
  for (const data::Example* trial : trials) {
    const size_t row = read.size();
    read.push_back(trial->prompt.back());
    const int64_t rest = std::min(count - 1, std::ssize(trial->answer));
    read.insert(read.end(), trial->answer.begin(), trial->answer.begin() + rest);
    read.resize(row + static_cast<size_t>(count));
  }
  const core::Tensor tokens = core::Tensor::from(context, read, shape);
  // Any label: the arg max comes with the loss.
  const core::Tensor labels =
      core::Tensor::from(context, std::vector<int32_t>(read.size(), 0), shape);
  const core::Tensor predicted(context, core::DType::kI32, shape);
  model.forward({.tokens = tokens, .labels = labels, .initial = &state, .predicted = predicted});
  core::copy(context, predicted, core::TensorView(read.data(), core::DType::kI32, shape));
  std::vector<std::vector<int32_t>> said;
  for (int64_t trial = 0; trial < shape[0]; ++trial) {
    said.emplace_back(read.begin() + trial * count, read.begin() + (trial + 1) * count);
  }
  return said;
}

/// Goes on from the state before each prompt's last token.
std::vector<std::vector<int32_t>> continue_greedily(model::LanguageModel& model,
                                                    const std::vector<const data::Example*>& trials,
                                                    int64_t count, model::RecurrentState state) {
  core::Context& context = model.context();
  const core::Shape shape{std::ssize(trials), 1};
  std::vector<int32_t> last;
  for (const data::Example* trial : trials) last.push_back(trial->prompt.back());
  // Any label: the arg max comes with the loss.
  const core::Tensor labels =
      core::Tensor::from(context, std::vector<int32_t>(trials.size(), 0), shape);
  const core::Tensor predicted(context, core::DType::kI32, shape);
  std::vector<std::vector<int32_t>> said(trials.size());
  model::RecurrentState next = model.make_state(std::ssize(trials));
  for (int64_t i = 0; i < count; ++i) {
    const core::Tensor tokens = core::Tensor::from(context, last, shape);
    model.forward({.tokens = tokens,
                   .labels = labels,
                   .initial = &state,
                   .final_state = &next,
                   .predicted = predicted});
    std::swap(state, next);
    core::copy(context, predicted, core::TensorView(last.data(), core::DType::kI32, shape));
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
  if (request.teacher_forced) return continue_with_answers(model, trials, request.count, state);
  return continue_greedily(model, trials, request.count, std::move(state));
}

}  // namespace longhaul::eval

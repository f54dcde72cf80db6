#include "eval/perplexity.h"

#include <algorithm>
#include <span>

#include "eval/first_state.h"
#include "eval/piece_run.h"
#include "eval/position_sums.h"

namespace longhaul::eval {

namespace {

/// A batch of sequences, piece by piece, all ranks of a sequence group in step.
class CurveBatch {
 public:
  CurveBatch(PieceRun& pieces, model::LanguageModel& model, const CurveOptions& options,
             const PositionSums& sums)
      : pieces_(pieces), model_(model), context_(model.context()), options_(options), sums_(sums) {}

  /// numbers [readers, width]
  void run(const Readers& readers, std::span<double> numbers, BatchWatch& watch) {
    model::RecurrentState state =
        first_state(model_, options_.start, static_cast<int64_t>(readers.size()));
    for (int64_t begin = 0; begin < options_.length;) {
      int64_t end = std::min(begin + options_.piece, options_.length);
      if (options_.states) end = std::min(end, sums_.next_state_position(begin));
      const Piece piece = pieces_.piece(begin, end);
      run_piece(piece, readers, state, numbers);
      if (piece.holds_end) sums_.add_states(context_, end, state, numbers);
      if (end < options_.length) pieces_.hand_over(piece, state);
      watch.advance(static_cast<double>(end) / static_cast<double>(options_.length));
      begin = end;
    }
  }

 private:
  void run_piece(const Piece& piece, const Readers& readers, model::RecurrentState& state,
                 std::span<double> numbers) {
    const LabelledTokens own = read_piece(piece, readers);
    const int64_t length = piece.segment.length();
    if (length == 0) return;
    const core::Shape shape{static_cast<int64_t>(readers.size()), length};
    const core::Tensor tokens = core::Tensor::from(context_, own.tokens, shape);
    const core::Tensor labels = core::Tensor::from(context_, own.labels, shape);
    const core::Tensor loss(context_, core::state_dtype(model_.dtype()), shape);
    const core::Tensor predicted(context_, core::DType::kI32, shape);
    pieces_.forward(
        piece, {.tokens = tokens, .labels = labels, .loss = loss, .predicted = predicted}, state);
    const std::vector<double> losses = doubles_of(context_, loss);
    std::vector<int32_t> guesses(own.tokens.size());
    core::copy(context_, predicted, core::TensorView(guesses.data(), core::DType::kI32, shape));
    const auto count = static_cast<size_t>(length), width = static_cast<size_t>(sums_.width());
    for (size_t i = 0; i < readers.size(); ++i) {
      sums_.add({.position = piece.begin + piece.segment.begin,
                 .labels = std::span(own.labels).subspan(i * count, count),
                 .predicted = std::span(guesses).subspan(i * count, count),
                 .losses = std::span(losses).subspan(i * count, count),
                 .reaches = own.reaches.empty() ? std::span<const int32_t>()
                                                : std::span(own.reaches).subspan(i * count, count)},
                numbers.subspan(i * width, width));
    }
  }

  PieceRun& pieces_;
  model::LanguageModel& model_;
  core::Context& context_;
  const CurveOptions& options_;
  const PositionSums& sums_;
};

}  // namespace

PositionCurve evaluate_curve(const dist::Mesh& mesh, model::LanguageModel& model,
                             const Sequences& sequences, const CurveOptions& options) {
  check(options, sequences, model);
  const PositionSums sums(options.length, model.state_specs(), options.states,
                          sequences.most_reach);
  PieceRun pieces(mesh.sequence_group(), model);
  const UnitJob job{
      .units = sequences.count,
      .width = sums.width(),
      .batch = options.batch,
      .run = [&](int64_t first, int64_t count, std::span<double> numbers, BatchWatch& watch) {
        CurveBatch(pieces, model, options, sums)
            .run(readers_of(sequences, first, count), numbers, watch);
      }};
  const Continuation continuation = continuation_of("perplexity", options, sequences, mesh, model);
  const std::vector<double> numbers = run_units(mesh, job, continuation);
  PositionCurve curve{.task = sequences.task,
                      .model = options.model,
                      .length = options.length,
                      .sequences = sequences.count,
                      .training_length = options.training_length,
                      .whole_documents = sequences.whole_documents,
                      .inside_documents = sequences.inside_documents,
                      .windows = sequences.windows,
                      .sequences_asked = options.sequences,
                      .measured = measured_by(continuation),
                      .buckets = {},
                      .states = {},
                      .reaches = {}};
  sums.finish(numbers, curve);
  return curve;
}

PositionCurve evaluate_text(const dist::Mesh& mesh, model::LanguageModel& model,
                            const data::TokenData& folder, const CurveOptions& options) {
  return evaluate_curve(mesh, model, text_sequences(folder, options), options);
}

PositionCurve evaluate_recall(const dist::Mesh& mesh, model::LanguageModel& model,
                              const data::RecallTask& task, const CurveOptions& options) {
  return evaluate_curve(mesh, model, recall_sequences(task, options), options);
}

}  // namespace longhaul::eval

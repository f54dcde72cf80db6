#include "eval/perplexity.h"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

#include "dist/thread_communicator.h"
#include "eval/first_state.h"
#include "eval/piece_run.h"
#include "eval/position_sums.h"
#include "eval/windows.h"

namespace longhaul::eval {

namespace {

/// What is read side by side, each from the initial state.
struct Rows {
  int64_t length = 0;  ///< of each
  Readers readers;
  std::vector<size_t> units;       ///< of the batch that each row's numbers are added to
  std::vector<int64_t> positions;  ///< in its sequence, of each row's first token
};

/// Rows, piece by piece, all ranks of the pieces' group in step.
class CurveBatch {
 public:
  CurveBatch(PieceRun& pieces, model::LanguageModel& model, const CurveOptions& options,
             const PositionSums& sums)
      : pieces_(pieces), model_(model), context_(model.context()), options_(options), sums_(sums) {}

  /// numbers [units, width]; `advance` is told the share that is done, also where there are no rows
  void run(const Rows& rows, std::span<double> numbers,
           const std::function<void(double share)>& advance) {
    const bool any = !rows.readers.empty();
    model::RecurrentState state;
    if (any) state = first_state(model_, options_.start, std::ssize(rows.readers));
    for (int64_t begin = 0; begin < rows.length;) {
      int64_t end = std::min(begin + options_.piece, rows.length);
      if (options_.states) end = std::min(end, sums_.next_state_position(begin));
      if (any) run_piece(pieces_.piece(begin, end), rows, state, numbers);
      advance(static_cast<double>(end) / static_cast<double>(rows.length));
      begin = end;
    }
  }

 private:
  void run_piece(const Piece& piece, const Rows& rows, model::RecurrentState& state,
                 std::span<double> numbers) {
    add_labels(piece, rows, state, numbers);
    if (piece.holds_end) sums_.add_states(context_, piece.end, state, numbers);
    if (piece.end < rows.length) pieces_.hand_over(piece, state);
  }

  void add_labels(const Piece& piece, const Rows& rows, model::RecurrentState& state,
                  std::span<double> numbers) {
    const LabelledTokens own = pieces_.read(piece, rows.readers);
    const int64_t length = piece.segment.length();
    if (length == 0) return;
    const core::Shape shape{std::ssize(rows.readers), length};
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
    for (size_t i = 0; i < rows.readers.size(); ++i) {
      sums_.add({.position = rows.positions[i] + piece.begin + piece.segment.begin,
                 .labels = std::span(own.labels).subspan(i * count, count),
                 .predicted = std::span(guesses).subspan(i * count, count),
                 .losses = std::span(losses).subspan(i * count, count),
                 .reaches = own.reaches.empty() ? std::span<const int32_t>()
                                                : std::span(own.reaches).subspan(i * count, count)},
                numbers.subspan(rows.units[i] * width, width));
    }
  }

  PieceRun& pieces_;
  model::LanguageModel& model_;
  core::Context& context_;
  const CurveOptions& options_;
  const PositionSums& sums_;
};

/// Sequences side by side, from front to back, their pieces sharded over the sequence group.
Rows whole_sequences(Readers readers, int64_t length) {
  Rows rows{.length = length, .readers = std::move(readers), .units = {}, .positions = {}};
  for (size_t i = 0; i < rows.readers.size(); ++i) {
    rows.units.push_back(i);
    rows.positions.push_back(0);
  }
  return rows;
}

/// The windows of a batch of sequences: nothing passes from one to the next, so that each rank of
/// the sequence group takes some of its own, and runs these alone. Of each sequence as many at a
/// time as fill a piece.
class WindowBatch {
 public:
  WindowBatch(Readers readers, const CurveOptions& options, dist::Communicator& group)
      : windows_(options.length, options.window),
        group_(group),
        at_a_time_(std::max<int64_t>(1, options.piece / windows_.width()) * group.size()) {
    for (auto& reader : readers) sources_.emplace_back(std::move(reader), windows_);
  }

  void run(CurveBatch& batch, std::span<double> numbers, BatchWatch& watch) {
    for (int64_t begin = 0; begin < windows_.count();) {
      const int64_t end = std::min(begin + at_a_time_, windows_.count());
      const auto advance = [&](double share) {
        const double done = static_cast<double>(begin) + share * static_cast<double>(end - begin);
        watch.advance(done / static_cast<double>(windows_.count()));
      };
      batch.run(own_rows(begin, end), numbers, advance);
      begin = end;
    }
  }

 private:
  Rows own_rows(int64_t begin, int64_t end) {
    Rows rows{.length = windows_.width(), .readers = {}, .units = {}, .positions = {}};
    const dist::Segment own = dist::segment_of(end - begin, group_.size(), group_.rank());
    read_together(group_, [&] {
      for (WindowSource& source : sources_) source.advance(begin, end);
    });
    for (size_t unit = 0; unit < sources_.size(); ++unit) {
      for (int64_t window = begin + own.begin; window < begin + own.end; ++window) {
        rows.readers.push_back(sources_[unit].reader(window));
        rows.units.push_back(unit);
        rows.positions.push_back(windows_.at(window).begin);
      }
    }
    return rows;
  }

  Windows windows_;
  dist::Communicator& group_;
  int64_t at_a_time_;  // of each sequence, by all ranks of the group
  std::vector<WindowSource> sources_;
};

/// Of windows there are no states by position.
CurveOptions completed(CurveOptions options) {
  if (options.window > 0) options.states = false;
  return options;
}

}  // namespace

PositionCurve evaluate_curve(const dist::Mesh& mesh, model::LanguageModel& model,
                             const Sequences& sequences, const CurveOptions& asked) {
  const CurveOptions options = completed(asked);
  check(options, sequences, model);
  const PositionSums sums(options.length, model.state_specs(), options.states,
                          sequences.most_reach);
  const auto alone = dist::solo_communicator();
  PieceRun pieces(options.window > 0 ? *alone : mesh.sequence_group(), model);
  const UnitJob job{
      .units = sequences.count,
      .width = sums.width(),
      .batch = options.batch,
      .run = [&](int64_t first, int64_t count, std::span<double> numbers, BatchWatch& watch) {
        CurveBatch batch(pieces, model, options, sums);
        Readers readers = readers_of(sequences, first, count);
        if (options.window > 0) {
          WindowBatch(std::move(readers), options, mesh.sequence_group())
              .run(batch, numbers, watch);
        } else {
          batch.run(whole_sequences(std::move(readers), options.length), numbers,
                    [&](double share) { watch.advance(share); });
        }
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
                      .window = options.window,
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

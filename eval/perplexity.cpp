#include "eval/perplexity.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "data/samplers.h"
#include "dist/state_exchange.h"
#include "eval/position_sums.h"
#include "eval/sequence_reader.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

void check(const CurveOptions& options) {
  std::vector<std::string> problems;
  const auto at_least_one = [&](const char* name, int64_t value) {
    if (value < 1) {
      problems.push_back(core::message("evaluation ", name, ": must be at least 1, is ", value));
    }
  };
  at_least_one("length", options.length);
  at_least_one("sequences", options.sequences);
  at_least_one("piece", options.piece);
  at_least_one("batch", options.batch);
  if (!problems.empty()) throw core::InputError(problems);
}

/// The numbers of a contiguous floating-point tensor on any device.
std::vector<double> doubles_of(core::Context& context, const core::TensorView& view) {
  std::vector<double> values(static_cast<size_t>(view.elements()));
  if (view.dtype() == core::DType::kF64) {
    core::copy(context, view, core::TensorView(values.data(), view.dtype(), view.shape()));
    return values;
  }
  std::vector<float> narrow(values.size());
  core::copy(context, view, core::TensorView(narrow.data(), view.dtype(), view.shape()));
  std::copy(narrow.begin(), narrow.end(), values.begin());
  return values;
}

/// Sequences of this data rank, batch by batch and piece by piece, all ranks of a sequence group in
/// step. Between pieces the state is on the group's first rank.
class CurveRun {
 public:
  CurveRun(const dist::Mesh& mesh, model::LanguageModel& model, const CurveOptions& options,
           const ReaderOf& reader_of)
      : mesh_(mesh),
        group_(mesh.sequence_group()),
        model_(model),
        context_(model.context()),
        options_(options),
        reader_of_(reader_of),
        sums_(options.sequences, options.length, model.state_specs()),
        // Not `auto`: what an evaluation says must not depend on a measurement of speed.
        exchange_(context_, group_, dist::ExchangeAlgorithm::kLogStep) {}

  void run(PositionCurve& curve) {
    const dist::Segment share =
        dist::segment_of(options_.sequences, mesh_.shape().data, mesh_.data_rank());
    tokens_total_ = share.length() * options_.length;
    for (int64_t first = share.begin; first < share.end; first += options_.batch) {
      run_batch(first, std::min(options_.batch, share.end - first));
    }
    sums_.reduce(context_, mesh_.world());
    sums_.finish(options_.states, curve);
  }

 private:
  using Readers = std::vector<std::unique_ptr<SequenceReader>>;
  struct Piece {
    int64_t begin = 0, end = 0;
    bool sharded = false;
    int64_t length() const { return end - begin; }
  };

  void run_batch(int64_t first, int64_t count) {
    Readers readers;
    for (int64_t i = 0; i < count; ++i) readers.push_back(reader_of_(first + i));
    model::RecurrentState state = model_.make_state(count), next = model_.make_state(count);
    Piece piece;
    for (piece.end = 0; piece.end < options_.length;) {
      piece.begin = piece.end;
      piece.end = std::min(piece.begin + options_.piece, options_.length);
      if (options_.states) {
        piece.end = std::min(piece.end, sums_.next_state_position(piece.begin));
      }
      // Fewer tokens than ranks: the first rank runs them alone, no rank has an empty segment.
      piece.sharded = group_.size() > 1 && piece.length() >= group_.size();
      run_piece(piece, first, readers, state, next);
      std::swap(state, next);
      const int holder = piece.sharded ? group_.size() - 1 : 0;
      if (options_.states && group_.rank() == holder) {
        sums_.add_states(context_, piece.end, state);
      }
      if (piece.sharded && piece.end < options_.length) hand_over(state);
      report_progress(count * piece.length());
    }
  }

  dist::Segment own_segment(const Piece& piece) const {
    if (piece.sharded) return dist::segment_of(piece.length(), group_.size(), group_.rank());
    return {.begin = 0, .end = group_.rank() == 0 ? piece.length() : 0};
  }

  void run_piece(const Piece& piece, int64_t first, Readers& readers,
                 const model::RecurrentState& state, model::RecurrentState& next) {
    const dist::Segment segment = own_segment(piece);
    const auto count = static_cast<int64_t>(readers.size()), length = segment.length();
    std::vector<int32_t> tokens, labels;  // [count, length]
    for (const auto& reader : readers) {
      // Every rank steps through the whole sequence: a stream has no random access.
      reader->next(piece.length(), row_);
      const auto take = [&](const std::vector<int32_t>& from, std::vector<int32_t>& to) {
        to.insert(to.end(), from.begin() + segment.begin, from.begin() + segment.end);
      };
      take(row_.tokens, tokens);
      take(row_.labels, labels);
    }
    if (length == 0) return;

    const core::Shape shape{count, length};
    const core::Tensor device_tokens = core::Tensor::from(context_, tokens, shape);
    const core::Tensor device_labels = core::Tensor::from(context_, labels, shape);
    const core::Tensor loss(context_, core::state_dtype(model_.dtype()), shape);
    const core::Tensor predicted(context_, core::DType::kI32, shape);
    dist::HaloExchange halo = halo_exchange(piece);
    const model::SequenceParallel parallel{.states = &exchange_, .halo = &halo};
    model_.forward({.tokens = device_tokens,
                    .labels = device_labels,
                    .initial = &state,
                    .final_state = &next,
                    .parallel = piece.sharded ? &parallel : nullptr,
                    .loss = loss,
                    .predicted = predicted,
                    .logits = {},
                    .last_logits = {}});
    const std::vector<double> losses = doubles_of(context_, loss);
    std::vector<int32_t> guesses(tokens.size());
    core::copy(context_, predicted, core::TensorView(guesses.data(), core::DType::kI32, shape));
    const auto width = static_cast<size_t>(length);
    for (size_t i = 0; i < readers.size(); ++i) {
      sums_.add({.sequence = first + static_cast<int64_t>(i),
                 .position = piece.begin + segment.begin,
                 .labels = std::span(labels).subspan(i * width, width),
                 .predicted = std::span(guesses).subspan(i * width, width),
                 .losses = std::span(losses).subspan(i * width, width)});
    }
  }

  dist::HaloExchange halo_exchange(const Piece& piece) {
    std::vector<int64_t> lengths;
    for (int r = 0; r < group_.size(); ++r) {
      lengths.push_back(dist::segment_of(piece.length(), group_.size(), r).length());
    }
    return {context_, group_, lengths};
  }

  /// The last rank's state becomes the first rank's.
  void hand_over(const model::RecurrentState& state) {
    const int last = group_.size() - 1;
    std::vector<std::unique_ptr<dist::Pending>> pending;
    for (size_t i = 0; i < state.size(); ++i) {
      const int tag = static_cast<int>(i);
      if (group_.rank() == last) pending.push_back(group_.start_send(state[i], 0, tag));
      if (group_.rank() == 0) pending.push_back(group_.start_receive(state[i], last, tag));
    }
    for (const auto& operation : pending) operation->wait();
  }

  void report_progress(int64_t tokens) {
    tokens_done_ += tokens;
    if (mesh_.world().rank() == 0 && options_.progress) {
      options_.progress(static_cast<double>(tokens_done_) / static_cast<double>(tokens_total_));
    }
  }

  const dist::Mesh& mesh_;
  dist::Communicator& group_;
  model::LanguageModel& model_;
  core::Context& context_;
  const CurveOptions& options_;
  const ReaderOf& reader_of_;
  PositionSums sums_;
  dist::StateExchange exchange_;
  LabelledTokens row_;  // one sequence's piece
  int64_t tokens_done_ = 0, tokens_total_ = 0;
};

void check_vocabulary(const model::LanguageModel& model, int64_t needed, const std::string& what) {
  if (needed <= model.config().vocabulary) return;
  throw core::InputError(core::message(what, ": needs a vocabulary of ", needed,
                                       ", the model's has ", model.config().vocabulary));
}

PositionCurve noted(const std::string& task, const CurveOptions& options) {
  return {.task = task,
          .model = options.model,
          .length = options.length,
          .sequences = options.sequences,
          .training_length = options.training_length,
          .buckets = {},
          .states = {}};
}

}  // namespace

PositionCurve evaluate_text(const dist::Mesh& mesh, model::LanguageModel& model,
                            const data::TokenData& folder, const CurveOptions& options) {
  check(options);
  check_vocabulary(model, folder.vocabulary(), folder.path().string());
  const data::LongWindows windows =
      data::find_long_windows(folder, options.length, options.sequences, options.seed);
  const ReaderOf reader_of = [&](int64_t sequence) {
    return text_reader(folder, windows.begins.at(static_cast<size_t>(sequence)));
  };
  PositionCurve curve = noted("text", options);
  curve.whole_documents = windows.whole_documents;
  curve.inside_documents = windows.inside_documents;
  CurveRun(mesh, model, options, reader_of).run(curve);
  return curve;
}

PositionCurve evaluate_recall(const dist::Mesh& mesh, model::LanguageModel& model,
                              const data::RecallTask& task, const CurveOptions& options) {
  check(options);
  check_vocabulary(model, task.vocabulary(), "recall task");
  const ReaderOf reader_of = [&](int64_t sequence) {
    return recall_reader(task, options.seed, static_cast<uint64_t>(sequence));
  };
  PositionCurve curve = noted("recall", options);
  CurveRun(mesh, model, options, reader_of).run(curve);
  return curve;
}

}  // namespace longhaul::eval

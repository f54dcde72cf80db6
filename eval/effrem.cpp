#include "eval/effrem.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <utility>

#include "eval/first_state.h"
#include "eval/piece_run.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

std::vector<double> softmax(std::span<const double> logits) {
  double top = logits[0], sum = 0;
  for (double logit : logits) top = std::max(top, logit);
  std::vector<double> q;
  for (double logit : logits) q.push_back(std::exp(logit - top));
  for (double value : q) sum += value;
  for (double& value : q) value /= sum;
  return q;
}

double total_variation(const std::vector<double>& p, const std::vector<double>& q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::abs(p[i] - q[i]);
  return sum / 2;
}

/// One sequence and its suffixes: row 0 is the whole, row i + 1 begins at grid[i].
class SuffixRun {
 public:
  SuffixRun(PieceRun& pieces, dist::Communicator& group, model::LanguageModel& model,
            const CurveOptions& options, const std::vector<int64_t>& grid)
      : pieces_(pieces),
        group_(group),
        model_(model),
        context_(model.context()),
        options_(options),
        grid_(grid) {}

  /// distances [grid], written on the rank that runs the last token.
  void run(SequenceReader& reader, std::span<double> distances, BatchWatch& watch) {
    const int64_t length = options_.length;
    model::RecurrentState state = first_state(model_, options_.start, 1);
    for (int64_t begin = 0; begin < length;) {
      const size_t entered = static_cast<size_t>(state.batch()) - 1;
      const int64_t next = entered < grid_.size() ? grid_[entered] : length;
      // All rows of a piece together are as many tokens as other measures read at a time.
      const int64_t most = std::max<int64_t>(1, options_.piece * options_.batch / state.batch());
      const int64_t end = std::min(begin + most, next);
      const Piece piece = pieces_.piece(begin, end);
      run_piece(piece, reader, state, distances);
      if (end < length) pieces_.hand_over(piece, state);
      if (end == next && end < length) add_row(state);
      done_ += (end - begin) * static_cast<int64_t>(entered + 1);
      watch.advance(end == length ? 1 : static_cast<double>(done_) / total());
      begin = end;
    }
  }

 private:
  double total() const {
    int64_t tokens = options_.length;
    for (int64_t t : grid_) tokens += options_.length - t;
    return static_cast<double>(tokens);
  }

  void run_piece(const Piece& piece, SequenceReader& reader, model::RecurrentState& state,
                 std::span<double> distances) {
    LabelledTokens row;
    read_together(group_, [&] { reader.next(piece.length(), row); });
    if (piece.segment.length() == 0) return;
    const int64_t rows = state.batch();
    std::vector<int32_t> tokens;  // the same in every row
    for (int64_t i = 0; i < rows; ++i) {
      tokens.insert(tokens.end(), row.tokens.begin() + piece.segment.begin,
                    row.tokens.begin() + piece.segment.end);
    }
    const core::Tensor device_tokens =
        core::Tensor::from(context_, tokens, {rows, piece.segment.length()});
    core::Tensor logits;
    const bool at_end = piece.end == options_.length && piece.holds_end;
    if (at_end) {
      // As bf16 two predictions would differ by the rounding of their logits alone.
      logits = core::Tensor(context_, core::state_dtype(model_.dtype()),
                            {rows, model_.config().vocabulary});
    }
    pieces_.forward(piece, {.tokens = device_tokens, .last_logits = logits}, state);
    if (at_end) measure(logits, distances);
  }

  void measure(const core::Tensor& logits, std::span<double> distances) {
    const auto vocabulary = static_cast<size_t>(model_.config().vocabulary);
    const std::vector<double> values = doubles_of(context_, logits);
    const std::span<const double> all(values);
    const std::vector<double> whole = softmax(all.first(vocabulary));
    for (size_t i = 0; i < grid_.size(); ++i) {
      distances[i] = total_variation(whole, softmax(all.subspan((i + 1) * vocabulary, vocabulary)));
    }
  }

  /// One more row, at its beginning.
  void add_row(model::RecurrentState& state) {
    const int64_t rows = state.batch();
    model::RecurrentState larger = first_state(model_, options_.start, rows + 1);
    for (size_t i = 0; i < state.size(); ++i) {
      core::copy(context_, state[i], larger[i].view().slice(0, 0, rows));
    }
    state = std::move(larger);
  }

  PieceRun& pieces_;
  dist::Communicator& group_;
  model::LanguageModel& model_;
  core::Context& context_;
  const CurveOptions& options_;
  const std::vector<int64_t>& grid_;
  int64_t done_ = 0;  // tokens of all rows
};

/// Whether the last of so many tokens has a label.
bool is_asked_at_the_end(const Sequences& sequences, int64_t sequence, int64_t length) {
  const auto reader = sequences.reader_of(sequence);
  constexpr int64_t kAtOnce = 1 << 16;
  LabelledTokens row;
  for (int64_t begin = 0; begin < length; begin += kAtOnce) {
    reader->next(std::min(kAtOnce, length - begin), row);
  }
  return row.labels.back() >= 0;
}

/// Of recall those sequences that end in a query: what follows anything else nothing foretells.
Sequences asked_at_the_end(Sequences sequences, int64_t length) {
  constexpr int64_t kTries = 1000;  // for each that is found
  if (length % 2 == 0) {
    throw core::InputError(core::message(
        "--length: after ", length, " tokens of recall comes a key, which nothing foretells; ",
        "expected an odd length, whose last token can be a query"));
  }
  std::vector<int64_t> asked;
  for (int64_t sequence = 0; std::ssize(asked) < sequences.count; ++sequence) {
    if (sequence >= kTries * (std::ssize(asked) + 1)) {
      throw core::InputError(core::message("--length: of ", sequence, " sequences of ", length,
                                           " tokens ", asked.size(), " end in a query, expected ",
                                           sequences.count));
    }
    if (is_asked_at_the_end(sequences, sequence, length)) asked.push_back(sequence);
  }
  sequences.reader_of = [all = std::move(sequences.reader_of),
                         asked = std::move(asked)](int64_t sequence) {
    return all(asked.at(static_cast<size_t>(sequence)));
  };
  sequences.identity.emplace_back("last token", "a query");
  return sequences;
}

}  // namespace

std::vector<int64_t> effrem_grid(int64_t length, int64_t training_length) {
  std::set<int64_t> grid;
  for (int64_t t = 1; t < length; t *= 2) {
    grid.insert(t);
    grid.insert(length - t);
    if (t > length / 2) break;  // the next power may not fit into 64 bits
  }
  if (training_length > 0 && training_length < length) grid.insert(length - training_length);
  return {grid.begin(), grid.end()};
}

EffRem evaluate_effrem(const dist::Mesh& mesh, model::LanguageModel& model, const Sequences& all,
                       const CurveOptions& options) {
  check(options, all, model);
  if (options.length < 2) {
    throw core::InputError(core::message("--length: must be at least 2, is ", options.length));
  }
  const Sequences sequences = all.task == "recall" ? asked_at_the_end(all, options.length) : all;
  const std::vector<int64_t> grid = effrem_grid(options.length, options.training_length);
  PieceRun pieces(mesh.sequence_group(), model);
  const UnitJob job{
      .units = sequences.count,
      .width = std::ssize(grid),
      .batch = 1,  // its suffixes are the rows
      .run = [&](int64_t first, int64_t, std::span<double> numbers, BatchWatch& watch) {
        SuffixRun(pieces, mesh.sequence_group(), model, options, grid)
            .run(*sequences.reader_of(first), numbers, watch);
      }};
  const Continuation continuation = continuation_of("effrem", options, sequences, mesh, model);
  const std::vector<double> numbers = run_units(mesh, job, continuation);
  EffRem result{.model = options.model,
                .read = sequences.task,
                .length = options.length,
                .sequences = sequences.count,
                .training_length = options.training_length,
                .whole_documents = sequences.whole_documents,
                .inside_documents = sequences.inside_documents,
                .windows = sequences.windows,
                .sequences_asked = options.sequences,
                .measured = measured_by(continuation),
                .points = {}};
  for (size_t i = 0; i < grid.size(); ++i) {
    std::vector<double> distances;
    for (size_t at = i; at < numbers.size(); at += grid.size()) distances.push_back(numbers[at]);
    double sum = 0;
    for (double distance : distances) sum += distance;
    result.points.push_back({.dropped = grid[i],
                             .distance = sum / static_cast<double>(distances.size()),
                             .error = standard_error(distances),
                             .by_sequence = std::move(distances)});
  }
  return result;
}

}  // namespace longhaul::eval

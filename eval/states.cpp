#include "eval/states.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <span>

#include "eval/first_state.h"
#include "eval/head_memory.h"
#include "eval/piece_run.h"
#include "eval/state_sums.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

std::vector<int64_t> state_positions(int64_t length, int64_t training_length) {
  std::set<int64_t> positions{length};
  for (int64_t p = 1; p < length; p *= 2) {
    positions.insert(p);
    if (p > length / 2) break;  // the next power may not fit into 64 bits
  }
  if (training_length > 0 && training_length < length) positions.insert(training_length);
  return {positions.begin(), positions.end()};
}

namespace {

/// The recurrent states of a model, and where a sequence's numbers lie: Σ and Σ of squares of each
/// position and head, then Σ of log-decays of each head (the mean over its elements, where each has
/// its own), then what is kept of these elements.
struct HeadLayout {
  HeadLayout(const std::vector<model::StateSpec>& specs, std::vector<int64_t> at)
      : positions(std::move(at)) {
    for (size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].kind != model::StateKind::kRecurrent) continue;
      states.push_back(i);
      first_head.push_back(all_heads);
      heads.push_back(specs[i].heads);
      decays.push_back(specs[i].decays);
      layers.push_back(specs[i].layer);
      const int64_t of_head = specs[i].shape.elements() / specs[i].heads;
      elements.push_back(static_cast<double>(of_head));
      all_heads += static_cast<size_t>(specs[i].heads);
      any_elements = any_elements || of_elements(states.size() - 1);
    }
  }
  /// Whether a head of this state has more than one decay.
  bool of_elements(size_t state) const { return decays[state] > heads[state]; }
  size_t decays_of_head(size_t state) const {
    return static_cast<size_t>(decays[state] / heads[state]);
  }
  size_t place(size_t position, size_t head) const { return 2 * (position * all_heads + head); }
  size_t place_of_decay(size_t head) const { return place(positions.size(), 0) + head; }
  size_t place_of_elements(size_t head) const {
    return place_of_decay(all_heads) + (any_elements ? kElementNumbers * head : 0);
  }
  size_t width() const { return place_of_elements(all_heads); }

  std::vector<int64_t> positions;
  size_t all_heads = 0;
  bool any_elements = false;
  // Of each recurrent state: its place among all states, first head, heads, decays, layer, and the
  // elements of a head.
  std::vector<size_t> states, first_head;
  std::vector<int64_t> heads, decays, layers;
  std::vector<double> elements;
};

/// A batch of sequences, piece by piece, all ranks of a sequence group in step.
class StatesBatch {
 public:
  StatesBatch(dist::Communicator& group, PieceRun& pieces, model::LanguageModel& model,
              const CurveOptions& options, const HeadLayout& layout)
      : group_(group),
        pieces_(pieces),
        model_(model),
        context_(model.context()),
        options_(options),
        layout_(layout),
        element_decays_(layout.states.size()) {}

  /// Once. numbers [readers, width]
  void run(const Readers& readers, std::span<double> numbers, BatchWatch& watch) {
    model::RecurrentState state =
        first_state(model_, options_.start, static_cast<int64_t>(readers.size()));
    size_t position = 0;
    for (int64_t begin = 0; begin < options_.length;) {
      const int64_t end = std::min(begin + options_.piece, layout_.positions[position]);
      const Piece piece = pieces_.piece(begin, end);
      run_piece(piece, readers, state, numbers);
      const bool wanted = end == layout_.positions[position];
      if (wanted && piece.holds_end) add_states(position, state, numbers);
      if (wanted) ++position;
      if (end < options_.length) pieces_.hand_over(piece, state);
      watch.advance(static_cast<double>(end) / static_cast<double>(options_.length));
      begin = end;
    }
    for (size_t i = 0; i < element_decays_.size(); ++i) {
      if (layout_.of_elements(i)) add_elements(i, readers.size(), numbers);
    }
  }

 private:
  void run_piece(const Piece& piece, const Readers& readers, model::RecurrentState& state,
                 std::span<double> numbers) {
    const LabelledTokens own = pieces_.read(piece, readers);
    if (own.tokens.empty()) return;
    const auto batch = static_cast<int64_t>(readers.size());
    const core::Tensor tokens =
        core::Tensor::from(context_, own.tokens, {batch, piece.segment.length()});
    std::vector<core::Tensor> decays;
    model::ForwardPass pass{.tokens = tokens};
    for (int64_t count : layout_.decays) {
      decays.emplace_back(context_, core::state_dtype(model_.dtype()), core::Shape{batch, count});
      pass.log_decays.push_back(decays.back());
    }
    pieces_.forward(piece, pass, state);
    for (size_t i = 0; i < decays.size(); ++i) {
      add_decays(i, doubles_of(context_, decays[i]), numbers);
    }
  }

  /// sums [batch, decays of the state]
  void add_decays(size_t state, const std::vector<double>& sums, std::span<double> numbers) {
    const auto decays = static_cast<size_t>(layout_.decays[state]);
    const size_t of_head = layout_.decays_of_head(state);
    for (size_t at = 0; at < sums.size(); ++at) {
      const size_t head = layout_.first_head[state] + at % decays / of_head;
      numbers[at / decays * layout_.width() + layout_.place_of_decay(head)] +=
          sums[at] / static_cast<double>(of_head);
    }
    if (!layout_.of_elements(state)) return;
    std::vector<double>& own = element_decays_[state];
    own.resize(sums.size());
    for (size_t at = 0; at < sums.size(); ++at) own[at] += sums[at];
  }

  /// Collective over the group, after the last piece.
  void add_elements(size_t state, size_t batch, std::span<double> numbers) {
    std::vector<double>& sums = element_decays_[state];
    sums.resize(batch * static_cast<size_t>(layout_.decays[state]));  // of a rank without tokens
    if (group_.size() > 1) {
      group_.all_reduce_sum({sums.data(), core::DType::kF64, {static_cast<int64_t>(sums.size())}});
    }
    if (group_.rank() != 0) return;  // numbers add up over the group
    const size_t of_head = layout_.decays_of_head(state);
    const auto heads = static_cast<size_t>(layout_.heads[state]);
    for (size_t at = 0; at < batch * heads; ++at) {
      const size_t head = layout_.first_head[state] + at % heads;
      summarize_elements(
          std::span(sums).subspan(at * of_head, of_head), options_.length, options_.training_length,
          numbers.subspan(at / heads * layout_.width() + layout_.place_of_elements(head))
              .first<kElementNumbers>());
    }
  }

  void add_states(size_t position, const model::RecurrentState& state, std::span<double> numbers) {
    for (size_t i = 0; i < layout_.states.size(); ++i) {
      const auto heads = static_cast<size_t>(layout_.heads[i]);
      const std::vector<HeadMoments> moments =
          head_moments(context_, state[layout_.states[i]], layout_.heads[i]);
      for (size_t at = 0; at < moments.size(); ++at) {
        const size_t head = layout_.first_head[i] + at % heads;
        double* sums = &numbers[at / heads * layout_.width() + layout_.place(position, head)];
        sums[0] = moments[at].sum;
        sums[1] = moments[at].squares;
      }
    }
  }

  dist::Communicator& group_;
  PieceRun& pieces_;
  model::LanguageModel& model_;
  core::Context& context_;
  const CurveOptions& options_;
  const HeadLayout& layout_;
  /// Of each state whose elements have decays of their own, [batch, decays]: their sums over this
  /// rank's tokens.
  std::vector<std::vector<double>> element_decays_;
};

/// From all sequences' numbers to the statistics.
class Summary {
 public:
  Summary(const HeadLayout& layout, std::span<const double> numbers, StateStatistics& out)
      : layout_(layout),
        numbers_(numbers),
        sequences_(numbers.size() / layout.width()),
        out_(out) {}

  void run() {
    for (size_t i = 0; i < layout_.states.size(); ++i) {
      out_.layers.push_back({.layer = layout_.layers[i], .moments = {}});
      for (int64_t head = 0; head < layout_.heads[i]; ++head) {
        out_.heads.push_back({.layer = layout_.layers[i], .head = head, .moments = {}});
        const size_t index = layout_.first_head[i] + static_cast<size_t>(head);
        find_decay(index, out_.heads.back());
        if (layout_.of_elements(i)) out_.heads.back().elements = elements_of(index);
      }
    }
    for (size_t position = 0; position < layout_.positions.size(); ++position) add(position);
  }

 private:
  StateMoments at(size_t sequence, size_t position, size_t head, size_t state) const {
    const double* sums = &numbers_[sequence * layout_.width() + layout_.place(position, head)];
    return {.count = layout_.elements[state], .sum = sums[0], .squares = sums[1]};
  }

  /// `norms`: how many Frobenius norms the sums hold.
  static void append(MomentsByPosition& to, const StateMoments& sums, size_t norms) {
    to.mean.push_back(sums.mean());
    to.deviation.push_back(sums.deviation());
    to.norm.push_back(std::sqrt(sums.squares / static_cast<double>(norms)));
  }

  void add(size_t position) {
    StateMoments all;
    std::vector<StateMoments> by_sequence(sequences_);
    for (size_t i = 0; i < layout_.states.size(); ++i) {
      StateMoments of_layer;
      for (size_t h = 0; h < static_cast<size_t>(layout_.heads[i]); ++h) {
        const size_t head = layout_.first_head[i] + h;
        StateMoments of_head;
        for (size_t s = 0; s < sequences_; ++s) {
          const StateMoments one = at(s, position, head, i);
          of_head.add(one);
          by_sequence[s].add(one);
        }
        append(out_.heads[head].moments, of_head, sequences_);
        of_layer.add(of_head);
      }
      append(out_.layers[i].moments, of_layer, sequences_);
      all.add(of_layer);
    }
    append(out_.pooled, all, sequences_ * layout_.states.size());
    std::vector<double> deviations;
    for (const StateMoments& one : by_sequence) deviations.push_back(one.deviation());
    out_.deviation_error.push_back(standard_error(deviations));
  }

  void find_decay(size_t head, HeadStates& out) const {
    std::vector<double> means;
    for (size_t s = 0; s < sequences_; ++s) {
      means.push_back(numbers_[s * layout_.width() + layout_.place_of_decay(head)] /
                      static_cast<double>(layout_.positions.back()));
    }
    double sum = 0;
    for (double mean : means) sum += mean;
    out.log_decay = sum / static_cast<double>(sequences_);
    out.log_decay_error = standard_error(means);
  }

  ElementMemory elements_of(size_t head) const {
    std::array<double, kElementNumbers> sums{};
    for (size_t s = 0; s < sequences_; ++s) {
      const double* own = &numbers_[s * layout_.width() + layout_.place_of_elements(head)];
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += own[i];
    }
    return element_memory(sums, sequences_, out_.training_length);
  }

  const HeadLayout& layout_;
  std::span<const double> numbers_;
  size_t sequences_;
  StateStatistics& out_;
};

}  // namespace

StateStatistics evaluate_states(const dist::Mesh& mesh, model::LanguageModel& model,
                                const Sequences& sequences, const CurveOptions& options) {
  check(options, sequences, model);
  const HeadLayout layout(model.state_specs(),
                          state_positions(options.length, options.training_length));
  if (layout.states.empty()) throw core::InputError("states: the model has no recurrent state");
  PieceRun pieces(mesh.sequence_group(), model);
  const UnitJob job{
      .units = sequences.count,
      .width = static_cast<int64_t>(layout.width()),
      .batch = options.batch,
      .run = [&](int64_t first, int64_t count, std::span<double> numbers, BatchWatch& watch) {
        StatesBatch(mesh.sequence_group(), pieces, model, options, layout)
            .run(readers_of(sequences, first, count), numbers, watch);
      }};
  const Continuation continuation = continuation_of("states", options, sequences, mesh, model);
  const std::vector<double> numbers = run_units(mesh, job, continuation);
  StateStatistics result{.model = options.model,
                         .read = sequences.task,
                         .length = options.length,
                         .sequences = sequences.count,
                         .training_length = options.training_length,
                         .whole_documents = sequences.whole_documents,
                         .inside_documents = sequences.inside_documents,
                         .windows = sequences.windows,
                         .sequences_asked = options.sequences,
                         .measured = measured_by(continuation),
                         .positions = layout.positions,
                         .pooled = {},
                         .deviation_error = {},
                         .layers = {},
                         .heads = {}};
  Summary(layout, numbers, result).run();
  return result;
}

}  // namespace longhaul::eval

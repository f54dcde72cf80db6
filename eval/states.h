// Statistics of the recurrent (SSM) states by position: pooled, of each layer and of each head; and
// how long each head remembers, or its elements where each has a decay of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "eval/named.h"
#include "eval/sequences.h"
#include "model/language_model.h"

namespace longhaul::eval {

/// At each of StateStatistics::positions, over sequences and elements of what is pooled. norm: root
/// mean square over sequences (and layers, heads that are pooled) of a layer's, head's Frobenius
/// norm; pooled over layers as PositionCurve's.
struct MomentsByPosition {
  std::vector<double> mean, deviation, norm;
};

struct LayerStates {
  int64_t layer = 0;
  MomentsByPosition moments;
};

/// Tokens until what a token left in the state has fallen to 1/e, at this mean log-decay; infinite
/// where nothing decays.
inline double memory_at(double log_decay) {
  // A sum of zeros is +0, whose quotient would be −∞.
  return log_decay == 0 ? std::numeric_limits<double>::infinity() : -1 / log_decay;
}

/// Memories (memory_at) of the elements of a head that have decays of their own, each at its mean
/// log-decay in a sequence; over sequences the geometric mean.
struct ElementMemory {
  double shortest = 0, median = 0, longest = 0;
  /// Share of elements that remember longer than the training length; NaN where that is not known.
  double beyond = 0;
};

/// Of a Mamba-1 every layer is one head.
struct HeadStates {
  int64_t layer = 0, head = 0;
  /// Mean over tokens (and elements, where each has its own) of the log-decay ℓ_t = dt_t A ≤ 0, and
  /// its standard error over sequences.
  double log_decay = 0, log_decay_error = 0;
  MomentsByPosition moments;
  std::optional<ElementMemory> elements = {};  ///< absent where they all decay alike
  /// Where elements have decays of their own, the median's.
  double memory() const { return elements ? elements->median : memory_at(log_decay); }
};

struct StateStatistics {
  std::string model;  ///< as CurveOptions::model
  std::string read;   ///< "text" or "recall"
  int64_t length = 0, sequences = 0, training_length = 0;
  int64_t whole_documents = 0;  ///< documents of the data that were long enough (text)
  bool inside_documents = true;
  std::string windows;             ///< as Sequences::windows
  int64_t sequences_asked = 0;     ///< 0: not known
  Identity measured;               ///< how, as measured_by says; empty in older files
  std::vector<int64_t> positions;  ///< tokens read: powers of two, training length, length
  MomentsByPosition pooled;
  std::vector<double> deviation_error;  ///< of pooled: standard error over sequences
  std::vector<LayerStates> layers;
  std::vector<HeadStates> heads;  ///< layer after layer; of a mean over seeds none
  std::vector<Named<StateStatistics>>
      of_seeds;  ///< runs it is the mean of (eval/seeds.h); not in the file
};

/// Powers of two below `length`, the training length if it is below it, and `length`.
std::vector<int64_t> state_positions(int64_t length, int64_t training_length = 0);

/// Collective over the mesh, as evaluate_curve; memory does not grow with length.
StateStatistics evaluate_states(const dist::Mesh& mesh, model::LanguageModel& model,
                                const Sequences& sequences, const CurveOptions& options);

/// A head whose state at the end stands out: its modified z-score (Iglewicz & Hoaglin 1993,
/// 0.6745 · (x − median) / median absolute deviation) of x = log deviation is beyond ±3.5, or it is
/// not finite.
struct OutlierHead {
  size_t index = 0;  ///< in StateStatistics::heads
  double score = 0;  ///< infinite where the state is not finite
};
/// The furthest first.
std::vector<OutlierHead> outlier_heads(const StateStatistics& states);

/// As JSON (Protobuf JSON of eval/states.proto), written atomically; and back.
void write_states(const std::filesystem::path& file, const StateStatistics& states);
StateStatistics read_states(const std::filesystem::path& file);
std::string format_table(const StateStatistics& states);  ///< for the terminal

}  // namespace longhaul::eval

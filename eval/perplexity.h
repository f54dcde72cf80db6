// Perplexity and state statistics by position, in memory that does not grow with length: sequences
// are read in pieces, the state carried.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/recall_task.h"
#include "data/token_data.h"
#include "dist/mesh.h"
#include "eval/named.h"
#include "eval/sequence_means.h"
#include "eval/sequences.h"
#include "model/language_model.h"

namespace longhaul::eval {

/// Positions [begin, end) of a sequence, log-spaced: edges at powers of two and half-way between
/// (0 1 2 3 4 6 8 12 …). Position p holds the label of the token that follows token p. Where
/// `count` is 0 the other numbers are 0.
struct Bucket {
  int64_t begin = 0, end = 0;
  int64_t count = 0;               ///< labels counted
  double loss = 0;                 ///< mean, nats
  double loss_error = 0;           ///< standard error, clustered by sequence; NaN for one of them
  double accuracy = 0;             ///< share of labels predicted by the arg max
  double accuracy_error = 0;       ///< standard error, as of the loss
  SequenceMeans by_sequence = {};  ///< empty: not known (a mean over seeds, files without them)
};

/// State statistics at one position (the edges of the buckets, and the end), over sequences,
/// layers, heads and elements of the recurrent (SSM) states.
struct StatePoint {
  int64_t position = 0;  ///< tokens read
  double mean = 0, deviation = 0;
  double norm = 0;  ///< root mean square over sequences and layers of the Frobenius norm
  std::vector<double> layer_deviation;
  double deviation_error = 0;  ///< standard error over sequences of their deviations
};

struct PositionCurve {
  std::string task;   ///< "text" or "recall"
  std::string model;  ///< as CurveOptions::model
  int64_t length = 0, sequences = 0, training_length = 0;
  int64_t whole_documents = 0;  ///< documents of the data that were long enough (text)
  bool inside_documents = true;
  std::string windows;          ///< as Sequences::windows
  int64_t sequences_asked = 0;  ///< 0: not known
  int64_t window = 0;           ///< as CurveOptions::window
  Identity measured;            ///< how, as measured_by says; empty in older files
  double loss = 0, perplexity = 0, accuracy = 0;  ///< over everything; NaN without labels
  std::vector<Bucket> buckets;
  std::vector<StatePoint> states;
  /// Recall: queries by the pairs since their key occurred last (begin to end − 1), over all
  /// positions; those that there were.
  std::vector<Bucket> reaches;
  std::vector<Named<PositionCurve>>
      of_seeds;  ///< runs it is the mean of (eval/seeds.h); not in the file
};

std::vector<Bucket> log_buckets(int64_t length);

/// Collective over the mesh: sequences are dealt to data ranks, pieces sharded over sequence ranks.
/// The result is the same on every rank and for every mesh (to rounding). Throws Interrupted
/// where options.continuation says so. With options.window windows, not pieces, are dealt to
/// sequence ranks, and there are no states.
///
/// Such a curve is a floor to tell failures by: tokens at 64 T are not as hard as those at T, and
/// windows of T say what the model reaches at 64 T without ever reading more than T tokens. It is
/// somewhat higher than context of T everywhere would be, for contexts are of more than half a
/// window up to a whole one (eval/windows.h).
PositionCurve evaluate_curve(const dist::Mesh& mesh, model::LanguageModel& model,
                             const Sequences& sequences, const CurveOptions& options);
PositionCurve evaluate_text(const dist::Mesh& mesh, model::LanguageModel& model,
                            const data::TokenData& folder, const CurveOptions& options);
PositionCurve evaluate_recall(const dist::Mesh& mesh, model::LanguageModel& model,
                              const data::RecallTask& task, const CurveOptions& options);

/// As JSON (Protobuf JSON of eval/curve.proto), written atomically; and back. The means of each
/// sequence are left out where sequences times buckets exceed kMostSequenceMeans (sequence_means.h:
/// about 0.7 MB).
void write_curve(const std::filesystem::path& file, const PositionCurve& curve);
PositionCurve read_curve(const std::filesystem::path& file);
std::string format_table(const PositionCurve& curve);  ///< for the terminal

}  // namespace longhaul::eval

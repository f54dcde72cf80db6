// Effective remembrance: how much the first tokens of a sequence weigh in what is predicted after
// it (Buitrago Ruiz & Gu, "Understanding and Improving Length Generalization in Recurrent Models",
// ICML 2025):
//   EffRem_T(t) = TV(q(· | x[0:T]), q(· | x[t:T])),  TV(p, q) = ½ Σ |p − q|
// with q the distribution of the token after position T, and x[t:T] read from the zero state.
// 0: the first t tokens have no effect.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "eval/named.h"
#include "eval/sequences.h"
#include "model/language_model.h"

namespace longhaul::eval {

struct EffRemPoint {
  int64_t dropped = 0;  ///< t: tokens left out at the beginning, 1 to length − 1
  double distance = 0;  ///< mean over sequences
  double error = 0;     ///< standard error over sequences; NaN for one sequence
  std::vector<double> by_sequence =
      {};  ///< of each, in order; empty: not known (a mean over seeds, files without them)
};

struct EffRem {
  std::string model;  ///< as CurveOptions::model
  std::string read;   ///< "text" or "recall"
  int64_t length = 0, sequences = 0, training_length = 0;
  int64_t whole_documents = 0;  ///< documents of the data that were long enough (text)
  bool inside_documents = true;
  std::string windows;                  ///< as Sequences::windows
  int64_t sequences_asked = 0;          ///< 0: not known
  Identity measured;                    ///< how, as measured_by says; empty in older files
  std::vector<EffRemPoint> points;      ///< ascending in dropped
  std::vector<Named<EffRem>> of_seeds;  ///< runs it is the mean of (eval/seeds.h); not in the file
};

/// Powers of two below `length`, and `length` less these: log-spaced in tokens dropped and in
/// tokens kept; and what keeps the training length (0: not known). Ascending.
std::vector<int64_t> effrem_grid(int64_t length, int64_t training_length = 0);

/// Collective over the mesh: sequences are dealt to data ranks, pieces sharded over sequence ranks.
/// All suffixes of a sequence run side by side, each entering at its t with the zero state, so that
/// the sequence is read once; memory does not grow with its length. options.piece counts the tokens
/// of all rows together over options.batch sequences. Of recall the first options.sequences that
/// end in a query are taken, for nothing foretells what follows anything else. The same on every
/// rank. Throws InputError for a length below 2, of recall for an even one, Interrupted where
/// options.continuation says so.
EffRem evaluate_effrem(const dist::Mesh& mesh, model::LanguageModel& model,
                       const Sequences& sequences, const CurveOptions& options);

/// As JSON (Protobuf JSON of eval/effrem.proto), written atomically; and back. The distances of
/// each sequence are left out where sequences times points exceed kMostSequenceMeans.
void write_effrem(const std::filesystem::path& file, const EffRem& effrem);
EffRem read_effrem(const std::filesystem::path& file);
std::string format_table(const EffRem& effrem);  ///< for the terminal

}  // namespace longhaul::eval

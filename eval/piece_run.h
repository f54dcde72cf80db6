// Sequences read piece by piece by the ranks of a sequence group: each piece is sharded over them,
// and the state goes from its end to the first rank, so that memory does not grow with length.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dist/mesh.h"
#include "dist/state_exchange.h"
#include "eval/sequence_reader.h"
#include "model/language_model.h"

namespace longhaul::eval {

/// Tokens [begin, end) of every row, and the part of them that this rank runs.
struct Piece {
  int64_t begin = 0, end = 0;
  bool sharded = false;    ///< else the first rank runs all of it
  dist::Segment segment;   ///< own tokens, counted from `begin`; may be empty
  bool holds_end = false;  ///< this rank ran the last token: its final state and last logits count
  int64_t length() const { return end - begin; }
};

class PieceRun {
 public:
  PieceRun(dist::Communicator& sequence_group, model::LanguageModel& model);

  Piece piece(int64_t begin, int64_t end) const;

  /// Collective over the group (read_together): the own segment of the next piece of every reader,
  /// reader after reader. Readers step over the whole piece on every rank: a stream has no random
  /// access.
  LabelledTokens read(const Piece& piece, const Readers& readers);

  /// Collective over the group. Views in `pass` are of the own segment; initial, final_state and
  /// parallel are filled in here. `state` enters the piece (on the first rank) and leaves it (on
  /// the rank that holds the end).
  void forward(const Piece& piece, model::ForwardPass pass, model::RecurrentState& state);
  /// Collective: the state that left the piece goes to the first rank, ready for the next piece.
  void hand_over(const Piece& piece, const model::RecurrentState& state);

 private:
  dist::HaloExchange halo_exchange(const Piece& piece);

  dist::Communicator& group_;
  model::LanguageModel& model_;
  dist::StateExchange exchange_;
};

/// The numbers of a contiguous floating-point tensor on any device.
std::vector<double> doubles_of(core::Context& context, const core::TensorView& view);

}  // namespace longhaul::eval

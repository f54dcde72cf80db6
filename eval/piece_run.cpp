#include "eval/piece_run.h"

#include <algorithm>
#include <utility>

#include "eval/unit_run.h"
#include "kernels/core/context.h"
#include "model/state_handover.h"

namespace longhaul::eval {

namespace {

void read_own(const Piece& piece, const Readers& readers, LabelledTokens& own) {
  LabelledTokens row;
  for (const auto& reader : readers) {
    reader->next(piece.length(), row);
    const auto take = [&](const std::vector<int32_t>& from, std::vector<int32_t>& to) {
      to.insert(to.end(), from.begin() + piece.segment.begin, from.begin() + piece.segment.end);
    };
    take(row.tokens, own.tokens);
    take(row.labels, own.labels);
    if (!row.reaches.empty()) take(row.reaches, own.reaches);
  }
}

}  // namespace

PieceRun::PieceRun(dist::Communicator& sequence_group, model::LanguageModel& model)
    : group_(sequence_group),
      model_(model),
      // Not `auto`, which goes by bytes: a sequence's numbers would depend on its neighbours.
      exchange_(model.context(), group_, dist::ExchangeAlgorithm::kLogStep) {}

Piece PieceRun::piece(int64_t begin, int64_t end) const {
  Piece piece{.begin = begin, .end = end};
  // Fewer tokens than ranks: the first rank runs them alone, no rank has an empty segment.
  piece.sharded = group_.size() > 1 && piece.length() >= group_.size();
  piece.segment = piece.sharded ? dist::segment_of(piece.length(), group_.size(), group_.rank())
                                : dist::Segment{.end = group_.rank() == 0 ? piece.length() : 0};
  piece.holds_end = group_.rank() == (piece.sharded ? group_.size() - 1 : 0);
  return piece;
}

void PieceRun::forward(const Piece& piece, model::ForwardPass pass, model::RecurrentState& state) {
  if (piece.segment.length() == 0) return;
  model::RecurrentState next = model_.make_state(state.batch());
  pass.initial = &state;
  pass.final_state = &next;
  dist::HaloExchange halo = halo_exchange(piece);
  const model::SequenceParallel parallel{.states = &exchange_, .halo = &halo};
  pass.parallel = piece.sharded ? &parallel : nullptr;
  model_.forward(pass);
  std::swap(state, next);
}

dist::HaloExchange PieceRun::halo_exchange(const Piece& piece) {
  std::vector<int64_t> lengths;
  for (int r = 0; r < group_.size(); ++r) {
    lengths.push_back(dist::segment_of(piece.length(), group_.size(), r).length());
  }
  return {model_.context(), group_, lengths};
}

void PieceRun::hand_over(const Piece& piece, const model::RecurrentState& state) {
  if (piece.sharded) model::hand_to_first_rank(group_, state);
}

LabelledTokens PieceRun::read(const Piece& piece, const Readers& readers) {
  LabelledTokens own;
  read_together(group_, [&] { read_own(piece, readers, own); });
  return own;
}

std::vector<double> doubles_of(core::Context& context, const core::TensorView& view) {
  std::vector<double> values(static_cast<size_t>(view.elements()));
  if (view.dtype() == core::DType::kF64) {
    core::copy(context, view, core::TensorView(values.data(), view.dtype(), view.shape()));
    return values;
  }
  const auto widen = [&]<class T>(T) {
    std::vector<T> narrow(values.size());
    core::copy(context, view, core::TensorView(narrow.data(), core::kDTypeOf<T>, view.shape()));
    std::transform(narrow.begin(), narrow.end(), values.begin(),
                   [](T value) { return static_cast<double>(static_cast<float>(value)); });
  };
  view.dtype() == core::DType::kBF16 ? widen(core::BFloat16{}) : widen(float{});
  return values;
}

}  // namespace longhaul::eval

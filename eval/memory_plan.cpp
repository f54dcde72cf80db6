#include "eval/memory_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "dist/mesh.h"
#include "eval/effrem.h"
#include "kernels/core/memory_tally.h"
#include "kernels/workspace.h"
#include "model/architecture.h"
#include "model/memory_plan.h"

namespace longhaul::eval {

namespace {

using core::MemoryTally;

int64_t peak_of_rank(const MemoryQuestion& q, int sequence_rank) {
  MemoryTally tally;
  std::vector<MemoryTally::Block> held;
  const core::DType master = core::state_dtype(q.dtype);
  const auto elements = model::flat_elements(model::parameters_of(q.model));
  held.push_back(tally.tensor(master, {elements}));
  if (q.dtype != master) held.push_back(tally.tensor(q.dtype, {elements}));
  held.push_back(tally.tensor(master, {elements}));  // gradients, which every model has
  if (q.device == core::DeviceKind::kCuda) {
    held.emplace_back(tally, kernels::gemm_workspace(q.device));
  }
  const bool is_parallel = q.sequence_ranks > 1 && q.tokens >= q.sequence_ranks;
  const int64_t own =
      is_parallel ? dist::segment_of(q.tokens, q.sequence_ranks, sequence_rank).length() : q.tokens;
  for (int i = 0; i < 2; ++i) {  // entering, leaving
    for (auto& block : model::plan_state(q.model, q.dtype, q.sequences, tally)) {
      held.push_back(std::move(block));
    }
  }
  for (const core::DType each : {core::DType::kI32, core::DType::kI32, master, core::DType::kI32}) {
    held.push_back(tally.tensor(each, {q.sequences, own}));  // tokens, labels, losses, predicted
  }
  model::plan_forward(q.model,
                      {.device = q.device,
                       .dtype = q.dtype,
                       .batch = q.sequences,
                       .length = own,
                       .threads = q.threads,
                       .sequence_ranks = is_parallel ? q.sequence_ranks : 1,
                       .sequence_rank = is_parallel ? sequence_rank : 0,
                       .exchange = dist::ExchangeAlgorithm::kLogStep},
                      tally);
  return tally.peak();
}

}  // namespace

int64_t plan_memory(const MemoryQuestion& question) {
  int64_t most = 0;
  for (int rank = 0; rank < question.sequence_ranks; ++rank) {
    most = std::max(most, peak_of_rank(question, rank));
  }
  return most;
}

std::vector<PieceExtents> effrem_pieces(int64_t length, int64_t training_length, double most) {
  std::vector<int64_t> ends = effrem_grid(length, training_length);
  ends.push_back(length);
  std::vector<PieceExtents> pieces;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    const int64_t rows = std::ssize(pieces) + 1;
    const double tokens = std::max(1.0, std::floor(most / static_cast<double>(rows)));
    pieces.push_back(
        {.sequences = rows,
         .tokens = static_cast<int64_t>(std::min(tokens, static_cast<double>(end - begin)))});
    begin = end;
  }
  return pieces;
}

}  // namespace longhaul::eval

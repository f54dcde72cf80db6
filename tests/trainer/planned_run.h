// A run of a few steps and what it does with memory, for comparison with the plan.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <vector>

#include "dist/communicator.h"
#include "trainer/memory_plan.h"

namespace longhaul::testing {

struct PlannedRun {
  const char* name = "";
  model::ModelConfig model;
  trainer::BatchConfig batch;
  dist::MeshShape mesh;
  trainer::SourceKind source = trainer::SourceKind::kZero;
  dist::ExchangeAlgorithm exchange = dist::ExchangeAlgorithm::kChain;
  bool full_gradient = true, sharded = false;
  core::DType dtype = core::DType::kF32;
  int threads = 1;
  core::Device device = {};
  int64_t steps = 1;
  /// What the ranks speak through, made of the threads' communicator; empty: that itself.
  std::function<std::unique_ptr<dist::Communicator>(dist::Communicator& threads)> communicator;
};
std::ostream& operator<<(std::ostream& out, const PlannedRun& run);

trainer::MemoryPlan plan_of(const PlannedRun& run);

struct MeasuredMemory {
  int64_t peak = 0, reserved = 0;    ///< of the rank that has most
  std::vector<int64_t> allocations;  ///< from the system, of all ranks, in each step
  int64_t checkpoint = 0;            ///< bytes of tensors in the files of the last
};
MeasuredMemory measure(const PlannedRun& run);

/// Width 64, three layers.
model::ModelConfig planned_model();

}  // namespace longhaul::testing

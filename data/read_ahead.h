#pragma once

#include <cstdint>
#include <memory>

#include "data/batch.h"

namespace longhaul::data {

/// The batches of `source`, up to `batches` of them read in advance by a thread of its own, so that
/// what a slow file system or a task takes falls into the time of the step before. The same
/// batches, the same positions; what the source throws is thrown where its batch is asked for, and
/// the batch is tried again when it is asked for once more.
std::unique_ptr<BatchSource> read_ahead(std::unique_ptr<BatchSource> source, int64_t batches);

}  // namespace longhaul::data

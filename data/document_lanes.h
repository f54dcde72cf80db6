// Lanes whose rows never cross a document border (samplers.h, reset_at_documents).
#pragma once

#include <cstdint>
#include <memory>

#include "data/samplers.h"

namespace longhaul::data {

/// Lanes of a global batch need unequal numbers of rows for their shares of the tokens, so each one
/// goes through its epochs on its own.
std::unique_ptr<BatchSource> make_document_lanes(const TokenData& folder, int64_t length,
                                                 uint64_t seed, RowShare share);

/// First token of lane 0 in an epoch; the others follow around the ring of all tokens.
int64_t lane_rotation(const TokenData& folder, uint64_t seed, int64_t epoch);

}  // namespace longhaul::data

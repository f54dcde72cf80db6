#pragma once

#include <vector>

#include "data/bpe/description.h"
#include "data/json_part.h"

namespace longhaul::data {

/// The steps of the part pre_tokenizer, which must end with ByteLevel.
std::vector<SplitStep> read_split_steps(const JsonPart& part);

}  // namespace longhaul::data

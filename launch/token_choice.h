#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::launch {

struct TokenChoice {
  double temperature = 0;  ///< 0: the most likely token
  int64_t top_k = 0;       ///< choose among so many; 0: among all
  uint64_t seed = 1;
};

/// The token that follows, from the logits of all tokens; `position` counts the tokens generated.
/// Of equal logits the lowest token wins. Throws core::Error where no logit is finite.
int32_t choose_token(const std::vector<double>& logits, const TokenChoice& choice,
                     int64_t position);

}  // namespace longhaul::launch

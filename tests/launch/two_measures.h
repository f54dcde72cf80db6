#pragma once

namespace longhaul::launch {

/// Of a sweep's YAML: text, and passkeys of two lengths.
inline constexpr const char* kTwoMeasures =
    "measures:\n"
    "  - perplexity: {data: tokens, length: 64, sequences: 2, no_states: true, name: text}\n"
    "  - passkey: {lengths: [16, 32], depths: 0.5, trials: 3, tokenizer: byte}\n";

}  // namespace longhaul::launch

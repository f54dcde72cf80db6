// Passkey retrieval in the text format of Landmark Attention (Mohtashami & Jaggi 2023): a key of
// five digits, said twice, somewhere in sentences that say nothing; at the end it is asked for.
#pragma once

#include <memory>

#include "data/tasks/task.h"
#include "data/tokenizer.h"

namespace longhaul::data {

inline constexpr int64_t kPasskeyDigits = 5;

/// Five lines: what is to be done, filler, the key, filler, the question. Keys are drawn evenly
/// from 00000 to 99999; filler is cut to the token, so that lengths are exact; depth 0 puts the key
/// before all filler, 1 after it. `tokenizer` must outlive the task.
std::unique_ptr<Task> make_passkey_task(const Tokenizer& tokenizer);

}  // namespace longhaul::data

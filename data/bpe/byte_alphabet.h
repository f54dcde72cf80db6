// The spelling of bytes in the files of byte-level BPE: a visible character for each (GPT-2's
// table: what prints in Latin-1 stands for itself, the others for U+0100 up, in order).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longhaul::data {

std::string spell_byte(unsigned char byte);

/// Bytes that `spelling` (UTF-8) stands for; nothing if a character of it stands for none.
std::optional<std::string> bytes_of(std::string_view spelling);

}  // namespace longhaul::data

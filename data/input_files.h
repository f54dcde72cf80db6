// Which files a tokenize job reads, and in which order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/tokenize.h"

namespace longhaul::data {

struct InputFile {
  std::filesystem::path path;
  int64_t bytes = 0;     ///< as stored; 0 for what is not a regular file
  bool is_named = true;  ///< by the user: refused if its content is no text, else left out
};

/// Named files as they are; of folders the regular files, in sorted order. Hidden entries, links
/// and the job's own output are left out. Throws InputError with everything that cannot be read, or
/// is named and no text.
std::vector<InputFile> collect_inputs(const TokenizeJob& job);

}  // namespace longhaul::data

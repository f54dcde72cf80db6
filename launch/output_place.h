// Where import and export may write.
#pragma once

#include <filesystem>

namespace longhaul::launch {

/// InputError where `output` is a run, or the model or a checkpoint of one: what it was trained to
/// is not replaced by what is made of it.
void expect_outside_of_runs(const std::filesystem::path& output);

/// InputError where something else than a GGUF file would be replaced.
void expect_gguf_or_nothing(const std::filesystem::path& output);

}  // namespace longhaul::launch

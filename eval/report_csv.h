#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/run_folder.h"

namespace longhaul::eval {

/// The numbers of the report as FOLDER/*.csv, one file a kind, a row a number's place:
///   positions, reaches    begin, end, count, loss, perplexity, accuracy (perplexity, recall)
///   states                position, mean, deviation, norm (perplexity, recall, states)
///   heads, head_states    memory of each head; its states by position
///   questions             length, depth_low, depth_high, trials, accuracy, low, high, exact
///                         (passkey, babilong, copy); part "": over all parts
///   effrem                dropped, distance
///   training              step, tokens, name, value: as logged
///   configurations        key, value
/// All but the last two begin with arm, seed, seeds (of how many runs the row is the mean: then the
/// errors are their standard deviation, and seed is empty) and evaluation (name of the file). Of
/// means every seed has its own rows too. Files without a row are not written.
void write_report_csv(const std::filesystem::path& folder, const std::vector<RunFolder>& runs,
                      const std::vector<std::string>& arms);

}  // namespace longhaul::eval

// The tables of SCALING.md, in Markdown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/scaling/prediction.h"

namespace longhaul::bench {

/// What the tables are about.
struct TableSetting {
  const Network& network;
  const Device& device;
  std::vector<std::string> models{"mamba2-1.3b", "mamba2-2.7b"};
  int64_t tokens = int64_t{1} << 22;  ///< of a step, however long its sequences are
  std::vector<int64_t> lengths{1 << 15, 1 << 18, 1 << 20, 1 << 22};
  std::vector<int64_t> ranks{8, 64, 512, 4096};
};

/// What the figures rest on.
std::string assumptions_table(const TableSetting& setting);
/// A step of `tokens` at every length and number of ranks: best mesh and algorithm, head
/// parallelism beside it.
std::string steps_table(const TableSetting& setting, const std::string& model);
/// One sequence over 8, 16, … ranks: how much faster each doubling is, and where it stops paying.
std::string doubling_table(const TableSetting& setting, const std::string& model);
/// One layer's exchange of one sequence, every algorithm.
std::string exchange_table(const TableSetting& setting, const std::string& model);

/// "262,144" or "4M"; seconds with three digits; bytes in GB.
std::string tokens_text(int64_t tokens);
std::string seconds_text(double seconds);

std::string markdown(const std::vector<std::vector<std::string>>& rows);

}  // namespace longhaul::bench

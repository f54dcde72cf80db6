#include "launch/environment/environment_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iterator>
#include <map>
#include <utility>

#include "kernels/core/error.h"
#include "launch/text_table.h"

namespace longhaul::launch {

namespace {

using core::message;
using Lines = std::vector<std::string>;

constexpr double kClockLimit_s = 1;
constexpr int64_t kSharedMemoryOfARank = int64_t{16} << 20;

std::string place_of(const RankFacts& facts) {
  return message("rank ", facts.rank, " (host ", facts.host, ")");
}

std::string build_text(const RankFacts& facts) {
  return facts.version + (facts.build.empty() ? "" : " build " + facts.build);
}

std::string device_text(const RankFacts& facts) {
  return facts.device + (facts.device_bytes < 0 ? "" : " " + size_text(facts.device_bytes));
}

std::string seconds_text(double seconds, const char* format) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), format, seconds);
  return text.data();
}

/// `problem` says what is wrong with a rank, or nothing.
void add_problems(const std::vector<RankFacts>& facts,
                  const std::function<std::string(const RankFacts&)>& problem, Lines& lines) {
  std::vector<std::pair<std::string, std::string>> order;  // host and problem
  std::map<std::pair<std::string, std::string>, std::vector<int64_t>> ranks;
  for (const RankFacts& rank : facts) {
    const std::pair key(rank.host, problem(rank));
    if (key.second.empty()) continue;
    if (ranks[key].empty()) order.push_back(key);
    ranks[key].push_back(rank.rank);
  }
  for (const auto& key : order) {
    lines.push_back(message(ranks[key].size() > 1 ? "ranks " : "rank ", number_ranges(ranks[key]),
                            " (host ", key.first, ") ", key.second));
  }
}

/// Where `text` of a rank is not that of the first.
void add_differences(const std::vector<RankFacts>& facts, const std::string& what,
                     const std::function<std::string(const RankFacts&)>& text, Lines& lines) {
  const std::string expected = text(facts.front());
  add_problems(
      facts,
      [&](const RankFacts& rank) {
        const std::string found = text(rank);
        if (found == expected) return std::string();
        return message(what, " ", found.empty() ? "none" : found, ", ", place_of(facts.front()),
                       " ", expected.empty() ? "none" : expected);
      },
      lines);
}

/// By host, of the ranks that know it. Ranks look at different moments: what they find differs by a
/// little, and is one thing all the same.
std::map<std::string, int64_t> least_by_host(const std::vector<RankFacts>& facts,
                                             int64_t RankFacts::*bytes) {
  std::map<std::string, int64_t> least;
  for (const RankFacts& rank : facts) {
    if (rank.*bytes < 0) continue;
    const auto [known, is_new] = least.emplace(rank.host, rank.*bytes);
    if (!is_new) known->second = std::min(known->second, rank.*bytes);
  }
  return least;
}

void add_refusals(const std::vector<RankFacts>& facts, const EnvironmentNeeds& needs,
                  Lines& lines) {
  add_differences(facts, "runs longhaul", build_text, lines);
  add_differences(
      facts, "runs MPI", [](const RankFacts& rank) { return rank.mpi; }, lines);
  add_problems(
      facts,
      [&](const RankFacts& rank) {
        if (rank.sees_folder) return std::string();
        return message("does not see what ", place_of(facts.front()), " wrote in ", needs.folder,
                       ", expected a file system that all hosts share");
      },
      lines);
  std::vector<RankFacts> sharing;
  std::copy_if(facts.begin(), facts.end(), std::back_inserter(sharing),
               [](const RankFacts& rank) { return rank.sees_folder; });
  const auto least = least_by_host(sharing, &RankFacts::folder_free_bytes);
  add_problems(
      sharing,
      [&](const RankFacts& rank) {
        const auto free = least.find(rank.host);
        if (free == least.end() || free->second >= needs.checkpoint_bytes) return std::string();
        return message("has ", size_text(free->second), " free in ", needs.folder,
                       ", a checkpoint takes ", size_text(needs.checkpoint_bytes));
      },
      lines);
  add_problems(
      facts,
      [&](const RankFacts& rank) {
        return device_memory_problem(rank.device_bytes, needs.device_bytes);
      },
      lines);
  add_problems(
      facts,
      [&](const RankFacts& rank) {
        if (rank.block_bytes < 0 || rank.block_bytes >= needs.block_bytes) return std::string();
        return message("has a device (", rank.device, ") with ", rank.block_bytes >> 10,
                       " KiB of shared memory, this dtype takes ", needs.block_bytes >> 10,
                       " KiB, expected run.dtype: bf16");
      },
      lines);
}

std::string clock_problem(const RankFacts& rank, const RankFacts& first) {
  const double apart = std::abs(rank.clock_offset_s) - rank.clock_uncertainty_s;
  if (!(apart > kClockLimit_s)) return "";
  return message("has a clock ", seconds_text(std::abs(rank.clock_offset_s), "%.1f"), " s ",
                 rank.clock_offset_s > 0 ? "ahead of" : "behind", " that of ", place_of(first));
}

void add_memory_warnings(const std::vector<RankFacts>& facts, const EnvironmentNeeds& needs,
                         const std::map<std::string, int64_t>& ranks_of_host, Lines& lines) {
  const auto least = least_by_host(facts, &RankFacts::memory_free_bytes);
  add_problems(
      facts,
      [&](const RankFacts& rank) {
        const auto free = least.find(rank.host);
        return memory_problem(free == least.end() ? -1 : free->second, ranks_of_host.at(rank.host),
                              needs.memory_bytes);
      },
      lines);
}

void add_warnings(const std::vector<RankFacts>& facts, const EnvironmentNeeds& needs,
                  Lines& lines) {
  const RankFacts& first = facts.front();
  std::map<std::string, int64_t> ranks_of_host;
  for (const RankFacts& rank : facts) ranks_of_host[rank.host] += 1;
  add_problems(
      facts, [&](const RankFacts& rank) { return clock_problem(rank, first); }, lines);
  add_differences(facts, "computes on", device_text, lines);
  add_differences(
      facts, "has CUDA", [](const RankFacts& rank) { return rank.cuda; }, lines);
  add_problems(
      facts,
      [](const RankFacts& rank) {
        if (rank.cores >= rank.threads) return std::string();
        return message("may run on ", rank.cores, rank.cores == 1 ? " core" : " cores", " with ",
                       rank.threads, " threads (mpirun's --bind-to?)");
      },
      lines);
  add_memory_warnings(facts, needs, ranks_of_host, lines);
  const auto least = least_by_host(facts, &RankFacts::shm_free_bytes);
  add_problems(
      facts,
      [&](const RankFacts& rank) {
        const int64_t ranks = ranks_of_host[rank.host];
        const auto free = least.find(rank.host);
        const bool is_enough = free == least.end() || free->second >= ranks * kSharedMemoryOfARank;
        if (ranks < 2 || is_enough) return std::string();
        return message("has ", size_text(free->second), " free in /dev/shm for ", ranks,
                       " ranks' messages");
      },
      lines);
}

/// What ranks must have in common to share a row of the table.
Lines fixed_cells(const RankFacts& rank) {
  std::string interfaces;
  for (const std::string& name : rank.interfaces)
    interfaces += (interfaces.empty() ? "" : ",") + name;
  return {rank.host,         build_text(rank),
          rank.mpi,          rank.cuda,
          device_text(rank), message(rank.cores, "/", rank.threads),
          interfaces,        rank.sees_folder ? "yes" : "no"};
}

struct Row {
  std::vector<int64_t> ranks, pids;
  double clock_offset_s = 0, clock_uncertainty_s = 0;
  int64_t folder_free_bytes = -1, shm_free_bytes = -1;

  void add(const RankFacts& rank) {
    if (ranks.empty() || std::abs(rank.clock_offset_s) > std::abs(clock_offset_s)) {
      clock_offset_s = rank.clock_offset_s;
      clock_uncertainty_s = rank.clock_uncertainty_s;
    }
    const auto least = [&](int64_t so_far, int64_t found) {
      return ranks.empty() ? found : std::min(so_far, found);
    };
    folder_free_bytes = least(folder_free_bytes, rank.folder_free_bytes);
    shm_free_bytes = least(shm_free_bytes, rank.shm_free_bytes);
    ranks.push_back(rank.rank);
    pids.push_back(rank.pid);
  }
};

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }
std::string free_text(int64_t bytes) { return bytes < 0 ? "-" : size_text(bytes); }

}  // namespace

std::string memory_problem(int64_t free_bytes, int64_t ranks, int64_t bytes_of_rank) {
  if (free_bytes < 0 || ranks * bytes_of_rank <= free_bytes) return "";
  return message("has ", size_text(free_bytes), " of memory left, its ", ranks,
                 ranks == 1 ? " rank is" : " ranks are", " planned to take ",
                 size_text(ranks * bytes_of_rank));
}

std::string device_memory_problem(int64_t all_bytes, int64_t bytes_of_rank) {
  if (all_bytes < 0 || bytes_of_rank <= all_bytes) return "";
  return message("has a device of ", size_text(all_bytes), ", a rank is planned to take ",
                 size_text(bytes_of_rank));
}

EnvironmentVerdict judge_environment(const std::vector<RankFacts>& facts,
                                     const EnvironmentNeeds& needs) {
  EnvironmentVerdict verdict;
  add_refusals(facts, needs, verdict.refusals);
  add_warnings(facts, needs, verdict.warnings);
  return verdict;
}

std::string environment_table(const std::vector<RankFacts>& facts) {
  std::vector<Lines> order;
  std::map<Lines, Row> rows;
  for (const RankFacts& rank : facts) {
    const Lines cells = fixed_cells(rank);
    Row& row = rows[cells];
    if (row.ranks.empty()) order.push_back(cells);
    row.add(rank);
  }
  TextTable table({"host", "ranks", "pids", "longhaul", "MPI", "CUDA", "device", "cores/threads",
                   "interfaces", "clock", "free disk", "free shm", "sees run"});
  for (const Lines& cells : order) {
    Row& row = rows[cells];
    std::sort(row.pids.begin(), row.pids.end());
    const std::string clock = row.ranks.front() == 0 && row.clock_uncertainty_s == 0
                                  ? "0"
                                  : seconds_text(row.clock_offset_s, "%+.3f") +
                                        seconds_text(row.clock_uncertainty_s, " ±%.3f s");
    table.add({cells[0], number_ranges(row.ranks), number_ranges(row.pids), cells[1],
               or_dash(cells[2]), or_dash(cells[3]), cells[4], cells[5], or_dash(cells[6]), clock,
               free_text(row.folder_free_bytes), free_text(row.shm_free_bytes), cells[7]});
  }
  return table.text();
}

std::string verdict_text(const EnvironmentVerdict& verdict) {
  const size_t warnings = verdict.warnings.size();
  if (!verdict.refusals.empty()) return "refused";
  if (warnings == 0) return "ok";
  return message(warnings, warnings == 1 ? " warning" : " warnings");
}

std::string number_ranges(const std::vector<int64_t>& numbers) {
  std::string text;
  for (size_t begin = 0; begin < numbers.size();) {
    size_t end = begin + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[begin]);
    if (end - begin > 1) text += "-" + std::to_string(numbers[end - 1]);
    begin = end;
  }
  return text;
}

}  // namespace longhaul::launch

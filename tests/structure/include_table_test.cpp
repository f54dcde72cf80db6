// The map in executable form: who may include whom. README.md shows the same table to people.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "tests/structure/source_tree.h"

namespace longhaul::testing {
namespace {

using Names = std::set<std::string>;
const char* const kEverything = "everything";

// Row: folder → folders it may include beside itself. A folder stands for its sub-folders too.
const std::map<std::string, Names>& table() {
  static const std::map<std::string, Names> rows{
      {"kernels/core", {}},
      {"kernels", {"kernels/core"}},
      {"dist", {"kernels/core"}},
      {"data", {"kernels/core"}},
      {"model", {"kernels", "dist"}},
      {"trainer", {"model", "data", "dist", "kernels"}},
      {"eval", {"model", "data", "dist", "kernels"}},
      {"launch", {kEverything}},
      {"tests", {kEverything}},
      {"bench", {kEverything}},
  };
  return rows;
}

bool lies_in(const std::string& path, const std::string& folder) {
  return path.rfind(folder + "/", 0) == 0;
}

/// The row that a path belongs to: the longest folder that holds it; "" if none does.
std::string row_of(const std::string& path) {
  std::string best;
  for (const auto& [folder, allowed] : table()) {
    if (lies_in(path, folder) && folder.size() > best.size()) best = folder;
  }
  return best;
}

bool is_allowed(const std::string& from, const std::string& included) {
  const std::string row = row_of(from);
  if (row.empty()) return false;
  if (row_of(included) == row) return true;
  const Names& allowed = table().at(row);
  return allowed.count(kEverything) > 0 ||
         std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& folder) { return lies_in(included, folder); });
}

/// visit(file, line number, name, whether in angle brackets) for every #include of the tree.
template <class Visit>
void each_include(const Visit& visit) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)");
  for (const auto& file : source_tree()) {
    if (!file.is_cpp()) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      std::smatch match;
      if (!std::regex_match(file.lines[i], match, kInclude)) continue;
      visit(file, i + 1, match[2].str(), match[1].str() == "<");
    }
  }
}

TEST(IncludeTable, NoArrowUpwards) {
  int seen = 0;
  each_include([&](const SourceFile& file, size_t line, const std::string& name, bool system) {
    if (system || name.find(".pb.h") != std::string::npos) return;
    ++seen;
    EXPECT_TRUE(is_allowed(file.path, name)) << file.path << ":" << line << " includes " << name;
  });
  EXPECT_GT(seen, 50);  // an empty tree would pass everything
}

TEST(IncludeTable, IncludesStartAtTheRoot) {
  each_include([&](const SourceFile& file, size_t line, const std::string& name, bool system) {
    if (system) return;
    EXPECT_NE(row_of(name), "") << file.path << ":" << line << " includes " << name;
  });
}

TEST(IncludeTable, ForeignHeadersStayWhereTheyBelong) {
  each_include([&](const SourceFile& file, size_t line, const std::string& name, bool) {
    const std::string where = file.path + ":" + std::to_string(line) + " includes " + name;
    const bool in_test = lies_in(file.path, "tests");
    if (name == "mpi.h" || name == "nccl.h") {
      const bool in_dist = lies_in(file.path, "dist") && !file.is_header();
      EXPECT_TRUE(in_dist || in_test) << where;
    }
    if (name.rfind("yaml-cpp/", 0) == 0) {
      EXPECT_TRUE(lies_in(file.path, "launch") || in_test) << where;
    }
    if (name.find(".pb.h") != std::string::npos || name.rfind("nlohmann/json.hpp", 0) == 0) {
      EXPECT_FALSE(file.is_header() && !in_test && !lies_in(file.path, "bench")) << where;
    }
  });
}

// The seam between architectures: what lies behind model/architecture.h is included there alone.
TEST(IncludeTable, NobodyNamesAnArchitecture) {
  struct Kind {
    std::string model, recurrence;
    int seen = 0;
  };
  std::vector<Kind> kinds{{"model/mamba2_", "kernels/ssd/"},
                          {"model/mamba1_", "kernels/selective_scan/"}};
  each_include([&](const SourceFile& file, size_t line, const std::string& name, bool) {
    const auto lies_behind = [&](const std::string& begin) { return file.path.starts_with(begin); };
    for (Kind& kind : kinds) {
      if (!name.starts_with(kind.model) && !name.starts_with(kind.recurrence)) continue;
      ++kind.seen;
      EXPECT_TRUE(lies_behind(kind.model) || lies_behind("kernels/") || lies_behind("tests/") ||
                  lies_behind("bench/") || file.path == "model/architecture.cpp")
          << file.path << ":" << line << " includes " << name;
    }
  });
  for (const Kind& kind : kinds) EXPECT_GT(kind.seen, 3) << kind.model;
}

/// Rows of README.md's map: | `folder` | sentence | may include |
std::map<std::string, Names> readme_rows() {
  std::map<std::string, Names> rows;
  static const std::regex kRow(R"(^\|\s*`([^`]+)`\s*\|(?:[^|]*\|)?([^|]*)\|\s*$)");
  for (const auto& file : source_tree()) {
    if (file.path != "README.md") continue;
    for (const auto& line : file.lines) {
      std::smatch match;
      if (!std::regex_match(line, match, kRow) || table().count(match[1].str()) == 0) continue;
      const std::string plain =
          std::regex_replace(match[2].str(), std::regex(R"(\([^)]*\)|`|\s|CUDA|std)"), "");
      std::istringstream words(plain);
      Names& names = rows[match[1].str()];
      for (std::string word; std::getline(words, word, ',');) {
        if (!word.empty()) names.insert(word);
      }
    }
  }
  return rows;
}

TEST(IncludeTable, ReadmeShowsTheSameRows) { EXPECT_EQ(readme_rows(), table()); }

TEST(IncludeTable, EveryFolderWithCodeHasARow) {
  for (const auto& file : source_tree()) {
    if (!file.is_cpp()) continue;
    EXPECT_NE(row_of(file.path), "") << file.path;
  }
}

}  // namespace
}  // namespace longhaul::testing

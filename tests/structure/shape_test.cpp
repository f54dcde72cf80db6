// Sizes and names of files: what keeps the tree readable.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include "tests/structure/source_tree.h"

namespace longhaul::testing {
namespace {

constexpr size_t kMostLines = 400;
constexpr size_t kMostLinesOfMain = 80;

bool is_code(const SourceFile& file) {
  static const std::set<std::string> kCode{".sh", ".py", ".cmake", ".proto"};
  return file.is_cpp() || kCode.count(file.extension()) > 0;
}

TEST(Shape, NoFileIsLongerThan400Lines) {
  int seen = 0;
  for (const auto& file : source_tree()) {
    if (!is_code(file)) continue;
    ++seen;
    EXPECT_LE(file.lines.size(), kMostLines) << file.path;
  }
  EXPECT_GT(seen, 20);
}

TEST(Shape, MainIsShort) {
  const auto files = source_tree();
  const auto main = std::find_if(files.begin(), files.end(), [](const SourceFile& file) {
    return file.path == "launch/main.cpp";
  });
  ASSERT_NE(main, files.end());
  EXPECT_LE(main->lines.size(), kMostLinesOfMain);
}

TEST(Shape, NoFolderOrFileThatCouldHoldAnything) {
  static const std::set<std::string> kForbidden{"util",   "utils",   "utilities", "common", "misc",
                                                "helper", "helpers", "manager",   "shared"};
  for (const auto& file : source_tree()) {
    std::string path = file.path.substr(0, file.path.rfind('.'));
    std::replace(path.begin(), path.end(), '/', ' ');
    std::istringstream parts(path);
    for (std::string part; parts >> part;) EXPECT_EQ(kForbidden.count(part), 0u) << file.path;
  }
}

TEST(Shape, HeadersAreIncludedOnce) {
  for (const auto& file : source_tree()) {
    if (!file.is_header()) continue;
    EXPECT_NE(std::find(file.lines.begin(), file.lines.end(), "#pragma once"), file.lines.end())
        << file.path;
  }
}

TEST(Shape, ConfigsSayFirstWhatTheyAreFor) {
  for (const auto& file : source_tree()) {
    if (file.path.rfind("configs/", 0) != 0 || file.extension() != ".yaml") continue;
    ASSERT_FALSE(file.lines.empty()) << file.path;
    EXPECT_EQ(file.lines[0].rfind("# ", 0), 0u) << file.path;
  }
}

}  // namespace
}  // namespace longhaul::testing

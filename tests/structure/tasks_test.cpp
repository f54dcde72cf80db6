// A kind of task is one file in data/ and one in eval/; nothing else knows its name.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "tests/structure/source_tree.h"

namespace longhaul::testing {
namespace {

const std::string kKinds = "data/tasks/kinds/", kScorings = "eval/tasks/scorings/";

/// Names of the .cpp files in a folder.
std::set<std::string> stems(const std::string& folder) {
  std::set<std::string> found;
  for (const SourceFile& file : source_tree()) {
    if (file.path.starts_with(folder)) found.insert(std::filesystem::path(file.path).stem());
  }
  return found;
}

/// Of the folders that know of tasks at all.
bool is_asked(const SourceFile& file) {
  static const std::set<std::string> kFolders{"data", "eval", "launch", "trainer"};
  return file.is_cpp() && kFolders.contains(file.path.substr(0, file.path.find('/')));
}

TEST(Tasks, AreOneFileInDataAndOneInEval) {
  const std::set<std::string> kinds = stems(kKinds);
  EXPECT_GE(kinds.size(), 2u);
  for (const std::string& kind : kinds) {
    std::set<std::string> files;
    for (const SourceFile& file : source_tree()) {
      if (!is_asked(file)) continue;
      for (const std::string& line : file.lines) {
        if (line.find('"' + kind + '"') != std::string::npos) files.insert(file.path);
      }
    }
    EXPECT_EQ(files, (std::set<std::string>{kKinds + kind + ".cpp", kScorings + kind + ".cpp"}));
  }
}

// BABILong's kind is in launch/, where YAML can be read.
TEST(Tasks, AreScoredAllOfThem) {
  std::set<std::string> kinds = stems(kKinds);
  kinds.insert("babilong");
  EXPECT_EQ(stems(kScorings), kinds);
}

}  // namespace
}  // namespace longhaul::testing

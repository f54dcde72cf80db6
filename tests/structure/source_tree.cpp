#include "tests/structure/source_tree.h"

#include <algorithm>
#include <array>
#include <fstream>

namespace longhaul::testing {

namespace fs = std::filesystem;

namespace {

constexpr std::array kText = {".h",  ".cpp",   ".cu",  ".cuh",  ".sh",    ".py",
                              ".md", ".proto", ".txt", ".yaml", ".cmake", ""};
constexpr std::array kNotOurs = {"build", "runs", "venv"};

bool is_skipped(const fs::path& entry) {
  const std::string name = entry.filename().string();
  return (name[0] == '.' && name != ".ci") ||
         std::find(kNotOurs.begin(), kNotOurs.end(), name) != kNotOurs.end();
}

void collect(const fs::path& folder, const fs::path& root, std::vector<SourceFile>& files) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_skipped(entry.path()) || entry.is_symlink()) continue;
    if (entry.is_directory()) {
      collect(entry.path(), root, files);
      continue;
    }
    SourceFile file{entry.path().lexically_relative(root).generic_string(), {}};
    if (std::find(kText.begin(), kText.end(), file.extension()) != kText.end()) {
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) file.lines.push_back(line);
    }
    files.push_back(std::move(file));
  }
}

}  // namespace

bool SourceFile::is_header() const { return extension() == ".h" || extension() == ".cuh"; }

bool SourceFile::is_cpp() const {
  return is_header() || extension() == ".cpp" || extension() == ".cu";
}

std::vector<SourceFile> source_tree() {
  std::vector<SourceFile> files;
  collect(SOURCE_DIR, SOURCE_DIR, files);
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace longhaul::testing

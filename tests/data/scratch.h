// Folders and files for tests of this folder.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "data/token_folder.h"
#include "kernels/core/error.h"

namespace longhaul::data::testing {

/// A new folder that is removed with everything in it.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "longhaul-data-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void write_file(const std::filesystem::path& file, const std::string& content) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
}

/// Names in a folder, hidden ones too, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// What the InputError says that `action` throws.
template <class Action>
std::string problem_of(const Action& action) {
  try {
    action();
  } catch (const core::InputError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no InputError";
  return "";
}

/// Documents of the given numbers of tokens (their end not counted), every token a different number
/// from 0 up; the end of document is the number after the last.
inline void write_numbered(const std::filesystem::path& folder, const std::vector<int64_t>& sizes) {
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  TokenFolderWriter writer(folder, {.tokenizer = "numbers",
                                    .vocabulary = total + 1,
                                    .end_of_document = static_cast<int32_t>(total)});
  int32_t next = 0;
  for (const int64_t size : sizes) {
    std::vector<int32_t> tokens(static_cast<size_t>(size));
    std::iota(tokens.begin(), tokens.end(), next);
    next += static_cast<int32_t>(size);
    writer.add_document(tokens);
  }
  writer.finish();
}

inline std::vector<int32_t> read_all(const TokenFolder& folder) {
  std::vector<int32_t> tokens(static_cast<size_t>(folder.tokens()));
  folder.read(0, tokens);
  return tokens;
}

}  // namespace longhaul::data::testing

#include "data/input_files.h"

#include <algorithm>
#include <string>

#include "data/manifest.h"
#include "data/text_kind.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;

class Collector {
 public:
  explicit Collector(const TokenizeJob& job) : job_(job) {}

  void add(const fs::path& input) {
    std::error_code error;
    const auto status = fs::status(input, error);
    if (!fs::exists(status))
      problems_.push_back(core::message(input.string(), ": ", error.message()));
    else if (fs::is_directory(status))
      walk(input);
    else
      add_named(input, fs::is_regular_file(status));
  }

  std::vector<InputFile> take() {
    if (!problems_.empty()) throw core::InputError(std::move(problems_));
    return std::move(files_);
  }

 private:
  /// Looked into before anything is read, where that can be done twice.
  void add_named(const fs::path& file, bool is_regular) {
    try {
      if (is_regular && !job_.any_bytes) expect_text(file, BegunText(file).beginning());
    } catch (const core::InputError& error) {
      problems_.insert(problems_.end(), error.problems().begin(), error.problems().end());
      return;
    }
    files_.push_back({.path = file, .bytes = size_of(file)});
  }

  static int64_t size_of(const fs::path& file) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    return error ? 0 : static_cast<int64_t>(size);
  }

  bool has_wanted_extension(const std::string& name) const {
    return job_.extensions.empty() ||
           std::any_of(job_.extensions.begin(), job_.extensions.end(), [&](const auto& extension) {
             return name.ends_with(extension.starts_with('.') ? extension
                                                              : core::message(".", extension));
           });
  }

  void walk(const fs::path& folder) {
    std::error_code error;
    if (fs::equivalent(folder, job_.output, error)) return;
    if (fs::equivalent(folder, job_.held_out_output, error)) return;
    if (fs::exists(folder / kManifestFile, error) && fs::exists(folder / kTokensFile, error)) {
      problems_.push_back(core::message(folder.string(), ": is a token folder, expected text"));
      return;
    }
    std::vector<fs::directory_entry> entries;
    auto entry = fs::directory_iterator(folder, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error))
      entries.push_back(*entry);
    if (error) problems_.push_back(core::message(folder.string(), ": ", error.message()));
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.path().native() < b.path().native(); });
    for (const auto& found : entries) {
      const std::string name = found.path().filename().string();
      const auto status = found.symlink_status(error);
      if (name.starts_with('.')) continue;
      if (fs::is_directory(status))
        walk(found.path());
      else if (fs::is_regular_file(status) && has_wanted_extension(name))
        files_.push_back({.path = found.path(), .bytes = size_of(found.path()), .is_named = false});
    }
  }

  const TokenizeJob& job_;
  std::vector<InputFile> files_;
  std::vector<std::string> problems_;
};
}  // namespace

std::vector<InputFile> collect_inputs(const TokenizeJob& job) {
  Collector collector(job);
  for (const auto& input : job.inputs) collector.add(input);
  return collector.take();
}

}  // namespace longhaul::data

#include <algorithm>
#include <vector>

#include "data/manifest.h"
#include "data/token_data.h"
#include "data/token_files/token_file.h"
#include "data/token_files/token_shards.h"
#include "data/token_folder.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;

/// .bin and .npy files in the order of their names; hidden ones left out.
std::vector<fs::path> shards_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path& path = entry->path();
    const bool tokens = path.extension() == ".bin" || path.extension() == ".npy";
    if (tokens && !path.filename().native().starts_with('.') && fs::is_regular_file(path))
      files.push_back(path);
  }
  if (error) throw core::InputError(core::message(folder.string(), ": ", error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

std::unique_ptr<TokenData> open_folder(const fs::path& folder, const TokenDataOptions& options) {
  std::error_code error;
  // A token folder without its manifest is a damaged one, not flat files.
  if (fs::exists(folder / kManifestFile, error) || fs::exists(folder / kDocumentsFile, error))
    return std::make_unique<TokenFolder>(folder);
  std::vector<std::unique_ptr<TokenData>> shards;
  for (const auto& file : shards_in(folder))
    shards.push_back(std::make_unique<TokenFile>(file, file, options));
  if (shards.empty())
    throw core::InputError(core::message(folder.string(), ": has no ", kManifestFile,
                                         " and no .bin or .npy files, expected a token folder or "
                                         "files of tokens"));
  return std::make_unique<TokenShards>(folder, std::move(shards));
}
}  // namespace

std::unique_ptr<TokenData> open_token_data(const fs::path& path, const TokenDataOptions& options) {
  std::error_code error;
  if (fs::is_directory(path, error)) return open_folder(path, options);
  const fs::path index = megatron_index(path);
  const bool named_by_index = path.extension() == ".idx" || !fs::exists(path, error);
  if (index.empty() || !named_by_index) return std::make_unique<TokenFile>(path, path, options);
  return std::make_unique<TokenFile>(path, fs::path(index).replace_extension(".bin"), options);
}

}  // namespace longhaul::data

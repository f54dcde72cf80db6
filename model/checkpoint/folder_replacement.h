#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace longhaul::model {

/// A folder that is filled beside `target` and then takes its place in one step; until commit() the
/// target is untouched. What an interrupted replacement left behind is removed by the next one.
class FolderReplacement {
 public:
  /// Files of an existing target that `is_replaced` does not claim (tokenizer files) are taken
  /// over. Throws InputError if the target exists and is no folder, or holds what cannot be taken
  /// over.
  FolderReplacement(const std::filesystem::path& target,
                    const std::function<bool(const std::string&)>& is_replaced);
  ~FolderReplacement();
  FolderReplacement(const FolderReplacement&) = delete;
  FolderReplacement& operator=(const FolderReplacement&) = delete;

  const std::filesystem::path& path() const { return partial_; }  ///< the folder to fill
  void commit();

 private:
  void take_over(const std::filesystem::directory_entry& entry);
  void exchange();

  std::filesystem::path target_, partial_, retired_;
  bool committed_ = false;
};

}  // namespace longhaul::model

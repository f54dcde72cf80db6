// TensorBoard's event files: Protobuf messages in TFRecord framing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "trainer/append_file.h"

namespace longhaul::trainer {

/// A new events.out.tfevents.… file in `folder`. TensorBoard reads all of a folder in the order of
/// their names.
class EventFile {
 public:
  /// `first_step`: what earlier files say of this step and later ones is void (after a resumption).
  EventFile(const std::filesystem::path& folder, int64_t first_step);
  void write_scalars(int64_t step, const std::vector<std::pair<std::string, double>>& scalars);
  void sync() { file_.sync(); }

 private:
  AppendFile file_;
};

/// Length, its masked CRC-32C, the bytes, their masked CRC-32C.
std::string tfrecord(const std::string& bytes);

}  // namespace longhaul::trainer

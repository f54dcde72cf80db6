#include "launch/output_place.h"

#include "kernels/core/error.h"
#include "launch/run_folder.h"
#include "model/checkpoint/gguf/gguf_file.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

[[noreturn]] void refuse(const fs::path& output, const char* what, const fs::path& run) {
  throw InputError(message("--out: ", output.string(), " ", what, " the run ", run.string(),
                           ", expected a folder that is not the run's own"));
}

}  // namespace

void expect_outside_of_runs(const fs::path& output) {
  for (const fs::path& path : spellings_of(output)) {
    const fs::path above = path.parent_path();
    if (was_trained(path)) refuse(output, "is", path);
    if (path.filename() == kRunModel && was_trained(above))
      refuse(output, "is the model of", above);
    const bool holds_checkpoints = above.filename() == "checkpoints";
    if (holds_checkpoints && was_trained(above.parent_path())) {
      refuse(output, "is a checkpoint of", above.parent_path());
    }
    if (path.filename() == "checkpoints" && was_trained(above)) {
      refuse(output, "holds the checkpoints of", above);
    }
  }
}

void expect_gguf_or_nothing(const fs::path& output) {
  if (fs::is_directory(output)) {
    throw InputError(message("--out: ", output.string(), " is a folder, expected a file to write"));
  }
  if (fs::exists(fs::symlink_status(output)) && !model::is_gguf_file(output)) {
    throw InputError(message("--out: ", output.string(),
                             " is there and is no GGUF file, expected a new file, or a GGUF file "
                             "to replace"));
  }
}

}  // namespace longhaul::launch

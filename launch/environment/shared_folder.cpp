#include "launch/environment/shared_folder.h"

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <system_error>
#include <thread>

#include "dist/all_ranks.h"
#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 30;
constexpr std::chrono::milliseconds kBetweenAttempts{100};

bool holds(const fs::path& file, const std::string& text) {
  std::string found;
  return std::getline(std::ifstream(file), found) && found == text;
}

}  // namespace

fs::path existing_folder(fs::path folder) {
  std::error_code error;
  folder = fs::absolute(folder);
  while (!fs::is_directory(folder, error) && folder.has_parent_path() &&
         folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  return folder;
}

bool sees_file_of_first_rank(dist::Communicator& world, const fs::path& folder) {
  const bool leads = world.rank() == 0;
  std::string text;  // nobody else's
  if (leads) {
    std::random_device random;
    text = std::to_string(getpid()) + "-" + std::to_string(random()) + std::to_string(random());
  }
  text = world.broadcast_bytes(text, 0);
  const fs::path file = folder / (std::string(kProbePrefix) + text);
  dist::on_all_ranks(world, "writing to the run folder", [&] {
    if (leads) model::write_file_atomically(file, text);
  });
  bool sees = holds(file, text);
  for (int i = 0; i < kAttempts && !sees; ++i) {
    std::this_thread::sleep_for(kBetweenAttempts);
    sees = holds(file, text);
  }
  world.barrier();
  std::error_code error;
  if (leads) fs::remove(file, error);
  return sees;
}

}  // namespace longhaul::launch

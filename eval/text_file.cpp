#include "eval/text_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "kernels/core/error.h"

namespace longhaul::eval {

std::string read_text_file(const std::filesystem::path& file) {
  // A folder opens like a file and then reads as empty.
  if (std::filesystem::is_directory(file)) {
    throw core::InputError(file.string() + ": is a folder, expected a file");
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) throw core::InputError(file.string() + ": " + std::strerror(errno));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) throw core::Error(file.string() + ": cannot be read");
  return text;
}

}  // namespace longhaul::eval

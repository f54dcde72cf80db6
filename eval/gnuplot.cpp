#include "eval/gnuplot.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/core/error.h"

extern char** environ;

namespace longhaul::eval {

namespace {

/// A file in memory: unlike a pipe it can be filled before its reader starts and read after its
/// writer ended, so that nobody waits for anybody.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("gnuplot", MFD_CLOEXEC)) {
    if (descriptor_ < 0) {
      throw core::Error(core::message("gnuplot: no memory file: ", std::strerror(errno)));
    }
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }
  void write(const std::string& text) const {
    for (size_t done = 0; done < text.size();) {
      const ssize_t n = ::write(descriptor_, text.data() + done, text.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw core::Error(core::message("gnuplot: script: ", std::strerror(errno)));
      done += static_cast<size_t>(n);
    }
    lseek(descriptor_, 0, SEEK_SET);
  }
  std::string read() const {
    lseek(descriptor_, 0, SEEK_SET);
    std::string text;
    char block[16384];
    for (;;) {
      const ssize_t n = ::read(descriptor_, block, sizeof block);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw core::Error(core::message("gnuplot: output: ", std::strerror(errno)));
      if (n == 0) return text;
      text.append(block, static_cast<size_t>(n));
    }
  }

 private:
  int descriptor_;
};

class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  void redirect(const MemoryFile& file, int to) {
    posix_spawn_file_actions_adddup2(&actions_, file.descriptor(), to);
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

std::string run_gnuplot(const std::string& script) {
  const MemoryFile input, output, errors;
  input.write(script);
  SpawnActions actions;
  actions.redirect(input, STDIN_FILENO);
  actions.redirect(output, STDOUT_FILENO);
  actions.redirect(errors, STDERR_FILENO);

  // -d: the reader's own gnuplot settings do not apply.
  char name[] = "gnuplot", plain[] = "-d";
  char* const arguments[] = {name, plain, nullptr};
  pid_t child = 0;
  const int failure = posix_spawnp(&child, name, actions.get(), nullptr, arguments, environ);
  if (failure == ENOENT) {
    throw core::InputError(
        "gnuplot: not found in PATH, expected it to draw the report's plots (Debian: gnuplot-nox)");
  }
  if (failure != 0) throw core::Error(core::message("gnuplot: ", std::strerror(failure)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw core::Error(core::message("gnuplot: ", std::strerror(errno)));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw core::Error(core::message("gnuplot failed (status ", status, "): ", errors.read()));
  }
  return output.read();
}

}  // namespace longhaul::eval

#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <string>

#include "kernels/core/error.h"

namespace longhaul::testing {

/// While it lives, no file of this process grows beyond `bytes`: write() fails as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// The message of the Error, not InputError, that `action` throws; fails the test if it throws
/// none.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const core::InputError& error) {
    ADD_FAILURE() << "expected an Error, not an InputError: " << error.what();
  } catch (const core::Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

inline std::set<std::string> names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

}  // namespace longhaul::testing

#pragma once

#include <dlfcn.h>

#include <string>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::core {

/// A vendor's library, opened when it is first asked for and held until the process ends.
class SharedLibrary {
 public:
  /// Looks for `file` where the dynamic linker looks (LD_LIBRARY_PATH, a bundle beside the
  /// program), else in `folder`, where the build found it. Error naming both if it is in neither;
  /// `name` is what messages call the library.
  SharedLibrary(std::string name, const std::string& file, const std::string& folder)
      : name_(std::move(name)) {
    for (const std::string& path : {file, folder + "/" + file}) {
      library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (library_ != nullptr) return;
    }
    throw Error(
        message(name_, ": ", file, " was not found (LD_LIBRARY_PATH, ", folder, "): ", dlerror()));
  }

  /// Error naming `symbol` if it is not there.
  template <class Function>
  void find(const char* symbol, Function& function) const {
    function = reinterpret_cast<Function>(dlsym(library_, symbol));
    if (function == nullptr) throw Error(message(name_, ": no function ", symbol));
  }

 private:
  std::string name_;
  void* library_ = nullptr;
};

}  // namespace longhaul::core

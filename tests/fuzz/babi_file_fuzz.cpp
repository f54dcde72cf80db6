// Any bytes as a file of the bAbI tasks: refused, or every question refers to sentences before it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "data/tasks/babi_file.h"
#include "kernels/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;  // NOLINT(google-build-using-namespace)
  try {
    bool asks = false;
    for (const auto& story : data::parse_babi({reinterpret_cast<const char*>(data), size}, "a")) {
      for (const auto& question : story.questions) {
        asks = true;
        if (question.facts > story.facts.size() || question.supports.empty()) std::abort();
        if (question.text.empty() || question.answer.empty()) std::abort();
        size_t before = 0;
        for (const size_t support : question.supports) {
          if (support >= question.facts || support < before) std::abort();
          before = support;
        }
      }
    }
    if (!asks) std::abort();
  } catch (const core::InputError&) {
  }
  return 0;
}

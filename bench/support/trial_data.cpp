#include "bench/support/trial_data.h"

#include <cstdlib>
#include <fstream>

#include "data/tasks/babi_world.h"
#include "kernels/core/error.h"

namespace longhaul::bench {

namespace {

std::filesystem::path scratch_folder() {
  std::string name = std::filesystem::temp_directory_path() / "longhaul-bench-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw core::Error("no scratch folder: " + name);
  return name;
}

/// Bytes as tokens of 16 bits each.
void write_text(const std::filesystem::path& file, int64_t bytes) {
  std::ofstream out(file, std::ios::binary);
  std::string line;
  for (int64_t number = 0, written = 0; written < bytes; ++number, written += std::ssize(line)) {
    line = core::message("Line ", number, " says that it is line ", number, " and no other. ");
    for (const char c : line) out.put(c).put('\0');
  }
}

}  // namespace

TrialData::TrialData(int64_t length)
    : folder_(scratch_folder()), tokenizer_(data::make_tokenizer("byte")) {
  write_text(folder_ / "text.bin", 2 * length);
  std::ofstream(folder_ / "qa1_stories_test.txt") << data::tell_babi_stories(1, 200, 1);
  text_ = data::open_token_data(folder_ / "text.bin", {.vocabulary = tokenizer_->vocabulary(),
                                                       .element = data::FlatElement::kU16});
  background_ = std::make_unique<data::BackgroundText>(*text_, *tokenizer_);
  babilong_ = data::make_babilong_task(folder_ / "qa1_stories_test.txt", *tokenizer_,
                                       background_.get(), {.shots = 0});
}

TrialData::~TrialData() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace longhaul::bench

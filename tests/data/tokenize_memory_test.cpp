#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "data/tokenize.h"
#include "tests/data/compressed.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

/// Largest resident memory, in MB, of a process that runs `body`.
double peak_of(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = -1;
  rusage usage{};
  ::wait4(child, &status, 0, &usage);
  EXPECT_EQ(status, 0);
  return static_cast<double>(usage.ru_maxrss) / 1000;
}

std::string repeated(const std::string& part, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += part;
  return all;
}

/// The file unpacks to 64 MiB. Its last part is cut off, so that no time goes into making the
/// output durable: the run ends with an error after everything has been read.
void expect_bounded(const std::string& name, const std::string& content) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps freed memory";
#endif
  testing::Scratch scratch;
  testing::write_file(scratch / name, content.substr(0, content.size() - 4));
  std::string problem;
  const double before = peak_of([] {});
  const double peak = peak_of([&] {
    try {
      tokenize(*make_tokenizer("byte"),
               {.inputs = {scratch / name}, .output = scratch / "out", .minimum_bytes = 100});
    } catch (const core::InputError& error) {
      if (std::string(error.what()).find("truncated") != std::string::npos) return;
    }
    ::_exit(1);
  });
  EXPECT_LT(peak - before, 16) << before << " MB before";
}

constexpr size_t kPart = 4 << 20;

TEST(TokenizeMemory, DoesNotGrowWithADocument) {
  expect_bounded("a.txt.zst", repeated(testing::zstd(std::string(kPart, 'x')), 16));
}

TEST(TokenizeMemory, DoesNotGrowWithTheNumberOfRecords) {
  const std::string records =
      repeated("{\"text\": \"" + std::string(90, 'x') + "\"}\n", kPart / 100);
  expect_bounded("a.jsonl.gz", repeated(testing::gzip(records), 16));
}

}  // namespace
}  // namespace longhaul::data

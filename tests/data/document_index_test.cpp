#include "data/document_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::data {
namespace {

namespace fs = std::filesystem;

TEST(DocumentIndex, ReadsAnyEntryAndTellsWhatIsGone) {
  const fs::path path =
      fs::path(::testing::TempDir()) / ("longhaul_documents_" + std::to_string(getpid()));
  std::vector<uint64_t> begins(1500);
  for (size_t i = 0; i < begins.size(); ++i) begins[i] = i * i;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(begins.data()), std::ssize(begins) * 8);
  const DocumentIndex index(path);
  for (const int64_t i : {0, 1499, 511, 512, 1, 1023, 1024, 1498}) {
    EXPECT_EQ(index[i], static_cast<uint64_t>(i * i)) << i;
  }
  fs::resize_file(path, 8 * 600);
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      index[600];
      ADD_FAILURE() << "expected an Error";
    } catch (const core::Error& error) {
      EXPECT_EQ(error.what(), path.string() +
                                  ": ends at byte 4800, expected 12000 bytes, which it had when "
                                  "it was opened");
    }
  }
  EXPECT_EQ(index[3], 9u);
  fs::remove(path);
}

}  // namespace
}  // namespace longhaul::data

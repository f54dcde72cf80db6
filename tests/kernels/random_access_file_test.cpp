#include "kernels/core/random_access_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::core {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class RandomAccessFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::path(::testing::TempDir()) / ("longhaul_random_access_" + std::to_string(getpid()));
    std::ofstream(path_) << "0123456789";
  }
  void TearDown() override { fs::remove_all(path_); }

  static std::string read(const RandomAccessFile& file, int64_t begin, size_t count) {
    std::vector<std::byte> bytes(count);
    file.read(begin, bytes);
    return {reinterpret_cast<const char*>(bytes.data()), count};
  }
  std::string refusal() const {
    try {
      const RandomAccessFile file(path_);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }

  fs::path path_;
};

TEST_F(RandomAccessFileTest, ReadsAnyPiece) {
  const RandomAccessFile file(path_);
  EXPECT_EQ(file.size(), 10);
  EXPECT_EQ(read(file, 0, 10), "0123456789");
  EXPECT_EQ(read(file, 7, 3), "789");
  EXPECT_EQ(read(file, 10, 0), "");
}

TEST_F(RandomAccessFileTest, WhatBecameShorterIsAnErrorThatNamesIt) {
  const RandomAccessFile file(path_);
  fs::resize_file(path_, 6);
  EXPECT_EQ(read(file, 2, 4), "2345");
  try {
    read(file, 2, 5);
    ADD_FAILURE() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), path_.string() +
                                ": ends at byte 6, expected 10 bytes, which it had "
                                "when it was opened");
  }
}

TEST_F(RandomAccessFileTest, WhatIsNoFileIsRefused) {
  fs::remove(path_);
  EXPECT_THAT(refusal(), HasSubstr(path_.string() + ": cannot be read: No such file"));
  fs::create_directory(path_);
  EXPECT_THAT(refusal(), HasSubstr("it is a folder, expected a file"));
  fs::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("it is not a regular file"));
}

}  // namespace
}  // namespace longhaul::core

// What is written as torch.save would, read back; and archives beyond 4 GiB.
#include "model/checkpoint/torch/torch_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "model/checkpoint/torch/torch_file.h"
#include "model/checkpoint/torch/zip_reader.h"
#include "model/checkpoint/torch/zip_writer.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/torch_bytes.h"

namespace longhaul::model {
namespace {

using testing::content_of;
using ::testing::ElementsAre;
using testing::number_bytes;

TensorStream stream_of(const std::string& name, const core::Shape& shape,
                       const std::vector<float>& values) {
  TensorStream stream;
  stream.name = name;
  stream.shape = shape;
  stream.origin = name;
  stream.read = [values](int64_t begin, int64_t count, void* target) {
    std::memcpy(target, values.data() + begin, static_cast<size_t>(count) * sizeof(float));
  };
  return stream;
}

std::vector<float> values_of(const TensorStream& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  tensor.read(0, tensor.shape.elements(), values.data());
  return values;
}

TEST(TorchWriter, RoundTripsWithSharedNames) {
  const testing::ScratchFolder scratch;
  const auto path = scratch / "pytorch_model.bin";
  std::vector<float> many(300'000);  // more than a piece
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i);
  int64_t told = 0;
  write_torch_file(path, {stream_of("a", {2, 2}, {1, 2, 3, 4}), stream_of("b", {300'000}, many)},
                   {{.name = "tied", .of = "a"}}, [&](int64_t bytes) { told += bytes; });
  const TorchFile file(path);
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[0].shape, core::Shape({2, 2}));
  EXPECT_THAT(values_of(file.tensors()[0]), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(values_of(file.tensors()[1]), many);
  EXPECT_EQ(file.tensors()[2].name, "tied");
  ASSERT_EQ(file.aliases().size(), 1u);
  EXPECT_TRUE(file.aliases()[0].is_same);
  EXPECT_EQ(told, 16 + 300'000 * 4);
  EXPECT_THAT(testing::names_in(scratch.path()), ElementsAre("pytorch_model.bin"));
}

TEST(TorchWriter, DataIsAlignedAndTheSameEveryTime) {
  const testing::ScratchFolder scratch;
  for (const char* folder : {"a", "b"}) {
    std::filesystem::create_directory(scratch / folder);
    write_torch_file(scratch / folder / "m.bin",
                     {stream_of("x", {3}, {1, 2, 3}), stream_of("y", {1}, {4})}, {});
  }
  const std::string bytes = content_of(scratch / "a" / "m.bin");
  EXPECT_EQ(bytes, content_of(scratch / "b" / "m.bin"));
  for (const ZipEntry& entry : read_zip_directory(bytes, "m.bin")) {
    EXPECT_EQ(entry.begin % 64, 0u) << entry.name;
  }
}

/// Entry i holds i bytes.
void write_small_archive(const std::filesystem::path& path, uint64_t wide_from) {
  AtomicFile file(path);
  ZipWriter zip(file, wide_from);
  for (size_t i = 0; i < 5; ++i) zip.add("entry" + std::to_string(i), std::string(i, 'x'));
  zip.finish();
  file.commit();
}

TEST(ZipWriter, WideNumbersReadBackTheSame) {
  const testing::ScratchFolder scratch;
  for (const uint64_t wide_from : {uint64_t{0xffffffff}, uint64_t{0}, uint64_t{3}, uint64_t{200}}) {
    write_small_archive(scratch / "a.zip", wide_from);
    const std::string bytes = content_of(scratch / "a.zip");
    const auto entries = read_zip_directory(bytes, "a.zip");
    ASSERT_EQ(entries.size(), 5u) << wide_from;
    for (size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(entries[i].name, "entry" + std::to_string(i));
      EXPECT_EQ(bytes.substr(entries[i].begin, entries[i].end - entries[i].begin),
                std::string(i, 'x'));
    }
    EXPECT_EQ(bytes.find("PK\6\6") != std::string::npos, wide_from < 0xffffffff) << wide_from;
  }
}

std::string header(const std::string& name, uint32_t size, const std::string& extra) {
  return number_bytes<uint16_t>(45) + std::string(12, '\0') + number_bytes(size) +
         number_bytes(size) + number_bytes(static_cast<uint16_t>(name.size())) +
         number_bytes(static_cast<uint16_t>(extra.size()));
}
std::string local(const std::string& name, uint32_t size, const std::string& extra = "") {
  return "PK\3\4" + header(name, size, extra) + name + extra;
}
std::string central(const std::string& name, uint32_t size, uint32_t at,
                    const std::string& extra = "") {
  return "PK\1\2" + number_bytes<uint16_t>(45) + header(name, size, extra) + std::string(10, '\0') +
         number_bytes(at) + name + extra;
}
std::string extra64(const std::vector<uint64_t>& numbers) {
  std::string bytes =
      number_bytes<uint16_t>(1) + number_bytes(static_cast<uint16_t>(8 * numbers.size()));
  for (const uint64_t number : numbers) bytes += number_bytes(number);
  return bytes;
}

TEST(ZipReader, BeyondFourGigabytes) {
  constexpr uint64_t kBytes = (uint64_t{1} << 32) + 4096;
  constexpr auto kElements = static_cast<int64_t>(kBytes / 4);
  constexpr uint32_t kIn64 = 0xffffffff;
  const std::string pickle =
      testing::pickled_dict({{"w", "FloatStorage", "0", kElements, kElements - 2, {2}, {1}},
                             {"v", "FloatStorage", "1", 2, 0, {2}, {1}}});
  const std::string first = local("m/data.pkl", static_cast<uint32_t>(pickle.size())) + pickle;
  const std::string head = first + local("m/data/0", kIn64, extra64({kBytes, kBytes}));
  const uint64_t second = head.size() + kBytes;  // the large entry is a hole of the file
  std::string tail = local("m/data/1", 8) + number_bytes(1.0f) + number_bytes(2.0f);
  const uint64_t directory = second + tail.size();
  tail +=
      central("m/data.pkl", static_cast<uint32_t>(pickle.size()), 0) +
      central("m/data/0", kIn64, static_cast<uint32_t>(first.size()), extra64({kBytes, kBytes})) +
      central("m/data/1", 8, kIn64, extra64({second}));
  const uint64_t end = second + tail.size();
  tail += "PK\6\6" + number_bytes<uint64_t>(44) + std::string(12, '\0') +
          number_bytes<uint64_t>(3) + number_bytes<uint64_t>(3) + number_bytes(end - directory) +
          number_bytes(directory) + "PK\6\7" + std::string(4, '\0') + number_bytes(end) +
          number_bytes<uint32_t>(1) + "PK\5\6" + std::string(4, '\0') + std::string(12, '\xff') +
          std::string(2, '\0');

  const testing::ScratchFolder scratch;
  const auto path = scratch / "sparse.bin";
  testing::put_content(path, head);
  std::filesystem::resize_file(path, second);
  std::ofstream(path, std::ios::binary | std::ios::app) << tail;
  const TorchFile file(path);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_THAT(values_of(file.tensors()[0]), ElementsAre(0, 0));
  EXPECT_THAT(values_of(file.tensors()[1]), ElementsAre(1, 2));
}

}  // namespace
}  // namespace longhaul::model

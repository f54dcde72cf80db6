#include "trainer/event_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/model/scratch_folder.h"
#include "trainer/crc32c.h"

namespace longhaul::trainer {
namespace {

/// Bit by bit, as the polynomial is defined.
uint32_t plain_crc32c(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
  }
  return ~crc;
}

TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c("", 0), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62A8AB43u);
}

TEST(Crc32c, AnyLengthAndAlignment) {
  std::string bytes;
  for (int i = 0; i < 64; ++i) bytes += static_cast<char>(i * 37 + 11);
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t count = 0; begin + count <= 40; ++count) {
      EXPECT_EQ(crc32c(bytes.data() + begin, count), plain_crc32c(bytes.substr(begin, count)));
    }
  }
}

template <class T>
T take(std::string_view& bytes) {
  T value;
  EXPECT_GE(bytes.size(), sizeof(T));
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return value;
}

/// One message's fields, decoded from the wire format by hand: what another reader would see.
struct Field {
  int number = 0, wire_type = 0;
  uint64_t integer = 0;  // varint, fixed64 or fixed32 bits
  std::string bytes;
};
uint64_t take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = take<unsigned char>(bytes);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}
std::vector<Field> fields_of(std::string_view bytes) {
  std::vector<Field> fields;
  while (!bytes.empty()) {
    const uint64_t tag = take_varint(bytes);
    Field field{static_cast<int>(tag >> 3), static_cast<int>(tag & 7), 0, ""};
    if (field.wire_type == 0) field.integer = take_varint(bytes);
    if (field.wire_type == 1) field.integer = take<uint64_t>(bytes);
    if (field.wire_type == 5) field.integer = take<uint32_t>(bytes);
    if (field.wire_type == 2) {
      const uint64_t size = take_varint(bytes);
      field.bytes = bytes.substr(0, size);
      bytes.remove_prefix(size);
    }
    fields.push_back(field);
  }
  return fields;
}
const Field& field(const std::vector<Field>& fields, int number) {
  for (const Field& f : fields) {
    if (f.number == number) return f;
  }
  static const Field missing{-1, -1, 0, ""};
  ADD_FAILURE() << "no field " << number;
  return missing;
}

/// TFRecord: u64 length, masked crc of it, bytes, masked crc of them.
std::vector<std::string> records_of(std::string_view file) {
  const auto masked = [](const std::string& bytes) {
    const uint32_t crc = plain_crc32c(bytes);
    return static_cast<uint32_t>(((crc >> 15) | (crc << 17)) + 0xa282ead8u);
  };
  std::vector<std::string> records;
  while (!file.empty()) {
    const std::string length_bytes(file.substr(0, 8));
    const auto length = take<uint64_t>(file);
    EXPECT_EQ(take<uint32_t>(file), masked(length_bytes));
    records.emplace_back(file.substr(0, length));
    file.remove_prefix(length);
    EXPECT_EQ(take<uint32_t>(file), masked(records.back()));
  }
  return records;
}

TEST(EventFile, IsWhatTensorBoardReads) {
  const testing::ScratchFolder folder;
  {
    EventFile events(folder.path(), 41);
    events.write_scalars(300, {{"train/loss", 2.5}, {"train/rate", 1e-3}});
    events.write_scalars(301, {{"train/loss", std::nan("")}, {"train/skipped", 0}});
  }
  const auto path = std::filesystem::directory_iterator(folder.path())->path();
  EXPECT_TRUE(path.filename().string().starts_with("events.out.tfevents."));
  const std::string file = testing::content_of(path);
  const auto records = records_of(file);
  ASSERT_EQ(records.size(), 4u);

  EXPECT_EQ(field(fields_of(records[0]), 3).bytes, "brain.Event:2");
  EXPECT_EQ(field(fields_of(records[1]), 2).integer, 41u);
  EXPECT_EQ(field(fields_of(field(fields_of(records[1]), 7).bytes), 1).integer, 1u);  // START

  const auto event = fields_of(records[2]);
  EXPECT_EQ(field(event, 1).wire_type, 1);
  double wall_time = 0;
  std::memcpy(&wall_time, &field(event, 1).integer, 8);
  EXPECT_GT(wall_time, 1.6e9);
  EXPECT_EQ(field(event, 2).integer, 300u);
  const auto values = fields_of(field(event, 5).bytes);
  ASSERT_EQ(values.size(), 2u);
  const auto loss = fields_of(values[0].bytes);
  EXPECT_EQ(field(loss, 1).bytes, "train/loss");
  EXPECT_EQ(field(loss, 2).wire_type, 5);
  const auto bits = static_cast<uint32_t>(field(loss, 2).integer);
  float value = 0;
  std::memcpy(&value, &bits, 4);
  EXPECT_EQ(value, 2.5f);
  EXPECT_EQ(field(fields_of(values[1].bytes), 1).bytes, "train/rate");

  // A value that is not on the wire is no scalar to TensorBoard: zeros must be there.
  const auto later = fields_of(field(fields_of(records[3]), 5).bytes);
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(field(fields_of(later[1].bytes), 2).wire_type, 5);
}

}  // namespace
}  // namespace longhaul::trainer

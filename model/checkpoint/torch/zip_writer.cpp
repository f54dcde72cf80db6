#include "model/checkpoint/torch/zip_writer.h"

#include <glog/logging.h>
#include <zlib.h>

#include "model/checkpoint/number_bytes.h"
#include "model/checkpoint/torch/zip_format.h"

namespace longhaul::model {

namespace {

using namespace zip;  // NOLINT(google-build-using-namespace)

constexpr uint64_t kAlignment = 64;
constexpr uint16_t kPadding = 0x4246;  // "FB": torch's extra field of nothing
constexpr uint16_t kPlainVersion = 20, kVersion64 = 45;
constexpr uint16_t kDate = (0 << 9) | (1 << 5) | 1;  // 1 January 1980: the same bytes every time
constexpr uint64_t kChecksumAt = 14;                 // in a local header

/// What local and central headers have in common, from the needed version to the sizes.
std::string description(uint16_t version, uint32_t checksum, uint32_t size) {
  std::string bytes;
  append_number(bytes, version);
  append_number(bytes, kUtf8);
  append_number(bytes, uint16_t{0});  // stored
  append_number(bytes, uint16_t{0});  // time
  append_number(bytes, kDate);
  append_number(bytes, checksum);
  append_number(bytes, size);
  append_number(bytes, size);
  return bytes;
}

std::string extra_field(uint16_t id, const std::string& data) {
  std::string bytes;
  append_number(bytes, id);
  append_number(bytes, static_cast<uint16_t>(data.size()));
  return bytes + data;
}

}  // namespace

void ZipWriter::add(const std::string& name, const std::string& bytes) {
  begin(name, bytes.size());
  write(bytes.data(), bytes.size());
  end();
}

void ZipWriter::begin(const std::string& name, uint64_t size) {
  entries_.push_back({name, size, file_.size(), static_cast<uint32_t>(::crc32(0, nullptr, 0))});
  append(local_header(entries_.back()));
  data_ = file_.size();
}

void ZipWriter::write(const void* bytes, uint64_t count) {
  uint32_t& checksum = entries_.back().checksum;
  checksum =
      static_cast<uint32_t>(::crc32_z(checksum, static_cast<const unsigned char*>(bytes), count));
  file_.write(bytes, count);
}

void ZipWriter::end() {
  const Entry& entry = entries_.back();
  CHECK_EQ(file_.size() - data_, entry.size) << entry.name;
  file_.overwrite(entry.header + kChecksumAt, &entry.checksum, sizeof(entry.checksum));
}

std::string ZipWriter::local_header(const Entry& entry) const {
  std::string extra;
  if (is_wide(entry.size)) {
    std::string sizes;
    append_number(sizes, entry.size);
    append_number(sizes, entry.size);
    extra = extra_field(kExtra64, sizes);
  }
  const uint64_t unpadded = entry.header + kLocalHeaderBytes + entry.name.size() + extra.size() + 4;
  extra +=
      extra_field(kPadding, std::string((kAlignment - unpadded % kAlignment) % kAlignment, 'Z'));
  std::string bytes;
  append_number(bytes, kLocalHeader);
  bytes += description(is_wide(entry.size) ? kVersion64 : kPlainVersion, entry.checksum,
                       is_wide(entry.size) ? kIn64 : static_cast<uint32_t>(entry.size));
  append_number(bytes, static_cast<uint16_t>(entry.name.size()));
  append_number(bytes, static_cast<uint16_t>(extra.size()));
  return bytes + entry.name + extra;
}

std::string ZipWriter::central_header(const Entry& entry) const {
  const bool wide_size = is_wide(entry.size), wide_header = is_wide(entry.header);
  std::string numbers;
  if (wide_size) {
    append_number(numbers, entry.size);
    append_number(numbers, entry.size);
  }
  if (wide_header) append_number(numbers, entry.header);
  const std::string extra = numbers.empty() ? "" : extra_field(kExtra64, numbers);
  const uint16_t version = numbers.empty() ? kPlainVersion : kVersion64;
  std::string bytes;
  append_number(bytes, kCentralHeader);
  append_number(bytes, version);  // made by
  bytes +=
      description(version, entry.checksum, wide_size ? kIn64 : static_cast<uint32_t>(entry.size));
  append_number(bytes, static_cast<uint16_t>(entry.name.size()));
  append_number(bytes, static_cast<uint16_t>(extra.size()));
  append_number(bytes, uint16_t{0});  // comment
  append_number(bytes, uint16_t{0});  // disk
  append_number(bytes, uint16_t{0});  // attributes
  append_number(bytes, uint32_t{0});
  append_number(bytes, wide_header ? kIn64 : static_cast<uint32_t>(entry.header));
  return bytes + entry.name + extra;
}

void ZipWriter::finish() {
  const uint64_t directory = file_.size();
  for (const Entry& entry : entries_) append(central_header(entry));
  write_end(directory, file_.size() - directory);
}

void ZipWriter::write_end(uint64_t directory, uint64_t directory_bytes) {
  const uint64_t count = entries_.size(), end64 = file_.size();
  const bool wide_count = count >= kShortIn64, wide_directory = is_wide(directory);
  std::string bytes;
  if (wide_count || wide_directory) {
    append_number(bytes, kEnd64);
    append_number(bytes, uint64_t{kEnd64Bytes - 12});  // what follows
    append_number(bytes, kVersion64);
    append_number(bytes, kVersion64);
    append_number(bytes, uint32_t{0});
    append_number(bytes, uint32_t{0});
    append_number(bytes, count);
    append_number(bytes, count);
    append_number(bytes, directory_bytes);
    append_number(bytes, directory);
    append_number(bytes, kEnd64Locator);
    append_number(bytes, uint32_t{0});
    append_number(bytes, end64);
    append_number(bytes, uint32_t{1});
  }
  const auto short_count = wide_count ? kShortIn64 : static_cast<uint16_t>(count);
  append_number(bytes, kEnd);
  append_number(bytes, uint16_t{0});
  append_number(bytes, uint16_t{0});
  append_number(bytes, short_count);
  append_number(bytes, short_count);
  append_number(bytes, static_cast<uint32_t>(directory_bytes));
  append_number(bytes, wide_directory ? kIn64 : static_cast<uint32_t>(directory));
  append_number(bytes, uint16_t{0});
  append(bytes);
}

}  // namespace longhaul::model

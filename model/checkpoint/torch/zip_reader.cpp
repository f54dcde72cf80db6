#include "model/checkpoint/torch/zip_reader.h"

#include <algorithm>
#include <set>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/number_bytes.h"
#include "model/checkpoint/torch/zip_format.h"

namespace longhaul::model {

namespace {

using core::message;
using namespace zip;  // NOLINT(google-build-using-namespace)

constexpr uint64_t kMostEntries = 1'000'000;
constexpr uint64_t kLongestDirectory = uint64_t{1} << 28;

struct Directory {
  uint64_t begin = 0, end = 0, entries = 0;
};

struct CentralEntry {
  std::string_view name, extra;
  uint16_t flags = 0, method = 0;
  uint64_t stored = 0, whole = 0, local_header = 0;
  uint64_t bytes = 0;  // of this record
};

class ZipDirectoryReader {
 public:
  ZipDirectoryReader(const core::ByteSource& file, const std::string& name)
      : file_(file), size_(static_cast<uint64_t>(file.size())), name_(name) {}

  std::vector<ZipEntry> read() {
    const Directory directory = find_directory();
    const std::string records = text(directory.begin, directory.end - directory.begin);
    std::vector<ZipEntry> entries;
    std::set<std::string_view> names;
    uint64_t at = 0;
    for (uint64_t i = 0; i < directory.entries; ++i) {
      const CentralEntry entry = read_central(records, at, i);
      if (!names.insert(entry.name).second) refuse(in_quotes(entry.name), " is there twice");
      entries.push_back(locate(entry, directory.begin));
      at += entry.bytes;
    }
    if (at != records.size()) {
      refuse("the archive's directory takes ", at, " bytes, its end says ", records.size());
    }
    check_overlaps(entries);
    return entries;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    throw core::InputError(message(name_, ": ", parts...));
  }

  bool fits(uint64_t at, uint64_t count, uint64_t end) const {
    return at <= end && count <= end - at;
  }

  std::string text(uint64_t begin, uint64_t count) const {
    return file_.text(static_cast<int64_t>(begin), static_cast<int64_t>(count));
  }

  uint64_t find_end() const {
    if (size_ >= kEndBytes) {
      const uint64_t last = size_ - kEndBytes;
      const uint64_t lowest = last - std::min(last, kLongestComment);
      const std::string rest = text(lowest, size_ - lowest);
      for (uint64_t at = last - lowest + 1; at-- > 0;) {
        if (number_at<uint32_t>(rest, at) == kEnd &&
            at + kEndBytes + number_at<uint16_t>(rest, at + 20) == rest.size()) {
          return lowest + at;
        }
      }
    }
    refuse("not a whole zip archive: its end is missing (truncated?)");
  }

  Directory find_directory() const {
    const uint64_t end = find_end();
    const std::string record = text(end, kEndBytes);
    if (number_at<uint16_t>(record, 4) != 0 || number_at<uint16_t>(record, 6) != 0) {
      refuse("a zip archive in several parts, which is not supported");
    }
    const auto entries = number_at<uint16_t>(record, 10);
    const auto size = number_at<uint32_t>(record, 12);
    const auto begin = number_at<uint32_t>(record, 16);
    Directory directory{begin, uint64_t{begin} + size, entries};
    if (entries == kShortIn64 || size == kIn64 || begin == kIn64) directory = find_directory64(end);
    if (directory.begin > directory.end || directory.end > end) {
      refuse("the zip archive's directory lies beyond its end");
    }
    if (directory.entries > kMostEntries) {
      refuse("a zip archive of ", directory.entries, " entries, the most is ", kMostEntries);
    }
    if (directory.end - directory.begin > kLongestDirectory) {
      refuse("a zip archive with a directory of ", directory.end - directory.begin,
             " bytes, the most is ", kLongestDirectory);
    }
    return directory;
  }

  Directory find_directory64(uint64_t end) const {
    const std::string locator =
        end >= kEnd64LocatorBytes ? text(end - kEnd64LocatorBytes, kEnd64LocatorBytes) : "";
    const bool has_locator = !locator.empty() && number_at<uint32_t>(locator, 0) == kEnd64Locator;
    const uint64_t at = has_locator ? number_at<uint64_t>(locator, 8) : 0;
    const std::string record =
        has_locator && fits(at, kEnd64Bytes, end) ? text(at, kEnd64Bytes) : "";
    if (record.empty() || number_at<uint32_t>(record, 0) != kEnd64) {
      refuse("the zip archive's 64-bit end is missing");
    }
    const auto size = number_at<uint64_t>(record, 40);
    const auto begin = number_at<uint64_t>(record, 48);
    if (!fits(begin, size, at)) refuse("the zip archive's directory lies beyond its end");
    return {begin, begin + size, number_at<uint64_t>(record, 32)};
  }

  /// Of the directory's records, the one at byte `at`.
  CentralEntry read_central(std::string_view records, uint64_t at, uint64_t number) const {
    if (!fits(at, kCentralHeaderBytes, records.size()) ||
        number_at<uint32_t>(records, at) != kCentralHeader) {
      refuse("entry ", number, " of the zip archive's directory is missing");
    }
    CentralEntry entry;
    entry.flags = number_at<uint16_t>(records, at + 8);
    entry.method = number_at<uint16_t>(records, at + 10);
    entry.stored = number_at<uint32_t>(records, at + 20);
    entry.whole = number_at<uint32_t>(records, at + 24);
    entry.local_header = number_at<uint32_t>(records, at + 42);
    const uint64_t name_bytes = number_at<uint16_t>(records, at + 28);
    const uint64_t extra_bytes = number_at<uint16_t>(records, at + 30);
    const uint64_t comment_bytes = number_at<uint16_t>(records, at + 32);
    entry.bytes = kCentralHeaderBytes + name_bytes + extra_bytes + comment_bytes;
    if (!fits(at, entry.bytes, records.size())) {
      refuse("entry ", number, " of the zip archive's directory is cut off");
    }
    entry.name = records.substr(at + kCentralHeaderBytes, name_bytes);
    entry.extra = records.substr(at + kCentralHeaderBytes + name_bytes, extra_bytes);
    read_extra64(entry);
    return entry;
  }

  /// The 64-bit numbers stand in this order, each only if its 32 bits say so.
  void read_extra64(CentralEntry& entry) const {
    const bool is_needed =
        entry.whole == kIn64 || entry.stored == kIn64 || entry.local_header == kIn64;
    if (!is_needed) return;
    std::string_view rest = entry.extra;
    while (rest.size() >= 4) {
      const auto id = number_at<uint16_t>(rest, 0);
      const uint64_t size = number_at<uint16_t>(rest, 2);
      if (size > rest.size() - 4) break;
      std::string_view field = rest.substr(4, size);
      rest.remove_prefix(4 + size);
      if (id != kExtra64) continue;
      for (uint64_t* number : {&entry.whole, &entry.stored, &entry.local_header}) {
        if (*number != kIn64) continue;
        if (field.size() < 8) break;
        *number = number_at<uint64_t>(field, 0);
        field.remove_prefix(8);
      }
      return;
    }
  }

  ZipEntry locate(const CentralEntry& entry, uint64_t directory) const {
    const std::string shown = in_quotes(entry.name);
    if ((entry.flags & kEncrypted) != 0) refuse(shown, ": is encrypted");
    if (entry.method != 0 || entry.stored != entry.whole) {
      refuse(shown, ": is compressed (method ", entry.method,
             "), expected the stored entries that torch.save writes");
    }
    const uint64_t at = entry.local_header;
    const std::string header =
        fits(at, kLocalHeaderBytes, directory) ? text(at, kLocalHeaderBytes) : "";
    if (header.empty() || number_at<uint32_t>(header, 0) != kLocalHeader) {
      refuse(shown, ": its header is missing at byte ", at);
    }
    const uint64_t name_bytes = number_at<uint16_t>(header, 26);
    const uint64_t begin = at + kLocalHeaderBytes + name_bytes + number_at<uint16_t>(header, 28);
    if (!fits(begin, entry.whole, directory)) {
      refuse(shown, ": ", entry.whole, " bytes from byte ", begin,
             " on reach beyond the archive's data, which ends at ", directory);
    }
    if (text(at + kLocalHeaderBytes, name_bytes) != entry.name) {
      refuse(shown, ": its header bears another name");
    }
    return {std::string(entry.name), begin, begin + entry.whole};
  }

  void check_overlaps(std::vector<ZipEntry> entries) const {
    std::sort(entries.begin(), entries.end(),
              [](const ZipEntry& a, const ZipEntry& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].begin < entries[i - 1].end) {
        refuse(in_quotes(entries[i].name), " and ", in_quotes(entries[i - 1].name), " overlap");
      }
    }
  }

  const core::ByteSource& file_;
  uint64_t size_;
  const std::string& name_;
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(const core::ByteSource& file, const std::string& name) {
  return ZipDirectoryReader(file, name).read();
}

}  // namespace longhaul::model

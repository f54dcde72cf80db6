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
  ZipDirectoryReader(std::string_view bytes, const std::string& name)
      : bytes_(bytes), name_(name) {}

  std::vector<ZipEntry> read() {
    const Directory directory = find_directory();
    std::vector<ZipEntry> entries;
    std::set<std::string_view> names;
    uint64_t at = directory.begin;
    for (uint64_t i = 0; i < directory.entries; ++i) {
      const CentralEntry entry = read_central(at, directory.end, i);
      if (!names.insert(entry.name).second) refuse(in_quotes(entry.name), " is there twice");
      entries.push_back(locate(entry, directory.begin));
      at += entry.bytes;
    }
    if (at != directory.end) {
      refuse("the archive's directory takes ", at - directory.begin, " bytes, its end says ",
             directory.end - directory.begin);
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

  uint64_t find_end() const {
    if (bytes_.size() >= kEndBytes) {
      const uint64_t last = bytes_.size() - kEndBytes;
      const uint64_t lowest = last - std::min(last, kLongestComment);
      for (uint64_t at = last + 1; at-- > lowest;) {
        if (number_at<uint32_t>(bytes_, at) == kEnd &&
            at + kEndBytes + number_at<uint16_t>(bytes_, at + 20) == bytes_.size()) {
          return at;
        }
      }
    }
    refuse("not a whole zip archive: its end is missing (truncated?)");
  }

  Directory find_directory() const {
    const uint64_t end = find_end();
    if (number_at<uint16_t>(bytes_, end + 4) != 0 || number_at<uint16_t>(bytes_, end + 6) != 0) {
      refuse("a zip archive in several parts, which is not supported");
    }
    const auto entries = number_at<uint16_t>(bytes_, end + 10);
    const auto size = number_at<uint32_t>(bytes_, end + 12);
    const auto begin = number_at<uint32_t>(bytes_, end + 16);
    Directory directory{begin, uint64_t{begin} + size, entries};
    if (entries == kShortIn64 || size == kIn64 || begin == kIn64) directory = find_directory64(end);
    if (directory.begin > directory.end || directory.end > end) {
      refuse("the zip archive's directory lies beyond its end");
    }
    if (directory.entries > kMostEntries) {
      refuse("a zip archive of ", directory.entries, " entries, the most is ", kMostEntries);
    }
    return directory;
  }

  Directory find_directory64(uint64_t end) const {
    const bool has_locator = end >= kEnd64LocatorBytes &&
                             number_at<uint32_t>(bytes_, end - kEnd64LocatorBytes) == kEnd64Locator;
    const uint64_t at = has_locator ? number_at<uint64_t>(bytes_, end - kEnd64LocatorBytes + 8) : 0;
    if (!has_locator || !fits(at, kEnd64Bytes, end) || number_at<uint32_t>(bytes_, at) != kEnd64) {
      refuse("the zip archive's 64-bit end is missing");
    }
    const auto size = number_at<uint64_t>(bytes_, at + 40);
    const auto begin = number_at<uint64_t>(bytes_, at + 48);
    if (!fits(begin, size, at)) refuse("the zip archive's directory lies beyond its end");
    return {begin, begin + size, number_at<uint64_t>(bytes_, at + 32)};
  }

  CentralEntry read_central(uint64_t at, uint64_t end, uint64_t number) const {
    if (!fits(at, kCentralHeaderBytes, end) || number_at<uint32_t>(bytes_, at) != kCentralHeader) {
      refuse("entry ", number, " of the zip archive's directory is missing");
    }
    CentralEntry entry;
    entry.flags = number_at<uint16_t>(bytes_, at + 8);
    entry.method = number_at<uint16_t>(bytes_, at + 10);
    entry.stored = number_at<uint32_t>(bytes_, at + 20);
    entry.whole = number_at<uint32_t>(bytes_, at + 24);
    entry.local_header = number_at<uint32_t>(bytes_, at + 42);
    const uint64_t name_bytes = number_at<uint16_t>(bytes_, at + 28);
    const uint64_t extra_bytes = number_at<uint16_t>(bytes_, at + 30);
    const uint64_t comment_bytes = number_at<uint16_t>(bytes_, at + 32);
    entry.bytes = kCentralHeaderBytes + name_bytes + extra_bytes + comment_bytes;
    if (!fits(at, entry.bytes, end)) {
      refuse("entry ", number, " of the zip archive's directory is cut off");
    }
    entry.name = bytes_.substr(at + kCentralHeaderBytes, name_bytes);
    entry.extra = bytes_.substr(at + kCentralHeaderBytes + name_bytes, extra_bytes);
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
    if (!fits(at, kLocalHeaderBytes, directory) ||
        number_at<uint32_t>(bytes_, at) != kLocalHeader) {
      refuse(shown, ": its header is missing at byte ", at);
    }
    const uint64_t name_bytes = number_at<uint16_t>(bytes_, at + 26);
    const uint64_t begin =
        at + kLocalHeaderBytes + name_bytes + number_at<uint16_t>(bytes_, at + 28);
    if (!fits(begin, entry.whole, directory)) {
      refuse(shown, ": ", entry.whole, " bytes from byte ", begin,
             " on reach beyond the archive's data, which ends at ", directory);
    }
    if (bytes_.substr(at + kLocalHeaderBytes, name_bytes) != entry.name) {
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

  std::string_view bytes_;
  const std::string& name_;
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(std::string_view bytes, const std::string& name) {
  return ZipDirectoryReader(bytes, name).read();
}

}  // namespace longhaul::model

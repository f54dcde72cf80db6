#include "eval/partial_results.h"

#include <glog/logging.h>
#include <zlib.h>

#include <algorithm>

#include "eval/partial.pb.h"
#include "eval/stored_json.h"
#include "eval/text_file.h"
#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::eval {

namespace {

constexpr const char* kFormat = "longhaul partial evaluation";
constexpr int kFormatVersion = 1;

uint32_t checksum(const std::string& bytes) {
  return static_cast<uint32_t>(::crc32_z(
      ::crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// How the file's evaluation differs from this one, or "".
std::string difference(const proto::PartialResults& stored, const Identity& identity) {
  const auto entry = [](const std::string& name, const std::string& value) {
    return name + " " + value;
  };
  const int stored_size = stored.identity_size(), size = static_cast<int>(identity.size());
  for (int i = 0; i < std::max(stored_size, size); ++i) {
    const std::string found =
        i < stored_size ? entry(stored.identity(i).name(), stored.identity(i).value()) : "nothing";
    const auto at = static_cast<size_t>(i);
    const std::string expected =
        i < size ? entry(identity[at].first, identity[at].second) : "nothing";
    if (found != expected) return "found " + found + ", expected " + expected;
  }
  return "";
}

core::InputError refusal(const std::filesystem::path& file, const std::string& what) {
  return core::InputError(
      core::message(file.string(), ": ", what, "; remove it to evaluate from the start"));
}

/// InputError unless the bytes are what this program reads.
proto::PartialResults stored_in(const std::string& bytes, const std::filesystem::path& file) {
  proto::PartialFile whole;
  if (!whole.ParseFromString(bytes) || whole.format() != kFormat) {
    throw refusal(file, "holds no partial results of an evaluation");
  }
  proto::PartialResults stored;
  if (whole.crc32() != checksum(whole.content()) || !stored.ParseFromString(whole.content())) {
    throw refusal(file, "is damaged: its checksum does not match");
  }
  if (stored.format_version() != kFormatVersion) {
    throw refusal(file, core::message("has format version ", stored.format_version(),
                                      ", this program reads ", kFormatVersion));
  }
  return stored;
}

const std::string* value_in(const Identity& identity, const std::string& name) {
  const auto found = std::find_if(identity.begin(), identity.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found != identity.end() ? &found->second : nullptr;
}

}  // namespace

PartialResults::PartialResults(int64_t units, int64_t width)
    : width_(width),
      done_(static_cast<size_t>(units)),
      numbers_(static_cast<size_t>(units * width)) {}

void PartialResults::set(int64_t unit, const std::vector<double>& numbers) {
  CHECK_EQ(static_cast<int64_t>(numbers.size()), width_);
  done_.at(static_cast<size_t>(unit)) = true;
  std::copy(numbers.begin(), numbers.end(), numbers_.begin() + unit * width_);
}

std::string PartialResults::bytes(const Identity& identity) const {
  proto::PartialResults stored;
  stored.set_format_version(kFormatVersion);
  store_identity(identity, *stored.mutable_identity());
  stored.set_units(static_cast<int64_t>(done_.size()));
  stored.set_width(width_);
  for (size_t unit = 0; unit < done_.size(); ++unit) {
    if (!done_[unit]) continue;
    proto::UnitNumbers& entry = *stored.add_done();
    entry.set_unit(static_cast<int64_t>(unit));
    const auto begin = numbers_.begin() + static_cast<int64_t>(unit) * width_;
    entry.mutable_numbers()->Add(begin, begin + width_);
  }
  proto::PartialFile file;
  file.set_format(kFormat);
  file.set_content(stored.SerializeAsString());
  file.set_crc32(checksum(file.content()));
  return file.SerializeAsString();
}

void PartialResults::parse(const std::string& bytes, const std::filesystem::path& file,
                           const Identity& identity) {
  const proto::PartialResults stored = stored_in(bytes, file);
  const auto refuse = [&](const std::string& what) { throw refusal(file, what); };
  if (const std::string what = difference(stored, identity); !what.empty()) {
    refuse("holds partial results of another evaluation: " + what);
  }
  const auto units = static_cast<int64_t>(done_.size());
  if (stored.units() != units || stored.width() != width_) {
    refuse(core::message("holds ", stored.units(), " units of ", stored.width(),
                         " numbers, expected ", units, " of ", width_));
  }
  for (const proto::UnitNumbers& entry : stored.done()) {
    if (entry.unit() < 0 || entry.unit() >= units || entry.numbers_size() != width_) {
      refuse(core::message("unit ", entry.unit(), " of ", units, " holds ", entry.numbers_size(),
                           " numbers, expected ", width_));
    }
    set(entry.unit(), {entry.numbers().begin(), entry.numbers().end()});
  }
}

void PartialResults::save(const std::filesystem::path& file, const Identity& identity) const {
  model::write_file_atomically(file, bytes(identity));
}

void PartialResults::load(const std::filesystem::path& file, const Identity& identity) {
  parse(read_text_file(file), file, identity);
}

std::optional<std::string> PartialResults::other_program(const std::filesystem::path& file,
                                                         const Identity& identity) {
  constexpr const char* kProgram = "program";
  const Identity stored = identity_of(stored_in(read_text_file(file), file).identity());
  const std::string *found = value_in(stored, kProgram), *own = value_in(identity, kProgram);
  if (own == nullptr || (found != nullptr && *found == *own)) return std::nullopt;
  for (const auto& [name, value] : identity) {
    const std::string* other = name == kProgram ? nullptr : value_in(stored, name);
    if (other != nullptr && *other != value) return std::nullopt;  // another evaluation altogether
  }
  return found != nullptr ? *found : "an older one";
}

void PartialResults::remove(const std::filesystem::path& file) {
  std::error_code ignored;  // the result is there; what stays behind is named by the next start
  std::filesystem::remove(file, ignored);
}

}  // namespace longhaul::eval

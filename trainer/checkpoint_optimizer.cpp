// The moments of a training checkpoint: in the files of whoever held them, read by whoever holds
// them now.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "kernels/core/error.h"
#include "trainer/checkpoint_files.h"
#include "trainer/tensor_file.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kWholeFile = "optimizer.safetensors";
constexpr std::string_view kShardPrefix = "optimizer-", kExtension = ".safetensors";
constexpr const char* kFirst = "first_moment";
constexpr const char* kSecond = "second_moment";

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// A stored tensor and the elements of the flat buffer that it holds.
struct StoredMoments {
  const model::SafetensorsFile* file = nullptr;
  const model::StoredTensor* tensor = nullptr;
  int64_t begin = 0;
  int64_t end() const { return begin + tensor->shape.elements(); }

  [[noreturn]] void fail(const std::string& what) const {
    throw core::InputError(
        core::message(file->path().string(), ": tensor ", tensor->name, ": ", what));
  }
};

/// The tensors called `moment` or `moment`.BEGIN, in the order of the flat buffer.
std::vector<StoredMoments> find_moments(const std::vector<model::SafetensorsFile>& files,
                                        std::string_view moment) {
  std::vector<StoredMoments> found;
  for (const auto& file : files) {
    for (const auto& tensor : file.tensors()) {
      if (!tensor.name.starts_with(moment)) continue;
      const std::string_view rest = std::string_view(tensor.name).substr(moment.size());
      StoredMoments stored{&file, &tensor};
      if (!rest.empty()) {
        const auto begin = rest.front() == '.' ? whole_number(rest.substr(1)) : std::nullopt;
        if (!begin) stored.fail(core::message("expected ", moment, " or ", moment, ".BEGIN"));
        stored.begin = *begin;
      }
      found.push_back(stored);
    }
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  return found;
}

void check_cover(const std::vector<StoredMoments>& stored, const fs::path& folder,
                 std::string_view moment, const core::TensorView& wanted, int64_t elements) {
  int64_t next = 0;
  for (const StoredMoments& part : stored) {
    if (part.tensor->type != stored_type(wanted.dtype()) || part.tensor->shape.rank() != 1) {
      part.fail(
          core::message("is ", part.tensor->shape,
                        part.tensor->type == stored_type(wanted.dtype()) ? "" : " of another type",
                        ", expected one dimension of ", core::name_of(wanted.dtype())));
    }
    if (part.begin != next) {
      part.fail(core::message("begins at element ", part.begin, ", expected ", next));
    }
    next = part.end();
  }
  if (next != elements) {
    throw core::InputError(core::message(folder.string(), ": ", moment, " has ", next,
                                         " elements in all optimizer files, expected ", elements));
  }
}

/// The overlap of what is stored with elements [begin, begin + target.elements()).
void copy_overlap(core::Context& context, const std::vector<StoredMoments>& stored, int64_t begin,
                  const core::TensorView& target) {
  const int64_t end = begin + target.elements();
  for (const StoredMoments& part : stored) {
    const int64_t from = std::max(begin, part.begin), to = std::min(end, part.end());
    if (from >= to) continue;
    const core::TensorView source(const_cast<void*>(part.file->bytes(*part.tensor)), target.dtype(),
                                  part.tensor->shape);
    core::copy(context, source.slice(0, from - part.begin, to - part.begin),
               target.slice(0, from - begin, to - begin));
  }
}

}  // namespace

std::string optimizer_file(int rank, int ranks) {
  if (ranks == 1) return std::string(kWholeFile);
  return core::message(kShardPrefix, rank, kExtension);
}

bool is_optimizer_file(const std::string& name) {
  if (name == kWholeFile) return true;
  if (!name.starts_with(kShardPrefix) || !name.ends_with(kExtension)) return false;
  const size_t length = name.size() - kExtension.size() - kShardPrefix.size();
  return whole_number(std::string_view(name).substr(kShardPrefix.size(), length)).has_value();
}

void add_moments(TensorFile& file, const Optimizer& optimizer, int rank, int ranks) {
  for (const Optimizer::Part& part : optimizer.parts()) {
    int64_t begin = 0, end = part.first_moment.elements();
    if (!optimizer.is_sharded()) {
      end = optimizer.elements() * (rank + 1) / ranks;
      begin = optimizer.elements() * rank / ranks;
    }
    if (begin == end && ranks > 1) continue;
    const std::string place = ranks > 1 ? core::message(".", part.begin + begin) : "";
    file.add(kFirst + place, part.first_moment.slice(0, begin, end));
    file.add(kSecond + place, part.second_moment.slice(0, begin, end));
  }
}

void read_optimizer(const fs::path& folder, const CheckpointManifest& manifest,
                    core::Context& context, Optimizer& optimizer) {
  std::vector<model::SafetensorsFile> files;
  for (const FileCheck& file : manifest.files) {
    if (is_optimizer_file(file.name)) files.emplace_back(folder / file.name);
  }
  if (files.empty()) {
    throw core::InputError(core::message((folder / kManifestFile).string(),
                                         ": files: names no optimizer file, expected ", kWholeFile,
                                         " or ", kShardPrefix, "RANK", kExtension));
  }
  const std::vector<Optimizer::Part> own = optimizer.parts();
  for (const char* moment : {kFirst, kSecond}) {
    const auto view = [&](const Optimizer::Part& part) {
      return moment == kFirst ? part.first_moment : part.second_moment;
    };
    const std::vector<StoredMoments> stored = find_moments(files, moment);
    check_cover(stored, folder, moment, view(own.front()), optimizer.elements());
    for (const Optimizer::Part& part : own) copy_overlap(context, stored, part.begin, view(part));
  }
}

}  // namespace longhaul::trainer

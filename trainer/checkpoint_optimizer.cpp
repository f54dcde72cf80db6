// The moments of a training checkpoint: in the files of whoever held them, read by whoever holds
// them now.
#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

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
std::vector<StoredMoments> find_moments(std::span<const model::SafetensorsFile> files,
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

void check_type(const StoredMoments& part, core::DType wanted) {
  const bool has_type = part.tensor->type == stored_type(wanted);
  if (has_type && part.tensor->shape.rank() == 1) return;
  part.fail(core::message("is ", part.tensor->shape, has_type ? "" : " of another type",
                          ", expected one dimension of ", core::name_of(wanted)));
}

void check_cover(const std::vector<StoredMoments>& stored, const fs::path& folder,
                 std::string_view moment, int64_t elements) {
  int64_t next = 0;
  for (const StoredMoments& part : stored) {
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

/// What a rank writes of a buffer that all ranks have whole.
dist::Piece even_piece(int64_t elements, int ranks, int rank) {
  return {elements * rank / ranks, elements * (rank + 1) / ranks};
}

/// Ascending, none empty: what rank `rank` wrote.
std::vector<dist::Piece> written_pieces(const CheckpointManifest& manifest, int rank) {
  const auto [elements, bucket, block] = manifest.moments;
  const int ranks = manifest.mesh.data * manifest.mesh.sequence;
  std::vector<dist::Piece> pieces;
  if (bucket == 0) {
    pieces.push_back(even_piece(elements, ranks, rank));
  } else {
    const dist::ShardLayout layout(
        {.elements = elements, .ranks = ranks, .bucket = bucket, .block = block});
    for (const auto& each : layout.buckets()) pieces.push_back(layout.piece(each, rank));
  }
  std::erase_if(pieces, [](const dist::Piece& piece) { return piece.elements() == 0; });
  return pieces;
}

/// Of two ascending lists.
bool overlap(const std::vector<dist::Piece>& a, const std::vector<dist::Piece>& b) {
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (std::max(a[i].begin, b[j].begin) < std::min(a[i].end, b[j].end)) return true;
    a[i].end <= b[j].end ? ++i : ++j;
  }
  return false;
}

void check_pieces(const std::vector<StoredMoments>& stored, const fs::path& file,
                  std::string_view moment, const std::vector<dist::Piece>& pieces) {
  for (size_t i = 0; i < std::max(stored.size(), pieces.size()); ++i) {
    if (i >= stored.size()) {
      throw core::InputError(core::message(file.string(), ": ", moment, " has no elements ",
                                           pieces[i].begin, " to ", pieces[i].end));
    }
    if (i >= pieces.size()) stored[i].fail("is another rank's");
    if (stored[i].begin != pieces[i].begin) {
      stored[i].fail(
          core::message("begins at element ", stored[i].begin, ", expected ", pieces[i].begin));
    }
    if (stored[i].end() != pieces[i].end) {
      stored[i].fail(core::message("has ", stored[i].tensor->shape.elements(),
                                   " elements, expected ", pieces[i].elements()));
    }
  }
}

/// The files that this rank needs, each checked.
class OptimizerFiles {
 public:
  OptimizerFiles(const fs::path& folder, const CheckpointManifest& manifest,
                 const Optimizer& optimizer)
      : folder_(folder),
        manifest_(manifest),
        elements_(optimizer.elements()),
        layout_is_known_(manifest.moments.elements > 0) {
    if (!layout_is_known_) {
      open_all();
      return;
    }
    const int64_t written = manifest.moments.elements;
    if (written != elements_) {
      throw core::InputError(core::message(manifest_path(), ": moments.elements: is ", written,
                                           ", expected ", elements_));
    }
    std::vector<dist::Piece> own;
    for (const Optimizer::Part& part : optimizer.parts()) {
      own.push_back({part.begin, part.begin + part.first_moment.elements()});
    }
    open_overlapping(own);
  }

  std::vector<StoredMoments> find(const char* moment, core::DType dtype) const {
    std::vector<StoredMoments> all = find_moments(files_, moment);
    for (const StoredMoments& part : all) check_type(part, dtype);
    if (!layout_is_known_) {
      check_cover(all, folder_, moment, elements_);
      return all;
    }
    for (size_t i = 0; i < files_.size(); ++i) {
      check_pieces(find_moments(std::span(files_).subspan(i, 1), moment), files_[i].path(), moment,
                   pieces_[i]);
    }
    return all;
  }

 private:
  std::string manifest_path() const { return (folder_ / kManifestFile).string(); }
  bool is_named(const std::string& name) const {
    return std::any_of(manifest_.files.begin(), manifest_.files.end(),
                       [&](const FileCheck& file) { return file.name == name; });
  }

  void open_all() {
    for (const FileCheck& file : manifest_.files) {
      if (is_optimizer_file(file.name)) files_.emplace_back(folder_ / file.name);
    }
    if (!files_.empty()) return;
    throw core::InputError(core::message(manifest_path(),
                                         ": files: names no optimizer file, expected ", kWholeFile,
                                         " or ", kShardPrefix, "RANK", kExtension));
  }

  void open_overlapping(const std::vector<dist::Piece>& own) {
    const int ranks = manifest_.mesh.data * manifest_.mesh.sequence;
    for (int rank = 0; rank < ranks; ++rank) {
      std::vector<dist::Piece> pieces = written_pieces(manifest_, rank);
      if (!overlap(own, pieces)) continue;
      const std::string name = optimizer_file(rank, ranks);
      if (!is_named(name)) {
        throw core::InputError(core::message(manifest_path(), ": files: names no ", name));
      }
      files_.emplace_back(folder_ / name);
      pieces_.push_back(std::move(pieces));
    }
  }

  const fs::path& folder_;
  const CheckpointManifest& manifest_;
  int64_t elements_;
  bool layout_is_known_;
  std::vector<model::SafetensorsFile> files_;
  std::vector<std::vector<dist::Piece>> pieces_;  // of each file, where the layout is known
};

/// The overlap of what is stored with elements [begin, begin + target.elements()).
void copy_overlap(core::Context& context, const std::vector<StoredMoments>& stored, int64_t begin,
                  const core::TensorView& target) {
  const int64_t end = begin + target.elements();
  for (const StoredMoments& part : stored) {
    const int64_t from = std::max(begin, part.begin), to = std::min(end, part.end());
    if (from >= to) continue;
    read_stored(context, *part.file, *part.tensor, from - part.begin,
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

void add_moments(TensorFile& file, const Optimizer& optimizer, int rank, int ranks,
                 core::DeviceReader& reader) {
  for (const Optimizer::Part& part : optimizer.parts()) {
    const dist::Piece own = optimizer.is_sharded() ? dist::Piece{0, part.first_moment.elements()}
                                                   : even_piece(optimizer.elements(), ranks, rank);
    if (own.elements() == 0 && ranks > 1) continue;
    const std::string place = ranks > 1 ? core::message(".", part.begin + own.begin) : "";
    file.add(kFirst + place, part.first_moment.slice(0, own.begin, own.end), reader);
    file.add(kSecond + place, part.second_moment.slice(0, own.begin, own.end), reader);
  }
}

MomentLayout moment_layout(const Optimizer& optimizer) {
  const dist::ShardSetting& setting = optimizer.layout().setting();
  if (!optimizer.is_sharded()) return {.elements = setting.elements};
  return {.elements = setting.elements, .bucket = setting.bucket, .block = setting.block};
}

void read_optimizer(const fs::path& folder, const CheckpointManifest& manifest,
                    core::Context& context, Optimizer& optimizer) {
  const OptimizerFiles files(folder, manifest, optimizer);
  const std::vector<Optimizer::Part> own = optimizer.parts();
  for (const char* moment : {kFirst, kSecond}) {
    const auto view = [&](const Optimizer::Part& part) {
      return moment == kFirst ? part.first_moment : part.second_moment;
    };
    const std::vector<StoredMoments> stored = files.find(moment, view(own.front()).dtype());
    for (const Optimizer::Part& part : own) copy_overlap(context, stored, part.begin, view(part));
  }
}

}  // namespace longhaul::trainer

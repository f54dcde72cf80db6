#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "model/checkpoint/atomic_file.h"
#include "trainer/checkpoint_files.h"
#include "trainer/crc32c.h"
#include "trainer/training_checkpoint.pb.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "longhaul training checkpoint";
constexpr int32_t kVersion = 1;
constexpr std::string_view kOwnChecksum = "\"manifest_crc32c\":";
constexpr int64_t kMostCounted = int64_t{1} << 60;  // a run can go on counting from there

/// The message of one line: problems are lines.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

std::vector<std::string> problems_of(const proto::TrainingCheckpoint& m, const std::string& file) {
  std::vector<std::string> problems;
  if (m.format() != kFormat) {
    problems.push_back(core::message(file, ": format: is \"", one_line(m.format()),
                                     "\", expected \"", kFormat, "\""));
  } else if (m.version() != kVersion) {
    problems.push_back(core::message(file, ": version: is ", m.version(), ", expected ", kVersion));
  }
  if (!problems.empty()) return problems;  // the rest may mean something else
  const auto within = [&](const char* key, int64_t found, int64_t least, int64_t most) {
    if (found < least || found > most) {
      problems.push_back(
          core::message(file, ": ", key, ": is ", found, ", expected from ", least, " to ", most));
    }
  };
  within("step", m.step(), 0, kMostCounted);
  within("micro_step", m.micro_step(), 0, kMostCounted);
  within("tokens", m.tokens(), 0, kMostCounted);
  within("skipped", m.skipped(), 0, m.step());
  within("skipped_in_row", m.skipped_in_row(), 0, m.skipped());
  within("optimizer_steps", m.optimizer_steps(), 0, m.step());
  within("moments.elements", m.moments().elements(), 0, kMostCounted);
  within("moments.bucket", m.moments().bucket(), 0, kMostCounted);
  if (m.has_moments()) within("moments.block", m.moments().block(), 1, INT32_MAX);
  within("data_ranks", m.data_ranks(), 1, INT32_MAX);
  within("sequence_ranks", m.sequence_ranks(), 1, INT32_MAX);
  for (const auto& entry : m.files()) {
    const fs::path name = entry.name();
    if (name.empty() || name != name.filename() || name == ".." || entry.bytes() < 0) {
      problems.push_back(core::message(file, ": files: found \"", one_line(entry.name()), "\" of ",
                                       entry.bytes(), " bytes, expected a file of this folder"));
    }
  }
  return problems;
}

/// "" where the checksum of the text before its key holds, or there is none (earlier programs).
std::string checksum_problem(std::string_view text, const std::string& file) {
  const size_t key = text.rfind(kOwnChecksum);
  if (key == std::string_view::npos) return "";
  std::string_view number = text.substr(key + kOwnChecksum.size());
  number.remove_prefix(std::min(number.find_first_not_of(' '), number.size()));
  uint32_t written = 0;
  const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), written);
  const uint32_t found = crc32c(text.data(), key);
  if (code == std::errc() && found == written) return "";
  return core::message(file, ": is damaged: its CRC-32C is ", found, ", expected ",
                       number.substr(0, number.find_first_of("\n}")));
}

std::string with_checksum(std::string json) {
  json.erase(json.rfind('}'));  // its own, not one of what stands last in it
  json.erase(json.find_last_not_of(" \n") + 1);
  json += ",\n ";
  return core::message(json, kOwnChecksum, " ", crc32c(json.data(), json.size()), "\n}\n");
}

}  // namespace

fs::path checkpoints_folder(const fs::path& run_folder) { return run_folder / "checkpoints"; }

fs::path checkpoint_folder(const fs::path& run_folder, int64_t step) {
  return checkpoints_folder(run_folder) / core::message("step-", step);
}

std::string source_file(int data_rank) {
  return core::message("sources-", data_rank, ".safetensors");
}

FileCheck check_of(const fs::path& file) {
  const core::RandomAccessFile opened(file);
  FileCheck check{.name = file.filename().string(), .bytes = opened.size()};
  opened.for_each_piece([&](std::string_view piece) {
    check.crc32c = crc32c(piece.data(), piece.size(), check.crc32c);
  });
  return check;
}

void CheckpointManifest::verify(const fs::path& folder, size_t first, size_t stride) const {
  std::vector<std::string> problems;
  for (size_t i = first; i < files.size(); i += stride) {
    const FileCheck& written = files[i];
    const fs::path file = folder / written.name;
    try {
      const FileCheck found = check_of(file);
      if (found.bytes != written.bytes) {
        problems.push_back(core::message(file.string(), ": has ", found.bytes, " bytes, expected ",
                                         written.bytes));
      } else if (found.crc32c != written.crc32c) {
        problems.push_back(core::message(file.string(), ": is damaged: its CRC-32C is ",
                                         found.crc32c, ", expected ", written.crc32c));
      }
    } catch (const core::InputError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  }
  if (!problems.empty()) throw core::InputError(std::move(problems));
}

void write_manifest(const fs::path& folder, const CheckpointManifest& manifest) {
  proto::TrainingCheckpoint m;
  m.set_format(kFormat);
  m.set_version(kVersion);
  m.set_step(manifest.step);
  m.set_micro_step(manifest.micro_step);
  m.set_tokens(manifest.tokens);
  m.set_skipped(manifest.skipped);
  m.set_skipped_in_row(manifest.skipped_in_row);
  m.set_optimizer_steps(manifest.optimizer_steps);
  m.set_data_position(manifest.data_position);
  m.set_data_ranks(manifest.mesh.data);
  m.set_sequence_ranks(manifest.mesh.sequence);
  m.set_configuration_hash(manifest.configuration_hash);
  if (manifest.moments.elements > 0) {
    m.mutable_moments()->set_elements(manifest.moments.elements);
    m.mutable_moments()->set_bucket(manifest.moments.bucket);
    m.mutable_moments()->set_block(manifest.moments.block);
  }
  for (const FileCheck& file : manifest.files) {
    proto::TrainingCheckpoint::File* entry = m.add_files();
    entry->set_name(file.name);
    entry->set_bytes(file.bytes);
    entry->set_crc32c(file.crc32c);
  }
  for (const auto& [name, value] : manifest.evaluation) {
    proto::TrainingCheckpoint::Number* entry = m.add_evaluation();
    entry->set_name(name);
    entry->set_value(value);
  }
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(m, &json, options);
  if (!status.ok()) {
    throw core::Error(core::message((folder / kManifestFile).string(),
                                    ": cannot be written: ", std::string(status.message())));
  }
  model::write_file_atomically(folder / kManifestFile, with_checksum(json),
                               model::WrittenTo::kNewFolder);
}

CheckpointManifest read_manifest(const fs::path& folder) {
  const fs::path file = folder / kManifestFile;
  const std::string text = core::read_file(file);
  proto::TrainingCheckpoint m;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // `version` says whether we understand the rest
  const auto status = google::protobuf::util::JsonStringToMessage(text, &m, options);
  if (!status.ok()) {
    throw core::InputError(core::message(file.string(), ": is not a training checkpoint's: ",
                                         one_line(std::string(status.message()))));
  }
  std::vector<std::string> problems = problems_of(m, file.string());
  const bool is_known = m.format() == kFormat && m.version() == kVersion;
  const std::string damage = is_known ? checksum_problem(text, file.string()) : "";
  if (!damage.empty()) problems = {damage};  // the rest need not be true
  if (!problems.empty()) throw core::InputError(std::move(problems));
  CheckpointManifest manifest{.step = m.step(),
                              .micro_step = m.micro_step(),
                              .tokens = m.tokens(),
                              .skipped = m.skipped(),
                              .skipped_in_row = m.skipped_in_row(),
                              .optimizer_steps = m.optimizer_steps(),
                              .data_position = m.data_position(),
                              .mesh = {m.data_ranks(), m.sequence_ranks()},
                              .configuration_hash = m.configuration_hash(),
                              .moments = {.elements = m.moments().elements(),
                                          .bucket = m.moments().bucket(),
                                          .block = m.moments().block()},
                              .evaluation = {},
                              .files = {}};
  for (const proto::TrainingCheckpoint::Number& entry : m.evaluation()) {
    manifest.evaluation.emplace_back(entry.name(), entry.value());
  }
  for (const proto::TrainingCheckpoint::File& entry : m.files()) {
    manifest.files.push_back({entry.name(), entry.bytes(), entry.crc32c()});
  }
  return manifest;
}

}  // namespace longhaul::trainer

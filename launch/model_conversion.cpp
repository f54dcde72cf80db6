#include "launch/model_conversion.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "data/tokenizer_files.h"
#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "launch/interruption.h"
#include "launch/model_tokenizer.h"
#include "launch/run_config.h"
#include "launch/run_folder.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/model_parts.h"
#include "model/checkpoint/safetensors_header.h"
#include "trainer/checkpoint_files.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostTokens = uint64_t{1} << 31;

bool says_any(const model::TokenIds& ids) {
  return ids.pad != "null" || ids.bos != "null" || ids.eos != "null";
}

std::optional<int64_t> step_by_name(const fs::path& whole) {
  const fs::path above = whole.parent_path();
  if (above != trainer::checkpoints_folder(above.parent_path())) return std::nullopt;
  return trainer::step_of_name(whole.filename().string());
}

/// As JSON; null where what it is read from is not there any more or does not say it.
template <class Read>
std::string end_of_document(const Read& read) {
  try {
    const std::optional<int32_t> token = read();
    return token ? std::to_string(*token) : "null";
  } catch (const core::InputError&) {
    return "null";
  }
}

/// Of a tokenizer.json of any kind, also such as longhaul cannot read text with.
int64_t tokens_in_json(const fs::path& file) {
  using nlohmann::json;
  const json root = json::parse(core::read_file(file), nullptr, false);
  const auto refuse = [&](const char* where, const json& found, const std::string& expected) {
    throw core::InputError(core::message(file.string(), ": ", where, "is ", model::shown(found),
                                         ", expected ", expected));
  };
  if (!root.is_object())
    throw core::InputError(core::message(file.string(), ": is no JSON object"));
  int64_t tokens = 0;
  const auto count = [&](const json& id) {
    if (!id.is_number_integer()) return;
    const bool fits = id.is_number_unsigned() && id.get<uint64_t>() < kMostTokens;
    if (!fits) refuse("a token's id ", id, core::message("0 to ", kMostTokens - 1));
    tokens = std::max(tokens, id.get<int64_t>() + 1);
  };
  const json model = root.value("model", json::object());
  if (!model.is_object()) refuse("model: ", model, "an object");
  const json pieces = model.value("vocab", json());
  if (pieces.is_array()) tokens = std::ssize(pieces);  // Unigram: a token is its place
  if (pieces.is_object()) std::for_each(pieces.begin(), pieces.end(), count);
  for (const json& added : root.value("added_tokens", json::array()))
    if (added.is_object()) count(added.value("id", json()));
  return tokens;
}

std::optional<int32_t> end_of_data(const RunConfig& config) {
  const DataSection& data = config.data;
  if (data.kind == DataKind::kTokens) {
    data::TokenDataOptions options = data.file;
    if (options.vocabulary == 0) options.vocabulary = config.model.shape.vocabulary;
    const auto tokens = data::open_token_data(data.folder, options);
    const bool says_it = !tokens->tokenizer().empty() || tokens->end_of_document() > 0;
    return says_it ? std::optional(tokens->end_of_document()) : std::nullopt;
  }
  const bool is_text = data.task() != nullptr && data.task()->has_words();
  const bool is_byte = data.tokenizer.empty() && config.model.from.empty();
  if (!is_text || (data.tokenizer.empty() && !is_byte)) return std::nullopt;
  return data::make_tokenizer(is_byte ? "byte" : data.tokenizer)->end_of_document();
}

}  // namespace

std::vector<fs::path> companions_of(const fs::path& folder) {
  std::vector<fs::path> found = data::tokenizer_files_in(folder);
  std::error_code error;
  const fs::path generation = folder / "generation_config.json";
  if (fs::is_regular_file(generation, error)) found.push_back(generation);
  return found;
}

void expect_room_for(const fs::path& file, int64_t vocabulary) {
  const int64_t needed = file.extension() == ".json"
                             ? tokens_in_json(file)
                             : data::make_tokenizer(file.string(), "0")->vocabulary();
  if (needed > vocabulary) {
    throw core::InputError(core::message(file.string(), ": has tokens up to ", needed - 1,
                                         ", the model a vocabulary of ", vocabulary));
  }
}

model::TokenIds token_ids_of(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  std::error_code error;
  model::TokenIds ids;
  if (fs::is_regular_file(path, error)) {
    ids = model::read_token_ids(core::read_file(path), path.string());
    if (says_any(ids) || !run_of(folder)) return ids;
  }
  const fs::path file = data::find_tokenizer(folder);
  if (!file.empty()) {
    ids.eos =
        end_of_document([&] { return data::make_tokenizer(file.string())->end_of_document(); });
  }
  return ids;
}

model::TokenIds token_ids_of_run(const fs::path& run, const fs::path& model) {
  model::TokenIds ids;
  std::error_code error;
  if (fs::is_regular_file(model / "config.json", error)) ids = token_ids_of(model);
  if (says_any(ids)) return ids;
  const RunConfig config = read_run_config((run / kRunConfigFile).string());
  const fs::path from = model::model_of(config.model.from);
  if (!from.empty() && fs::is_regular_file(from / "config.json", error)) ids = token_ids_of(from);
  const fs::path file = data::find_tokenizer(folder_with_tokenizer(run));
  if (ids.eos == "null" && !file.empty()) {
    ids.eos =
        end_of_document([&] { return data::make_tokenizer(file.string())->end_of_document(); });
  }
  if (ids.eos == "null") ids.eos = end_of_document([&] { return end_of_data(config); });
  return ids;
}

std::optional<fs::path> run_of(const fs::path& model) {
  for (const fs::path& whole : spellings_of(model::model_of(model))) {
    const fs::path above = whole.parent_path(), run = above.parent_path();
    if (step_by_name(whole) && fs::is_regular_file(run / kRunConfigFile)) {
      return fs::weakly_canonical(run);
    }
    if (whole.filename() == kRunModel && was_trained(above)) return fs::weakly_canonical(above);
  }
  return std::nullopt;
}

std::optional<int64_t> step_of_checkpoint(const fs::path& model) {
  for (const fs::path& whole : spellings_of(model)) {
    if (const auto step = step_by_name(whole)) return step;
  }
  return std::nullopt;
}

std::optional<model::StoredType> chosen_type(const std::string& dtype) {
  if (dtype == "auto") return std::nullopt;
  return model::parse_stored_type(dtype);
}

std::string types_of(const std::vector<model::TensorStream>& tensors,
                     std::optional<model::StoredType> type) {
  std::map<model::StoredType, int64_t> counts;
  for (const auto& tensor : tensors) ++counts[type.value_or(tensor.type)];
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string text = model::name_of(most->first), others;
  for (const auto& [other, count] : counts) {
    if (other == most->first) continue;
    others += core::message(others.empty() ? "" : ", ", count, " tensors ", model::name_of(other));
  }
  return others.empty() ? text : core::message(text, " (", others, ")");
}

int64_t elements_of(const std::vector<model::TensorStream>& tensors) {
  int64_t elements = 0;
  for (const auto& tensor : tensors) elements += tensor.shape.elements();
  return elements;
}

ConversionProgress::ConversionProgress(const std::string& label,
                                       const std::vector<model::TensorStream>& tensors,
                                       std::optional<model::StoredType> type)
    : label_(label), bar_(label) {
  catch_interruptions();
  for (const auto& tensor : tensors) {
    total_ +=
        tensor.shape.elements() * static_cast<int64_t>(model::size_of(type.value_or(tensor.type)));
  }
}

void ConversionProgress::operator()(int64_t bytes) {
  if (interrupted()) throw core::Error(label_ + ": interrupted; nothing was written");
  done_ += bytes;
  bar_.show(static_cast<double>(done_) / static_cast<double>(std::max<int64_t>(total_, 1)),
            core::message(done_ >> 20, " of ", total_ >> 20, " MiB"));
}

}  // namespace longhaul::launch

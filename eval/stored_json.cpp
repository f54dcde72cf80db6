#include "eval/stored_json.h"

#include <google/protobuf/util/json_util.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "eval/evaluation.pb.h"
#include "eval/partial.pb.h"
#include "eval/text_file.h"
#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::eval {

namespace {

/// Further ones show where in the text, with an arrow.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void write_json(const std::filesystem::path& file, const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) throw core::Error(file.string() + ": " + status.ToString());
  model::write_file_atomically(file, text);
}

void read_json(const std::filesystem::path& file, google::protobuf::Message& message) {
  const std::string text = read_text_file(file);
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &message, options);
  if (status.ok()) return;
  const std::string refusal = file.string() + ": not an evaluation";
  // Where it is no JSON at all, this says in which line and column.
  const bool is_object = model::parse_json(text, refusal).is_object();
  throw core::InputError(
      refusal + ": " +
      (is_object ? first_line(std::string(status.message())) : "expected an object"));
}

double error_of(bool has, double value, int64_t sequences) {
  return has && sequences != 1 ? value : std::numeric_limits<double>::quiet_NaN();
}

void store_identity(const Identity& identity, StoredIdentity& to) {
  for (const auto& [name, value] : identity) {
    proto::IdentityEntry& entry = *to.Add();
    entry.set_name(name);
    entry.set_value(value);
  }
}

Identity identity_of(const StoredIdentity& from) {
  Identity identity;
  for (const proto::IdentityEntry& entry : from) {
    identity.emplace_back(entry.name(), entry.value());
  }
  return identity;
}

std::string read_task(const std::filesystem::path& file) {
  proto::Evaluation evaluation;
  read_json(file, evaluation);
  return evaluation.task();
}

void check_version(const std::filesystem::path& file, int found, int expected) {
  if (found == expected) return;
  throw core::InputError(core::message(file.string(), ": format_version is ", found,
                                       ", this program reads ", expected));
}

}  // namespace longhaul::eval

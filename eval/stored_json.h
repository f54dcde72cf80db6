// Evaluations on disk: Protobuf messages as JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "eval/identity.h"
#include "kernels/core/error.h"

namespace google::protobuf {
class Message;
template <typename Element>
class RepeatedPtrField;
}  // namespace google::protobuf
namespace longhaul::eval::proto {
class IdentityEntry;
}

namespace longhaul::eval {

/// Written atomically, all fields, names as in the .proto.
void write_json(const std::filesystem::path& file, const google::protobuf::Message& message);

/// Fills `message`; fields that it lacks are passed over (later versions keep the meaning of
/// these). InputError naming the file where it is no such JSON.
void read_json(const std::filesystem::path& file, google::protobuf::Message& message);

/// Of a standard error that a file has, or not: NaN where `sequences`, of which it is, are one.
/// There older files hold 0.
double error_of(bool has, double value, int64_t sequences);

using StoredIdentity = google::protobuf::RepeatedPtrField<proto::IdentityEntry>;
void store_identity(const Identity& identity, StoredIdentity& to);
Identity identity_of(const StoredIdentity& from);

/// What every evaluation of sequences says of itself, to and from its message.
template <class Result, class Stored>
void store_conditions(const Result& result, Stored& to) {
  to.set_model(result.model);
  to.set_length(result.length);
  to.set_sequences(result.sequences);
  to.set_training_length(result.training_length);
  to.set_whole_documents(result.whole_documents);
  to.set_inside_documents(result.inside_documents);
  to.set_windows(result.windows);
  to.set_sequences_asked(result.sequences_asked);
  store_identity(result.measured, *to.mutable_measured());
}
template <class Result, class Stored>
void take_conditions(const Stored& from, Result& result) {
  result.model = from.model();
  result.length = from.length();
  result.sequences = from.sequences();
  result.training_length = from.training_length();
  result.whole_documents = from.whole_documents();
  result.inside_documents = from.inside_documents();
  result.windows = from.windows();
  result.sequences_asked = from.sequences_asked();
  result.measured = identity_of(from.measured());
}

/// "task" of an evaluation, "" if it has none. InputError as of read_json.
std::string read_task(const std::filesystem::path& file);

/// InputError naming `file` unless its format_version is the one that this program writes.
void check_version(const std::filesystem::path& file, int found, int expected);

/// The evaluation in `file`. InputError as of the two above, and for what `flaw` finds wrong with
/// it ("": nothing).
template <class Message>
Message read_evaluation(const std::filesystem::path& file, int version,
                        std::string (*flaw)(const Message&)) {
  Message message;
  read_json(file, message);
  check_version(file, message.format_version(), version);
  if (const std::string what = flaw(message); !what.empty()) {
    throw core::InputError(file.string() + ": " + what);
  }
  return message;
}

}  // namespace longhaul::eval

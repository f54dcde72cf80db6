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

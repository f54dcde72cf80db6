#include "data/position.h"

#include "data/position.pb.h"

namespace longhaul::data {

proto::Position parse_position(const std::string& bytes) {
  proto::Position position;
  if (!position.ParseFromString(bytes))
    throw core::InputError(core::message("data position: ", bytes.size(),
                                         " bytes that are not a position of a data source"));
  return position;
}

std::string serialize(const proto::Position& position) { return position.SerializeAsString(); }

std::string kind_of(const proto::Position& position) {
  switch (position.source_case()) {
    case proto::Position::kRandomWindows:
      return "random windows";
    case proto::Position::kLanes:
      return "lanes";
    case proto::Position::kRecall:
      return "recall task";
    case proto::Position::kTask:
      return "task";
    default:
      return "nothing";
  }
}

}  // namespace longhaul::data

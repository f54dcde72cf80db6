#include "trainer/event_file.h"

#include <unistd.h>

#include <chrono>
#include <cstring>

#include "kernels/core/error.h"
#include "kernels/core/host_name.h"
#include "trainer/crc32c.h"
#include "trainer/tensorboard_event.pb.h"

namespace longhaul::trainer {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::filesystem::path file_name() {
  // The name begins with the time, so that files of one run sort by it.
  const auto microseconds = static_cast<int64_t>(now() * 1e6);
  return core::message("events.out.tfevents.", microseconds / 1000000, ".", core::host_name(), ".",
                       ::getpid(), ".", microseconds % 1000000);
}

/// As TFRecord has it, so that checksums of data that hold checksums stay good ones.
uint32_t masked_crc(const std::string& bytes) {
  const uint32_t crc = crc32c(bytes.data(), bytes.size());
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

}  // namespace

std::string tfrecord(const std::string& bytes) {
  const std::string length = little_endian(uint64_t{bytes.size()});
  return length + little_endian(masked_crc(length)) + bytes + little_endian(masked_crc(bytes));
}

EventFile::EventFile(const std::filesystem::path& folder, int64_t first_step)
    : file_(folder / file_name()) {
  proto::Event version;
  version.set_wall_time(now());
  version.set_file_version("brain.Event:2");
  file_.append(tfrecord(version.SerializeAsString()));
  proto::Event start;
  start.set_wall_time(now());
  start.set_step(first_step);
  start.mutable_session_log()->set_status(proto::SessionLog::START);
  file_.append(tfrecord(start.SerializeAsString()));
}

void EventFile::write_scalars(int64_t step,
                              const std::vector<std::pair<std::string, double>>& scalars) {
  proto::Event event;
  event.set_wall_time(now());
  event.set_step(step);
  for (const auto& [tag, value] : scalars) {
    proto::Summary::Value* scalar = event.mutable_summary()->add_value();
    scalar->set_tag(tag);
    scalar->set_simple_value(static_cast<float>(value));
  }
  file_.append(tfrecord(event.SerializeAsString()));
}

}  // namespace longhaul::trainer

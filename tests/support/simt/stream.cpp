#include "tests/support/simt/stream.h"

#include <atomic>
#include <utility>

#include "tests/support/simt/counts.h"
#include "tests/support/simt/device_memory.h"

namespace longhaul::simt {
namespace {

thread_local Stream* recording_stream = nullptr;
std::atomic<int64_t> launched = 0, not_recordable = 0;

}  // namespace

void run_or_record(Stream* stream, std::function<void()> work) {
  if (stream != nullptr && stream->recording != nullptr) {
    stream->recording->push_back(std::move(work));
    return;
  }
  const DeviceAccess access;
  work();
}

void begin_recording(Stream& stream) {
  stream.recording = std::make_unique<Recording>();
  stream.spoilt = false;
  recording_stream = &stream;
}

std::unique_ptr<Recording> end_recording(Stream& stream) {
  recording_stream = nullptr;
  std::unique_ptr<Recording> recording = std::move(stream.recording);
  return stream.spoilt ? nullptr : std::move(recording);
}

bool spoil_recording() {
  ++not_recordable;
  if (recording_stream == nullptr) return false;
  recording_stream->spoilt = true;
  return true;
}

void launch_recording(const Recording& recording, Stream& stream) {
  ++launched;
  for (const auto& work : recording) run_or_record(&stream, work);
}

int64_t recordings_launched() { return launched; }
int64_t calls_not_recordable() { return not_recordable; }

}  // namespace longhaul::simt

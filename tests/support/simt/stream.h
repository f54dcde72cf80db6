// Streams of the emulated device: work is done when it is put on one, or, while the stream records
// (CUDA's stream capture), written down to be done at every launch of the recording.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace longhaul::simt {

using Recording = std::vector<std::function<void()>>;

struct Stream {
  std::unique_ptr<Recording> recording;  ///< null: does not record
  bool spoilt = false;                   ///< something was done that cannot be recorded
};

/// `work` touches the device's memory. `stream` null: the default stream.
void run_or_record(Stream* stream, std::function<void()> work);
/// One stream a thread at a time.
void begin_recording(Stream& stream);
/// Null if the recording was spoilt.
std::unique_ptr<Recording> end_recording(Stream& stream);
/// False if this thread does not record.
bool spoil_recording();
void launch_recording(const Recording& recording, Stream& stream);
/// Of this process so far.
int64_t recordings_launched();

}  // namespace longhaul::simt

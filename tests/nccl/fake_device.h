// A device whose memory is the host's and whose streams are threads: work on a stream is done in
// order, later, by somebody else, as on a GPU.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "dist/device_runtime.h"

namespace longhaul::test {

class FakeStream {
 public:
  FakeStream() : worker_([this](const std::stop_token& stop) { run(stop); }) {}
  ~FakeStream();  // finishes what it holds
  void push(std::function<void()> work);
  void synchronize();

 private:
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> work_;
  std::jthread worker_;
};

std::unique_ptr<dist::DeviceRuntime> fake_device_runtime();

}  // namespace longhaul::test

#include "tests/nccl/fake_device.h"

#include <cstring>
#include <future>
#include <utility>

namespace longhaul::test {

namespace {

class FakeEvent {
 public:
  int64_t recorded() {
    const std::lock_guard lock(mutex_);
    return recorded_;
  }
  int64_t record() {
    const std::lock_guard lock(mutex_);
    return ++recorded_;
  }
  void complete(int64_t number) {
    const std::lock_guard lock(mutex_);
    complete_ = number;
    changed_.notify_all();
  }
  void wait_for(int64_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return complete_ >= number; });
  }
  bool is_complete() {
    const std::lock_guard lock(mutex_);
    return complete_ >= recorded_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t recorded_ = 0, complete_ = 0;
};

class FakeDeviceRuntime final : public dist::DeviceRuntime {
 public:
  void use_on_this_thread() override {}
  Stream make_stream() override { return new FakeStream; }
  void destroy(Stream stream) noexcept override { delete of(stream); }
  Event make_event() override { return new Shared(std::make_shared<FakeEvent>()); }
  void destroy_event(Event event) noexcept override { delete static_cast<Shared*>(event); }
  void record(Event event, Stream stream) override {
    const Shared fake = *static_cast<Shared*>(event);
    of(stream)->push([fake, number = fake->record()] { fake->complete(number); });
  }
  void wait(Stream stream, Event event) override {
    const Shared fake = *static_cast<Shared*>(event);
    of(stream)->push([fake, number = fake->recorded()] { fake->wait_for(number); });
  }
  bool is_complete(Event event) override { return (*static_cast<Shared*>(event))->is_complete(); }
  void copy(void* to, const void* from, int64_t bytes, Stream stream) override {
    of(stream)->push([=] { std::memcpy(to, from, static_cast<size_t>(bytes)); });
  }
  void synchronize(Stream stream) override { of(stream)->synchronize(); }

 private:
  using Shared = std::shared_ptr<FakeEvent>;  // work on a stream outlives a destroyed event
  static FakeStream* of(Stream stream) { return static_cast<FakeStream*>(stream); }
};

}  // namespace

FakeStream::~FakeStream() {
  synchronize();
  worker_.request_stop();
}

void FakeStream::push(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  work_.push_back(std::move(work));
  changed_.notify_one();
}

void FakeStream::synchronize() {
  std::promise<void> reached;
  push([&] { reached.set_value(); });
  reached.get_future().wait();
}

void FakeStream::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !work_.empty(); })) {
    const std::function<void()> next = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    next();
    lock.lock();
  }
}

std::unique_ptr<dist::DeviceRuntime> fake_device_runtime() {
  return std::make_unique<FakeDeviceRuntime>();
}

}  // namespace longhaul::test

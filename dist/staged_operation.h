// A collective as a short list of stages: each posts messages, the next begins when all of them are
// complete.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/message_transport.h"

namespace longhaul::dist {

struct ReturnToPool {
  core::MemoryPool* pool = nullptr;
  int64_t bytes = 0;
  void operator()(char* block) const { pool->release(block, bytes); }
};

class StagedOperation final : public Pending, private Advancing {
 public:
  using Stage = std::function<void(StagedOperation&)>;

  /// All stages use one tag: messages between two ranks keep their order. Runs the first stage at
  /// once.
  StagedOperation(Transport& transport, std::string description, Channel channel, int tag,
                  std::deque<Stage> stages);
  ~StagedOperation() override;
  StagedOperation(const StagedOperation&) = delete;
  StagedOperation& operator=(const StagedOperation&) = delete;

  void wait() override { wait_while(nullptr); }
  void wait_while(const std::function<void()>& meanwhile) override;
  bool test() override;

  // For stages.
  void send(const void* data, int64_t bytes, int peer);
  void receive(void* data, int64_t bytes, int peer);
  /// Memory that lives as long as the operation, 64-byte aligned; one block an operation.
  char* scratch(int64_t bytes);
  char* scratch() const { return scratch_.get(); }

 private:
  bool advance() override;
  std::string description() const override { return description_; }

  Transport& transport_;
  Progress& progress_;
  std::string description_;
  Channel channel_;
  int tag_;
  std::deque<Stage> stages_;  // still to run
  std::vector<std::unique_ptr<Message>> messages_;
  size_t complete_ = 0;  // messages_ before this one are complete
  std::unique_ptr<char, ReturnToPool> scratch_;
  bool done_ = false;
  bool failed_ = false;
  int exceptions_at_start_;
};

}  // namespace longhaul::dist

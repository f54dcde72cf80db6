#include "dist/staged_operation.h"

#include <glog/logging.h>

#include <exception>
#include <utility>

namespace longhaul::dist {

StagedOperation::StagedOperation(Transport& transport, std::string description, Channel channel,
                                 int tag, std::deque<Stage> stages)
    : transport_(transport),
      progress_(transport.progress()),
      description_(std::move(description)),
      channel_(channel),
      tag_(tag),
      stages_(std::move(stages)),
      exceptions_at_start_(std::uncaught_exceptions()) {
  progress_.advance_some();  // a long backward pass makes progress with every new bucket
  if (!advance()) progress_.add(*this);
}

StagedOperation::~StagedOperation() {
  if (!done_ && !failed_) {
    if (std::uncaught_exceptions() > exceptions_at_start_) {
      progress_.give_up(description_);
    } else if (!progress_.broken()) {
      try {
        wait();
      } catch (const std::exception& error) {
        LOG(ERROR) << "while an operation was destroyed: " << error.what();
      }
    }
  }
  progress_.remove(*this);
  messages_.clear();  // before the scratch memory they may point into
}

void StagedOperation::wait_while(const std::function<void()>& meanwhile) {
  if (done_) return;
  try {
    progress_.wait_for(*this, meanwhile);
  } catch (...) {
    failed_ = true;
    throw;
  }
}

bool StagedOperation::test() {
  if (!done_) progress_.advance_all();
  return done_;
}

void StagedOperation::send(const void* data, int64_t bytes, int peer) {
  messages_.push_back(transport_.start_send({channel_, peer, tag_}, data, bytes));
}

void StagedOperation::receive(void* data, int64_t bytes, int peer) {
  messages_.push_back(transport_.start_receive({channel_, peer, tag_}, data, bytes));
}

char* StagedOperation::scratch(int64_t bytes) {
  CHECK(scratch_ == nullptr) << "one block an operation";
  core::MemoryPool& pool = progress_.pool();
  scratch_ = {static_cast<char*>(pool.allocate(bytes)), ReturnToPool{&pool, bytes}};
  return scratch();
}

bool StagedOperation::advance() {
  while (!done_) {
    while (complete_ < messages_.size()) {
      if (!messages_[complete_]->test()) return false;
      ++complete_;
    }
    messages_.clear();
    complete_ = 0;
    if (stages_.empty()) {
      done_ = true;
    } else {
      const Stage stage = std::move(stages_.front());
      stages_.pop_front();
      stage(*this);
    }
  }
  return true;
}

}  // namespace longhaul::dist

#include "data/read_ahead.h"

#include <glog/logging.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace longhaul::data {

namespace {

class ReadAhead final : public BatchSource {
 public:
  ReadAhead(std::unique_ptr<BatchSource> source, int64_t batches)
      : source_(std::move(source)),
        most_(static_cast<size_t>(batches)),
        vocabulary_(source_->vocabulary()),
        position_(source_->position()) {
    CHECK_GT(batches, 0);
  }
  ~ReadAhead() override { stop(); }

  Batch next() override {
    if (!reader_.joinable()) start();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !read_.empty(); });
    Read read = std::move(read_.front());
    read_.pop_front();
    lock.unlock();
    changed_.notify_all();
    if (read.failure) {
      restore(position_);
      std::rethrow_exception(read.failure);
    }
    position_ = std::move(read.after);
    return std::move(read.batch);
  }

  std::string position() const override { return position_; }

  void restore(const std::string& position) override {
    stop();
    try {
      source_->restore(position);
    } catch (...) {  // it stands where it has read to
      source_->restore(position_);
      throw;
    }
    position_ = source_->position();
  }

  int64_t vocabulary() const override { return vocabulary_; }

 private:
  struct Read {
    Batch batch;
    std::string after;  // the source's position then
    std::exception_ptr failure;
  };

  void start() {
    reader_ = std::jthread([this](const std::stop_token& stopped) { run(stopped); });
  }

  void stop() {
    if (!reader_.joinable()) return;
    reader_.request_stop();
    reader_.join();
    read_.clear();
  }

  /// Until it is stopped, or the source fails.
  void run(const std::stop_token& stopped) {
    bool failed = false;
    while (!failed) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stopped, [&] { return read_.size() < most_; })) return;
      }
      Read read = read_one();
      failed = read.failure != nullptr;
      {
        const std::lock_guard lock(mutex_);
        read_.push_back(std::move(read));
      }
      changed_.notify_all();
    }
  }

  Read read_one() {
    Read read;
    try {
      read.batch = source_->next();
      read.after = source_->position();
    } catch (...) {
      read.failure = std::current_exception();
    }
    return read;
  }

  std::unique_ptr<BatchSource> source_;  // the reader's while it runs
  size_t most_;
  int64_t vocabulary_;
  std::string position_;  // after the last batch that was handed out
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Read> read_;
  std::jthread reader_;
};

}  // namespace

std::unique_ptr<BatchSource> read_ahead(std::unique_ptr<BatchSource> source, int64_t batches) {
  return std::make_unique<ReadAhead>(std::move(source), batches);
}

}  // namespace longhaul::data

#include "data/encoding_pool.h"

#include <utility>

namespace longhaul::data {

EncodingPool::EncodingPool(int threads, Use encode, Use take)
    : encode_(std::move(encode)), take_(std::move(take)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

EncodingPool::~EncodingPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  added_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void EncodingPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    added_.wait(lock, [this] { return stop_ || started_ < jobs_.size(); });
    if (stop_) return;
    Job& job = *jobs_[started_++];
    lock.unlock();
    try {
      encode_(*job.unit);
    } catch (...) {
      job.unit->problem = std::current_exception();
    }
    lock.lock();
    job.done = true;
    finished_.notify_one();
  }
}

void EncodingPool::take_oldest() {
  std::unique_ptr<Job> job;
  {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return jobs_.front()->done; });
    job = std::move(jobs_.front());
    jobs_.pop_front();
    --started_;
  }
  if (job->unit->problem) std::rethrow_exception(job->unit->problem);
  take_(*job->unit);
}

void EncodingPool::put(std::unique_ptr<TextUnit> unit) {
  // One more than the threads can have at hand, so that none waits while the oldest is written.
  if (jobs_.size() > threads_.size()) take_oldest();
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::make_unique<Job>(Job{std::move(unit)}));
  }
  added_.notify_one();
}

void EncodingPool::finish() {
  while (!jobs_.empty()) take_oldest();
}

}  // namespace longhaul::data

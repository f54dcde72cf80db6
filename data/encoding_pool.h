// Threads that encode units of text, and hand them back in the order in which they came.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/text_unit.h"

namespace longhaul::data {

class EncodingPool {
 public:
  using Use = std::function<void(TextUnit&)>;

  /// `encode` runs in the threads, `take` in the one that calls put and finish.
  EncodingPool(int threads, Use encode, Use take);
  ~EncodingPool();  ///< drops what has not been taken
  EncodingPool(const EncodingPool&) = delete;
  EncodingPool& operator=(const EncodingPool&) = delete;

  /// Waits for the oldest unit while too many are under way. Throws what encoding it threw.
  void put(std::unique_ptr<TextUnit> unit);
  void finish();  ///< takes all

 private:
  struct Job {
    std::unique_ptr<TextUnit> unit;
    bool done = false;
  };

  void work();
  void take_oldest();

  Use encode_, take_;
  std::mutex mutex_;
  std::condition_variable added_, finished_;
  std::deque<std::unique_ptr<Job>> jobs_;  // not taken yet, oldest first
  size_t started_ = 0;                     // of them
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace longhaul::data

#include "dist/thread_communicator.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "dist/message_communicator.h"
#include "dist/thread_world.h"
#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

/// Complete from the start: the bytes were copied into the receiver's mailbox.
class DeliveredMessage final : public Message {
 public:
  bool test() override { return true; }
};

class ExpectedMessage final : public Message {
 public:
  ExpectedMessage(ThreadWorld& world, int rank, ThreadWorld::Address address, void* data,
                  int64_t bytes)
      : world_(world),
        rank_(rank),
        address_(address),
        data_(data),
        bytes_(bytes),
        place_(world.expect(rank, address)) {}

  bool test() override {
    const auto message = world_.take(rank_, address_, place_);
    if (!message) return false;
    if (static_cast<int64_t>(message->size()) != bytes_) {
      throw core::Error(core::message("rank ", rank_, ": a message of ", message->size(),
                                      " bytes came from rank ", std::get<1>(address_), " where ",
                                      bytes_, " were expected"));
    }
    if (bytes_ > 0) std::memcpy(data_, message->data(), message->size());
    return true;
  }

 private:
  ThreadWorld& world_;
  int rank_;
  ThreadWorld::Address address_;
  void* data_;
  int64_t bytes_;
  int64_t place_;
};

class ThreadProgress final : public Progress, public Liveness {
 public:
  ThreadProgress(ThreadWorld& world, int rank) : world_(world), rank_(rank) {}
  bool broken() const override { return world_.failed(); }
  void give_up(const std::string& description) override {
    world_.fail(core::message("rank ", rank_, " gave up ", description));
  }
  void begin_busy(const std::string& what) override {
    busy_.push_back(what);
    world_.set_busy(rank_, what);
  }
  void end_busy() override {
    busy_.pop_back();
    world_.set_busy(rank_, busy_.empty() ? "" : busy_.back());
  }
  Liveness* liveness() override { return this; }
  void answer(const std::string& doing, bool waits) override {
    world_.set_doing(rank_, {doing, waits});
  }
  void ask(const std::string& doing) override {
    world_.set_doing(rank_, {doing, true});
    world_.forget_doing(rank_);
  }
  std::optional<Findings> findings() override {
    return Findings{.text = world_.missing_ranks(rank_), .busy = world_.busy_ranks()};
  }

 private:
  static constexpr double kPollSeconds = 1e-4;

  uint64_t arrivals() override { return world_.arrivals(rank_); }
  void finished_waiting() override {
    granted_s_ = 0;
    world_.set_waiting(rank_, "");
  }

  void idle(const Wait& wait, uint64_t arrivals_seen) override {
    const std::string operation = wait.operation.description();
    world_.set_waiting(rank_, operation);
    const double left = granted_s_ + world_.time_limit_s() - wait.seconds;
    if (left <= 0) return run_out_of_time(wait, operation);
    world_.wait_for_arrival(rank_, arrivals_seen, wait.polls ? std::min(left, kPollSeconds) : left);
  }

  void run_out_of_time(const Wait& wait, const std::string& operation) {
    const std::string busy = world_.busy_ranks();
    if (!busy.empty()) {
      granted_s_ = wait.seconds;
      tell_that_it_goes_on(wait, busy);
      return;
    }
    const std::string reason =
        core::message("rank ", rank_, ": ", operation, " did not finish within ",
                      world_.time_limit_s(), " s; ", world_.missing_ranks(rank_));
    world_.fail(reason);
    throw core::Error(reason);
  }

  ThreadWorld& world_;
  int rank_;
  std::vector<std::string> busy_;
  double granted_s_ = 0;  // of the current wait, beyond the time limit
};

class ThreadTransport final : public Transport {
 public:
  /// `members`: world ranks of the group, in its order.
  ThreadTransport(ThreadWorld& world, Progress& progress, int64_t context, std::vector<int> members,
                  int rank)
      : world_(world),
        progress_(progress),
        context_(context),
        members_(std::move(members)),
        rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }
  Progress& progress() override { return progress_; }

  std::unique_ptr<Message> start_send(const Envelope& to, const void* data,
                                      int64_t bytes) override {
    const char* begin = static_cast<const char*>(data);
    world_.deliver(world_rank(to.peer), address(to, world_rank(rank_)), {begin, begin + bytes});
    return std::make_unique<DeliveredMessage>();
  }

  std::unique_ptr<Message> start_receive(const Envelope& from, void* data, int64_t bytes) override {
    return std::make_unique<ExpectedMessage>(world_, world_rank(rank_),
                                             address(from, world_rank(from.peer)), data, bytes);
  }

  std::unique_ptr<Transport> split(const Partition& partition) override {
    std::vector<int> members;
    for (int old_rank : partition.members) members.push_back(world_rank(old_rank));
    const int64_t context = world_.context_of(context_, splits_++, partition.part);
    return std::make_unique<ThreadTransport>(world_, progress_, context, std::move(members),
                                             partition.new_rank);
  }

 private:
  int world_rank(int group_rank) const { return members_[static_cast<size_t>(group_rank)]; }
  ThreadWorld::Address address(const Envelope& envelope, int sender) const {
    return {2 * context_ + (envelope.channel == Channel::kCollective ? 1 : 0), sender,
            envelope.tag};
  }

  ThreadWorld& world_;
  Progress& progress_;
  int64_t context_;
  std::vector<int> members_;
  int rank_;
  int64_t splits_ = 0;
};

/// The single rank with its own world, so that what split() returns depends on nothing.
class SoloTransport final : public Transport {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Progress& progress() override { return progress_; }
  std::unique_ptr<Message> start_send(const Envelope& to, const void* data,
                                      int64_t bytes) override {
    return threads_.start_send(to, data, bytes);
  }
  std::unique_ptr<Message> start_receive(const Envelope& from, void* data, int64_t bytes) override {
    return threads_.start_receive(from, data, bytes);
  }
  std::unique_ptr<Transport> split(const Partition&) override {
    return std::make_unique<SoloTransport>();
  }

 private:
  ThreadWorld world_{1, 300};
  ThreadProgress progress_{world_, 0};
  ThreadTransport threads_{world_, progress_, 0, {0}, 0};
};

/// The first exception of any rank that is a cause, not a consequence of another.
class FirstException {
 public:
  void keep(std::exception_ptr exception, bool is_cause) {
    const std::lock_guard lock(mutex_);
    if (!exception_ || (is_cause && !has_cause_)) exception_ = std::move(exception);
    has_cause_ = has_cause_ || is_cause;
  }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr exception_;
  bool has_cause_ = false;
};

void run_rank(ThreadWorld& world, int rank, const std::function<void(Communicator&)>& body,
              FirstException& first) {
  try {
    std::vector<int> members;
    for (int r = 0; r < world.ranks(); ++r) members.push_back(r);
    ThreadProgress progress(world, rank);
    MessageCommunicator communicator(
        std::make_unique<ThreadTransport>(world, progress, 0, std::move(members), rank));
    body(communicator);
  } catch (const ReleasedError&) {
    first.keep(std::current_exception(), false);
  } catch (const std::exception& error) {
    first.keep(std::current_exception(), true);
    world.fail(core::message("released because rank ", rank, " failed: ", error.what()));
  } catch (...) {
    first.keep(std::current_exception(), true);
    world.fail(core::message("released because rank ", rank, " failed"));
  }
}

}  // namespace

std::unique_ptr<Communicator> solo_communicator() {
  return std::make_unique<MessageCommunicator>(std::make_unique<SoloTransport>());
}

void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& body,
                      double time_limit_s) {
  CHECK_GE(ranks, 1);
  ThreadWorld world(ranks, time_limit_s);
  FirstException first;
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] { run_rank(world, rank, body, first); });
    }
  }
  first.rethrow();
}

}  // namespace longhaul::dist

#include "eval/unit_run.h"

#include <algorithm>
#include <optional>

#include "kernels/core/error.h"
#include "kernels/core/tensor.h"

namespace longhaul::eval {

namespace {

class UnitRun : private BatchWatch {
 public:
  UnitRun(const dist::Mesh& mesh, const UnitJob& job, const Continuation& continuation)
      : mesh_(mesh),
        job_(job),
        continuation_(continuation),
        results_(job.units, job.width),
        own_(share_of(mesh.data_rank())) {}

  std::vector<double> run() {
    open();
    // Earlier data ranks have the larger shares.
    const int64_t rounds = (share_of(0).length() + job_.batch - 1) / job_.batch;
    for (int64_t round = 0; round < rounds; ++round) {
      if (!is_done(round)) run_round(round);
    }
    return results_.numbers();
  }

 private:
  dist::Segment share_of(int data_rank) const {
    return dist::segment_of(job_.units, mesh_.shape().data, data_rank);
  }
  dist::Segment batch_of(int data_rank, int64_t round) const {
    const dist::Segment share = share_of(data_rank);
    const int64_t begin = std::min(share.end, share.begin + round * job_.batch);
    return {.begin = begin, .end = std::min(share.end, begin + job_.batch)};
  }
  bool is_done(int64_t round) const {
    for (int rank = 0; rank < mesh_.shape().data; ++rank) {
      const dist::Segment batch = batch_of(rank, round);
      for (int64_t unit = batch.begin; unit < batch.end; ++unit) {
        if (!results_.has(unit)) return false;
      }
    }
    return true;
  }
  bool keeps() const { return !continuation_.file.empty() && mesh_.world().rank() == 0; }

  /// Two versions need not compute the same numbers: one result is of one of them.
  bool begins_anew() const {
    const auto other = PartialResults::other_program(continuation_.file, continuation_.identity);
    if (other && continuation_.notice) {
      continuation_.notice(continuation_.file.string() + ": was begun by " + *other +
                           ", this is another version: evaluating from the start");
    }
    return other.has_value();
  }

  void tell_what_is_done() const {
    if (!continuation_.notice) return;
    continuation_.notice(core::message("continues: ", results_.done(), " of ", job_.units,
                                       " units are done in ", continuation_.file.string()));
  }

  /// What rank 0 finds in the file, on every rank.
  void open() {
    if (continuation_.file.empty()) return;
    std::string found(1, '+');  // or '-' and what is wrong
    if (mesh_.world().rank() == 0) {
      try {
        if (std::filesystem::exists(continuation_.file) && !begins_anew()) {
          results_.load(continuation_.file, continuation_.identity);
          tell_what_is_done();
          found += results_.bytes(continuation_.identity);
        }
      } catch (const core::InputError& error) {
        found = std::string("-") + error.what();
      }
    }
    found = mesh_.world().broadcast_bytes(found, 0);
    if (found.front() == '-') throw core::InputError(found.substr(1));
    if (found.size() > 1) {
      results_.parse(found.substr(1), continuation_.file, continuation_.identity);
    }
  }

  void run_round(int64_t round) {
    const dist::Segment batch = batch_of(mesh_.data_rank(), round);
    std::vector<double> numbers(static_cast<size_t>(batch.length() * job_.width));
    bool cut = asked_to_stop(mesh_.world());
    std::optional<ReadFailure> failure;
    if (!cut && batch.length() > 0 && !has_all(batch)) {
      before_ = batch.begin - own_.begin;
      count_ = batch.length();
      try {
        job_.run(batch.begin, batch.length(), numbers, *this);
      } catch (const Interrupted&) {
        cut = true;
      } catch (const ReadFailure& unread) {
        cut = true;
        failure = unread;
      }
    }
    const bool any_cut = collect(round, numbers, cut);
    if (keeps()) results_.save(continuation_.file, continuation_.identity);
    if (!any_cut) return;
    throw_first(failure);
    throw Interrupted();
  }

  /// What failed on the first rank where anything did, on every rank.
  void throw_first(const std::optional<ReadFailure>& own) const {
    dist::Communicator& world = mesh_.world();
    const int none = world.size();
    const int rank = own && !own->what.empty() ? world.rank() : none;
    const int first = -static_cast<int>(world.max(-rank));
    if (first == none) return;
    const std::string sent = own ? (own->is_input ? "+" : "-") + own->what : "";
    const std::string failure = world.broadcast_bytes(sent, first);
    std::string what = failure.substr(1);
    if (!continuation_.file.empty()) {
      what += "; what was measured so far is kept in " + continuation_.file.string() +
              ", the same command goes on";
    }
    if (failure.front() == '+') throw core::InputError(what);
    throw core::Error(what);
  }

  bool has_all(const dist::Segment& batch) const {
    for (int64_t unit = batch.begin; unit < batch.end; ++unit) {
      if (!results_.has(unit)) return false;
    }
    return true;
  }

  /// Data rank by data rank, so that no rank holds more than one other's batch. Whether any was
  /// cut.
  bool collect(int64_t round, const std::vector<double>& own, bool cut) {
    bool any_cut = false;
    for (int rank = 0; rank < mesh_.shape().data; ++rank) {
      const dist::Segment batch = batch_of(rank, round);
      const bool mine = rank == mesh_.data_rank(), had = has_all(batch);
      // The last number counts the ranks of the group that were cut.
      std::vector<double> sums(static_cast<size_t>(batch.length() * job_.width) + 1);
      if (mine && !had) std::copy(own.begin(), own.end(), sums.begin());
      if (mine && cut) sums.back() = 1;
      // On host memory: the others may still be inside a batch.
      mesh_.world().all_reduce_sum(
          {sums.data(), core::DType::kF64, {static_cast<int64_t>(sums.size())}});
      any_cut = any_cut || sums.back() > 0;
      if (sums.back() > 0 || had) continue;
      for (int64_t unit = batch.begin; unit < batch.end; ++unit) {
        const auto begin = sums.begin() + (unit - batch.begin) * job_.width;
        results_.set(unit, {begin, begin + job_.width});
      }
    }
    return any_cut;
  }

  bool asked_to_stop(dist::Communicator& ranks) const {
    if (!continuation_.interrupted) return false;
    const double own = continuation_.interrupted() ? 1 : 0;
    return (ranks.size() == 1 ? own : ranks.max(own)) > 0;
  }

  void advance(double share) override {
    if (mesh_.world().rank() == 0 && continuation_.progress) {
      const double done = static_cast<double>(before_) + share * static_cast<double>(count_);
      continuation_.progress(done / static_cast<double>(own_.length()));
    }
    if (share < 1 && asked_to_stop(mesh_.sequence_group())) throw Interrupted();
  }

  const dist::Mesh& mesh_;
  const UnitJob& job_;
  const Continuation& continuation_;
  PartialResults results_;
  dist::Segment own_;
  int64_t before_ = 0, count_ = 0;  // units before the batch that runs, and in it
};

}  // namespace

void read_together(dist::Communicator& group, const std::function<void()>& read) {
  std::optional<ReadFailure> failure;
  try {
    read();
  } catch (const core::InputError& error) {
    failure = {.what = error.what(), .is_input = true};
  } catch (const core::Error& error) {
    failure = {.what = error.what()};
  }
  const bool any = group.size() == 1 ? failure.has_value() : group.max(failure ? 1 : 0) > 0;
  if (failure) throw *failure;
  if (any) throw ReadFailure();
}

Identity measured_by(const Continuation& continuation) {
  Identity all = continuation.identity;
  all.insert(all.end(), continuation.notes.begin(), continuation.notes.end());
  return all;
}

std::vector<double> run_units(const dist::Mesh& mesh, const UnitJob& job,
                              const Continuation& continuation) {
  return UnitRun(mesh, job, continuation).run();
}

}  // namespace longhaul::eval

#include "dist/nccl_messages.h"

#include <glog/logging.h>
#include <nccl.h>

#include <set>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

core::TensorView word(int32_t& value) { return {&value, core::DType::kI32, {1}}; }

template <class Note>
core::TensorView words_of(Note& note) {
  static_assert(sizeof(Note) % sizeof(int32_t) == 0);
  return {&note, core::DType::kI32, {sizeof(Note) / sizeof(int32_t)}};
}

constexpr int kSender = 0, kReceiver = 1;  // ranks in a pair's communicator

}  // namespace

NcclMessages::NcclMessages(NcclEngine& engine, Communicator& host)
    : engine_(engine),
      rank_(host.rank()),
      ready_notes_(host.split(0, host.rank())),
      go_notes_(host.split(0, host.rank())),
      poller_(engine.add_poller([this] { advance(); })) {}

NcclMessages::~NcclMessages() {
  engine_.remove_poller(poller_);
  if (engine_.failed() && !(sends_.empty() && receives_.empty())) {
    // Notes under way will never come, and destroying them would wait for them: with all that they
    // point to they are left to the end of the process, which is near.
    new std::list<Message>(std::move(sends_));
    new std::list<Message>(std::move(receives_));
    static_cast<void>(ready_notes_.release());
    static_cast<void>(go_notes_.release());
  }
  // In one order on all ranks: by sender, then receiver.
  std::map<std::pair<int, int>, NcclChannel*> by_pair;
  for (const auto& [peer, lane] : outgoing_) by_pair[{rank_, peer}] = lane.channel;
  for (const auto& [peer, lane] : incoming_) by_pair[{peer, rank_}] = lane.channel;
  std::vector<NcclChannel*> channels;
  for (const auto& [pair, channel] : by_pair) channels.push_back(channel);
  engine_.remove_channels(channels);
}

NcclOperation& NcclMessages::new_operation(const char* what, const core::TensorView& view,
                                           int peer) {
  const bool sends = what[0] == 's';
  const auto issue = [data = view.raw(), bytes = static_cast<size_t>(view.bytes()), sends](
                         ncclComm* comm, DeviceRuntime::Stream stream) -> int {
    if (bytes == 0) return ncclSuccess;
    const auto on = static_cast<cudaStream_t>(stream);
    return sends ? ncclSend(data, bytes, ncclInt8, kReceiver, comm, on)
                 : ncclRecv(data, bytes, ncclInt8, kSender, comm, on);
  };
  return engine_.new_operation(
      core::message(what, " of ", view.bytes(), " bytes ", sends ? "to" : "from", " rank ", peer,
                    " of ", go_notes_->size()),
      issue);
}

NcclOperation& NcclMessages::start_send(const core::TensorView& view, int peer, int tag) {
  NcclOperation& operation = new_operation("send", view, peer);
  std::list<Message>& line = peer == rank_ ? to_self_[tag] : sends_;
  Message& message = line.emplace_back();
  message.operation = &operation;
  message.peer = peer;
  message.tag = tag;
  message.memory = view;
  if (peer == rank_) {
    pair_with_self(tag);
    return operation;
  }
  message.ready_note = ready_notes_->start_receive(word(message.ready), peer, tag);
  return operation;
}

NcclOperation& NcclMessages::start_receive(const core::TensorView& view, int peer, int tag) {
  NcclOperation& operation = new_operation("receive", view, peer);
  std::list<Message>& line = peer == rank_ ? from_self_[tag] : receives_;
  Message& message = line.emplace_back();
  message.operation = &operation;
  message.peer = peer;
  message.tag = tag;
  message.memory = view;
  if (peer == rank_) {
    pair_with_self(tag);
    return operation;
  }
  message.ready_note = ready_notes_->start_send(word(message.ready), peer, tag);
  message.go_note = go_notes_->start_receive(words_of(message.go), peer, tag);
  return operation;
}

void NcclMessages::pair_with_self(int tag) {
  std::list<Message>&out = to_self_[tag], &in = from_self_[tag];
  if (out.empty() || in.empty()) return;
  const core::TensorView from = out.front().memory, to = in.front().memory;
  CHECK_EQ(from.bytes(), to.bytes()) << "a message to this rank itself";
  engine_.launch_on_compute(*in.front().operation, [&] {
    if (to.bytes() > 0) {
      engine_.runtime().copy(to.raw(), from.raw(), to.bytes(), engine_.compute_stream());
    }
  });
  engine_.launch_on_compute(*out.front().operation, [] {});
  out.pop_front();
  in.pop_front();
}

void NcclMessages::advance() {
  // Of one tag to one rank the first goes first, even if the second's note is seen earlier.
  std::set<std::pair<int, int>> held_up;
  for (auto each = sends_.begin(); each != sends_.end();) {
    const std::pair<int, int> line{each->peer, each->tag};
    const bool is_over = !held_up.contains(line) && advance_send(*each);
    if (!is_over && !each->is_pushed) held_up.insert(line);
    each = is_over ? sends_.erase(each) : std::next(each);
  }
  for (auto each = receives_.begin(); each != receives_.end();) {
    each = advance_receive(*each) ? receives_.erase(each) : std::next(each);
  }
}

/// True once it is with NCCL and its note is gone.
bool NcclMessages::advance_send(Message& message) {
  if (message.is_pushed) return message.go_note->test();
  if (!message.ready_note->test()) return false;
  Lane& lane = outgoing_[message.peer];
  if (lane.channel == nullptr) {
    lane.id = new_nccl_id();
    lane.channel =
        &engine_.add_channel({.ranks = 2, .rank = kSender, .id = lane.id, .is_narrow = true});
  }
  message.go.number = lane.next++;
  message.go.bytes = message.memory.bytes();
  message.go.id = lane.id;
  message.go_note = go_notes_->start_send(words_of(message.go), message.peer, message.tag);
  engine_.push(*lane.channel, *message.operation);
  message.is_pushed = true;
  return message.go_note->test();
}

bool NcclMessages::advance_receive(Message& message) {
  if (!message.ready_note->test() || !message.go_note->test()) return false;
  if (message.go.bytes != message.memory.bytes()) {
    const std::string what =
        core::message("a message of ", message.go.bytes, " bytes came from rank ", message.peer,
                      " where ", message.memory.bytes(), " were expected");
    engine_.fail(what);
    throw core::Error(core::message("rank ", rank_, ": ", what));
  }
  Lane& lane = incoming_[message.peer];
  if (lane.channel == nullptr) {
    lane.channel = &engine_.add_channel(
        {.ranks = 2, .rank = kReceiver, .id = message.go.id, .is_narrow = true});
  }
  lane.numbered[message.go.number] = message.operation;
  for (auto next = lane.numbered.find(lane.next); next != lane.numbered.end();
       next = lane.numbered.find(lane.next)) {
    engine_.push(*lane.channel, *next->second);
    lane.numbered.erase(next);
    ++lane.next;
  }
  return true;
}

}  // namespace longhaul::dist

// Messages between two ranks over NCCL, which knows no tags. Private to dist/nccl_*.cpp.
//
// Each ordered pair of ranks has an NCCL communicator of its own, made when first needed, on which
// the sender's order is the receiver's. Two notes over the host agree on it: the receiver says that
// a receive of this tag is there; the sender then gives the message its number and says which. So a
// message never waits behind one whose receive is not there, whatever the order of tags; and since
// pairs share no communicator, no message waits for another pair's.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>

#include "dist/nccl_engine.h"

namespace longhaul::dist {

class NcclMessages {
 public:
  /// `host`: the same ranks; the notes travel on parts split off it.
  NcclMessages(NcclEngine& engine, Communicator& host);
  ~NcclMessages();

  NcclOperation& start_send(const core::TensorView& view, int peer, int tag);
  NcclOperation& start_receive(const core::TensorView& view, int peer, int tag);

 private:
  /// What the sender says; the id is that of the pair's communicator.
  struct Go {
    int64_t number = 0, bytes = 0;
    NcclId id;
  };
  struct Message {
    NcclOperation* operation = nullptr;
    int peer = 0, tag = 0;
    core::TensorView memory;
    int32_t ready = 1;
    Go go;
    std::unique_ptr<Pending> ready_note, go_note;
    bool is_pushed = false;
  };
  struct Lane {
    NcclChannel* channel = nullptr;
    NcclId id;
    int64_t next = 0;                            ///< number of the next message
    std::map<int64_t, NcclOperation*> numbered;  ///< receives whose turn has not come
  };
  /// Between a rank and itself, where send and receive have both begun: a copy.
  using ByTag = std::map<int, std::list<Message>>;

  void advance();
  bool advance_send(Message& message);
  bool advance_receive(Message& message);
  void pair_with_self(int tag);
  NcclOperation& new_operation(const char* what, const core::TensorView& view, int peer);

  NcclEngine& engine_;
  int rank_;
  std::unique_ptr<Communicator> ready_notes_, go_notes_;
  std::list<Message> sends_, receives_;  // in order of their start; a list: notes point into it
  ByTag to_self_, from_self_;
  std::map<int, Lane> outgoing_, incoming_;  // by peer
  std::list<NcclEngine::Poller>::iterator poller_;
};

}  // namespace longhaul::dist

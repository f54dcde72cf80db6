#include "dist/mpi_communicator.h"

#include <glog/logging.h>
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "dist/launcher_end.h"
#include "dist/message_communicator.h"
#include "dist/mpi_progress.h"
#include "kernels/core/error.h"
#include "kernels/core/host_name.h"

namespace longhaul::dist {

namespace {

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw core::Error(core::message(call, ": ", text));
}

int count_same_processors(MPI_Comm node) {
  int ranks = 0;
  MPI_Comm_size(node, &ranks);
  cpu_set_t own;
  CPU_ZERO(&own);
  sched_getaffinity(0, sizeof(own), &own);
  std::vector<cpu_set_t> all(static_cast<size_t>(ranks));
  check(MPI_Allgather(&own, sizeof(own), MPI_BYTE, all.data(), sizeof(own), MPI_BYTE, node),
        "MPI_Allgather");
  return static_cast<int>(std::count_if(
      all.begin(), all.end(), [&](const cpu_set_t& set) { return CPU_EQUAL(&set, &own) != 0; }));
}

/// One message in as many pieces as the int counts of MPI ask for.
class MpiMessage final : public Message {
 public:
  struct Piece {
    MPI_Request request = MPI_REQUEST_NULL;
    int bytes = 0;
  };
  MpiMessage(std::mutex& mpi, std::vector<Piece> pieces, bool receives)
      : mpi_(mpi), pieces_(std::move(pieces)), receives_(receives) {}

  ~MpiMessage() override {
    const std::lock_guard lock(mpi_);
    for (Piece& piece : pieces_) {
      if (piece.request == MPI_REQUEST_NULL) continue;
      if (receives_) MPI_Cancel(&piece.request);
      MPI_Request_free(&piece.request);
    }
  }

  bool test() override {
    const std::lock_guard lock(mpi_);
    for (; next_ < pieces_.size(); ++next_) {
      Piece& piece = pieces_[next_];
      int done = 0, arrived = 0;
      MPI_Status status;
      check(MPI_Test(&piece.request, &done, &status), "MPI_Test");
      if (!done) return false;
      if (!receives_) continue;
      MPI_Get_count(&status, MPI_BYTE, &arrived);
      if (arrived != piece.bytes) {
        throw core::Error(core::message("a message of ", arrived, " bytes came from rank ",
                                        status.MPI_SOURCE, " where ", piece.bytes,
                                        " were expected"));
      }
    }
    return true;
  }

 private:
  std::mutex& mpi_;
  std::vector<Piece> pieces_;
  size_t next_ = 0;
  bool receives_;
};

/// Owns two MPI communicators, one a channel.
class MpiTransport final : public Transport {
 public:
  /// Takes `comm` over.
  MpiTransport(MpiProgress& progress, MPI_Comm comm, int64_t largest_message_bytes)
      : progress_(progress),
        comms_{comm, MPI_COMM_NULL},
        largest_message_bytes_(largest_message_bytes) {
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    check(MPI_Comm_dup(comm, &comms_[1]), "MPI_Comm_dup");
    MPI_Comm_rank(comm, &rank_);
    MPI_Comm_size(comm, &size_);
  }
  ~MpiTransport() override {
    if (progress_.broken()) return;  // freeing is collective, the others may be gone
    const std::lock_guard lock(progress_.mpi());
    for (MPI_Comm& comm : comms_) MPI_Comm_free(&comm);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Progress& progress() override { return progress_; }

  std::unique_ptr<Message> start_send(const Envelope& to, const void* data,
                                      int64_t bytes) override {
    return start(bytes, false, [&](int64_t offset, int count, MPI_Request* request) {
      const char* from = static_cast<const char*>(data) + offset;
      check(MPI_Isend(from, count, MPI_BYTE, to.peer, to.tag, comm_of(to), request), "MPI_Isend");
    });
  }

  std::unique_ptr<Message> start_receive(const Envelope& from, void* data, int64_t bytes) override {
    return start(bytes, true, [&](int64_t offset, int count, MPI_Request* request) {
      char* target = static_cast<char*>(data) + offset;
      check(MPI_Irecv(target, count, MPI_BYTE, from.peer, from.tag, comm_of(from), request),
            "MPI_Irecv");
    });
  }

  std::unique_ptr<Transport> split(const Partition& partition) override {
    MPI_Comm comm = MPI_COMM_NULL;
    const std::lock_guard lock(progress_.mpi());
    check(MPI_Comm_split(comms_[0], partition.part, partition.new_rank, &comm), "MPI_Comm_split");
    return std::make_unique<MpiTransport>(progress_, comm, largest_message_bytes_);
  }

 private:
  MPI_Comm comm_of(const Envelope& envelope) const {
    return comms_[envelope.channel == Channel::kCollective ? 1 : 0];
  }

  template <class StartPiece>
  std::unique_ptr<Message> start(int64_t bytes, bool receives, const StartPiece& start_piece) {
    std::vector<MpiMessage::Piece> pieces;
    int64_t offset = 0;
    const std::lock_guard lock(progress_.mpi());
    do {
      MpiMessage::Piece piece;
      piece.bytes = static_cast<int>(std::min(bytes - offset, largest_message_bytes_));
      start_piece(offset, piece.bytes, &piece.request);
      pieces.push_back(piece);
      offset += piece.bytes;
    } while (offset < bytes);
    return std::make_unique<MpiMessage>(progress_.mpi(), std::move(pieces), receives);
  }

  MpiProgress& progress_;
  MPI_Comm comms_[2];
  int64_t largest_message_bytes_;
  int rank_ = 0, size_ = 1;
};

/// Seconds that MPI_Init may take: large jobs start slowly.
std::chrono::seconds start_limit() {
  const char* text = std::getenv("LONGHAUL_START_LIMIT_S");
  const int64_t given = text != nullptr ? std::strtoll(text, nullptr, 10) : 0;
  return std::chrono::seconds(given > 0 ? given : 300);
}

/// Ends the process where MPI_Init does not come back: it waits for ever for a rank that died on
/// the way there, and mpirun may not notice.
class StartWatch {
 public:
  StartWatch() : thread_([this] { watch(start_limit()); }) {}
  ~StartWatch() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  StartWatch(const StartWatch&) = delete;
  StartWatch& operator=(const StartWatch&) = delete;

 private:
  void watch(std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, limit, [this] { return over_; })) return;
    std::cerr << core::message("longhaul: host ", core::host_name(),
                               ": MPI_Init did not come back within ", limit.count(),
                               " s: a rank died before it, or cannot be reached "
                               "(LONGHAUL_START_LIMIT_S)\n");
    ::_exit(1);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;  // the last member: it uses the others
};

/// Over TCP a longer message than this limit of Open MPI (64 KiB by default) asks first, and the
/// answer waits behind all that the receiver itself has in the same connection: where both send,
/// one waits for the other. Receives are posted early here, so most messages need not ask.
/// Measured on 8 ranks: SCALING.md.
void send_more_without_asking() {
  constexpr int kKeepTheUsers = 0;
  setenv("OMPI_MCA_btl_tcp_eager_limit", "262144", kKeepTheUsers);
}

void initialise_mpi(int* argc, char*** argv) {
  send_more_without_asking();
  const StartWatch watch;
  int provided = MPI_THREAD_SINGLE;
  if (MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
    throw core::Error("MPI could not be initialised");
  }
  if (provided < MPI_THREAD_SERIALIZED) {
    throw core::Error("this MPI was built without thread support; MPI_THREAD_SERIALIZED is needed");
  }
}

MPI_Comm duplicate_world() {
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
  return comm;
}

}  // namespace

struct MpiSession::State {
  explicit State(const Options& options)
      : exceptions_at_start(std::uncaught_exceptions()),
        progress(options.time_limit_s),
        world(std::make_unique<MpiTransport>(progress, duplicate_world(),
                                             options.largest_message_bytes)) {
    MPI_Comm node = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank(), MPI_INFO_NULL,
                              &node),
          "MPI_Comm_split_type");
    MPI_Comm_rank(node, &local_rank);
    ranks_on_same_processors = count_same_processors(node);
    MPI_Comm_free(&node);
  }

  int exceptions_at_start;
  MpiProgress progress;
  MessageCommunicator world;
  int local_rank = 0;
  int ranks_on_same_processors = 1;
};

MpiSession::MpiSession(int* argc, char*** argv, Options options) {
  CHECK(options.largest_message_bytes > 0 && options.largest_message_bytes <= INT32_MAX);
  initialise_mpi(argc, argv);
  state_ = std::make_unique<State>(options);
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() > state_->exceptions_at_start || state_->progress.broken())
    abort(1);
  try {
    state_->world.barrier();  // with the time limit, which MPI_Finalize does not have
  } catch (const std::exception& error) {
    LOG(ERROR) << "at the end of the job: " << error.what();
    abort(1);
  }
  state_.reset();
  MPI_Finalize();
}

Communicator& MpiSession::world() { return state_->world; }
void MpiSession::set_time_limit(double seconds) { state_->progress.set_time_limit(seconds); }
void MpiSession::set_activity(const std::string& activity) {
  state_->progress.set_activity(activity);
}
double MpiSession::seconds_waited() const { return state_->progress.seconds_waited(); }
int MpiSession::local_rank() const { return state_->local_rank; }
int MpiSession::ranks_on_same_processors() const { return state_->ranks_on_same_processors; }

void MpiSession::abort(int code) {
  std::fflush(nullptr);
  if (local_rank() == 0) end_launcher_later();
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text);
  return whole.substr(0, whole.find_first_of(",\n"));  // then come who built it and when
}

bool launched_by_mpi() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && std::atoi(value) > 1) return true;
  }
  return false;
}

}  // namespace longhaul::dist

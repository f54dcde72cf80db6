#include "dist/mpi_liveness.h"

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <list>
#include <map>
#include <utility>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTag = 0;
constexpr size_t kMostNamed = 16;  // ranks of one kind in a message
constexpr int kHostBytes = 64;     // of a host's name, with the zero at its end
static_assert(kHostBytes <= MPI_MAX_PROCESSOR_NAME);

enum class Kind : int32_t { kQuestion, kWaits, kIsBusy, kGoesOn };

/// Fixed size, small enough that sending never waits for the receiver.
struct Note {
  Kind kind = Kind::kQuestion;
  int32_t number = 0;  // of the question
  char text[248] = {};
};

struct Outgoing {
  Note note;
  MPI_Request request = MPI_REQUEST_NULL;
};

/// By rank. Collective.
std::vector<std::string> gather_hosts(MPI_Comm comm, int size) {
  char name[MPI_MAX_PROCESSOR_NAME] = {};
  int length = 0;
  MPI_Get_processor_name(name, &length);
  name[kHostBytes - 1] = '\0';
  std::vector<char> all(static_cast<size_t>(kHostBytes) * static_cast<size_t>(size));
  MPI_Allgather(name, kHostBytes, MPI_BYTE, all.data(), kHostBytes, MPI_BYTE, comm);
  std::vector<std::string> hosts;
  for (size_t begin = 0; begin < all.size(); begin += kHostBytes) {
    hosts.emplace_back(all.data() + begin);
  }
  return hosts;
}

std::string joined(const std::vector<std::string>& items, const char* between) {
  std::string text;
  for (size_t i = 0; i < std::min(items.size(), kMostNamed); ++i)
    text += (i > 0 ? between : "") + items[i];
  if (items.size() > kMostNamed) text += core::message(" and ", items.size() - kMostNamed, " more");
  return text;
}

}  // namespace

struct MpiLiveness::State {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0, size = 1;
  std::vector<std::string> hosts;  // by rank
  std::list<Outgoing> outgoing;    // a list: MPI holds addresses of its elements
  bool asking = false;
  bool lower_asked = false;
  std::optional<Clock::time_point> asked_at;  // by another rank
  bool goes_on = false;
  int32_t question = 0;
  std::vector<Status> answers;  // by rank; empty: none yet

  std::string place(int r) const {
    return core::message(r, " (host ", hosts[static_cast<size_t>(r)], ")");
  }

  void send(Kind kind, int32_t number, const std::string& text, int peer) {
    Outgoing& out = outgoing.emplace_back();
    out.note.kind = kind;
    out.note.number = number;
    std::strncpy(out.note.text, text.c_str(), sizeof(out.note.text) - 1);
    MPI_Isend(&out.note, sizeof(Note), MPI_BYTE, peer, kTag, comm, &out.request);
  }

  void send_to_others(Kind kind, const std::string& text) {
    for (int peer = 0; peer < size; ++peer) {
      if (peer != rank) send(kind, question, text, peer);
    }
  }

  void drop_sent() {
    outgoing.remove_if([](Outgoing& out) {
      int done = 0;
      MPI_Test(&out.request, &done, MPI_STATUS_IGNORE);
      return done != 0;
    });
  }
};

MpiLiveness::MpiLiveness() : state_(std::make_unique<State>()) {
  MPI_Comm_dup(MPI_COMM_WORLD, &state_->comm);
  MPI_Comm_rank(state_->comm, &state_->rank);
  MPI_Comm_size(state_->comm, &state_->size);
  state_->hosts = gather_hosts(state_->comm, state_->size);
}

MpiLiveness::~MpiLiveness() {
  state_->drop_sent();
  for (Outgoing& out : state_->outgoing) {
    if (out.request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&out.request);
    MPI_Request_free(&out.request);
  }
  MPI_Comm_free(&state_->comm);
}

void MpiLiveness::answer_questions(const Status& own) {
  State& s = *state_;
  s.drop_sent();
  for (;;) {
    int arrived = 0;
    MPI_Status from;
    MPI_Iprobe(MPI_ANY_SOURCE, kTag, s.comm, &arrived, &from);
    if (!arrived) return;
    Note note;
    MPI_Recv(&note, sizeof(Note), MPI_BYTE, from.MPI_SOURCE, kTag, s.comm, MPI_STATUS_IGNORE);
    if (note.kind == Kind::kQuestion) {
      s.send(own.busy ? Kind::kIsBusy : Kind::kWaits, note.number, own.text, from.MPI_SOURCE);
      s.lower_asked = s.lower_asked || from.MPI_SOURCE < s.rank;
      s.asked_at = Clock::now();
    } else if (note.kind == Kind::kGoesOn) {
      s.asked_at.reset();
      s.goes_on = true;
    } else if (s.asking && note.number == s.question) {
      s.answers[static_cast<size_t>(from.MPI_SOURCE)] = {.text = note.text,
                                                         .busy = note.kind == Kind::kIsBusy};
    }
  }
}

void MpiLiveness::ask(const std::string& operation) {
  State& s = *state_;
  s.asking = true;
  s.lower_asked = false;  // earlier, and nothing came of it
  ++s.question;
  s.answers.assign(static_cast<size_t>(s.size), {});
  s.answers[static_cast<size_t>(s.rank)].text = operation;
  s.send_to_others(Kind::kQuestion, operation);
}

void MpiLiveness::stop_asking() {
  state_->asking = false;
  state_->lower_asked = false;
}

std::optional<double> MpiLiveness::seconds_since_asked() const {
  if (!state_->asked_at) return std::nullopt;
  return std::chrono::duration<double>(Clock::now() - *state_->asked_at).count();
}

void MpiLiveness::forget_questions() { state_->asked_at.reset(); }

void MpiLiveness::tell_that_it_goes_on() { state_->send_to_others(Kind::kGoesOn, ""); }

bool MpiLiveness::was_told_that_it_goes_on() { return std::exchange(state_->goes_on, false); }

int MpiLiveness::size() const { return state_->size; }

bool MpiLiveness::asking() const { return state_->asking; }

bool MpiLiveness::lower_rank_asked() const { return state_->lower_asked; }

std::string MpiLiveness::busy_ranks() const {
  std::vector<std::string> busy;
  for (int r = 0; r < state_->size; ++r) {
    const Status& answer = state_->answers[static_cast<size_t>(r)];
    if (answer.text.empty()) return "";
    if (answer.busy) busy.push_back("rank " + state_->place(r) + ": " + answer.text);
  }
  return joined(busy, ", ");
}

std::string MpiLiveness::findings() const {
  std::vector<std::string> silent;
  std::map<std::string, std::vector<std::string>> waiting;  // ranks by what they wait in
  for (int r = 0; r < state_->size; ++r) {
    const std::string& answer = state_->answers[static_cast<size_t>(r)].text;
    if (answer.empty()) {
      silent.push_back(state_->place(r));
    } else if (r != state_->rank) {
      waiting[answer].push_back(state_->place(r));
    }
  }
  if (!silent.empty()) return "no answer from rank " + joined(silent, ", ");
  // Who waits in something else than most is the one to look at.
  std::vector<std::pair<size_t, std::string>> groups;
  for (const auto& [operation, ranks] : waiting) {
    groups.emplace_back(ranks.size(),
                        core::message(ranks.size() == 1 ? "rank " : "ranks ", joined(ranks, ", "),
                                      ranks.size() == 1 ? " waits in " : " wait in ", operation));
  }
  std::sort(groups.begin(), groups.end());
  std::vector<std::string> told;
  for (const auto& [count, text] : groups) told.push_back(text);
  return "all ranks answered: " + joined(told, "; ");
}

}  // namespace longhaul::dist

#include "launch/rank_devices.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "dist/communicator.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "kernels/core/host_name.h"
#include "launch/command_options.h"

namespace longhaul::launch {

namespace {

/// What a rank tells the others: of one size, texts cut where they are longer.
struct Note {
  char host[64] = {}, card[32] = {}, lacking[96] = {};
};
constexpr int64_t kNoteWords = sizeof(Note) / sizeof(int32_t);
static_assert(sizeof(Note) % sizeof(int32_t) == 0);

template <size_t N>
void put(const std::string& text, char (&field)[N]) {
  std::strncpy(field, text.c_str(), N - 1);
}

Note own_note(core::Device own) {
  Note note;
  const char* told = std::getenv("NCCL_HOSTID");  // NCCL goes by it
  put(told != nullptr ? told : core::host_name(), note.host);
  own.is_cpu() ? put(why_auto_is_cpu(), note.lacking)
               : put(core::cuda_device_place(own), note.card);
  return note;
}

std::string place_of(const std::vector<RankDevice>& by_rank, size_t rank) {
  return core::message("rank ", rank, " (host ", by_rank[rank].host, ")");
}

}  // namespace

std::string device_conflict(const std::vector<RankDevice>& by_rank) {
  const auto has_card = [](const RankDevice& each) { return !each.card.empty(); };
  const auto with = std::find_if(by_rank.begin(), by_rank.end(), has_card);
  const auto without = std::find_if_not(by_rank.begin(), by_rank.end(), has_card);
  if (with == by_rank.end()) return "";
  if (without != by_rank.end()) {
    return core::message(
        "device: ", place_of(by_rank, static_cast<size_t>(without - by_rank.begin())),
        " has no GPU (", without->lacking, "), ",
        place_of(by_rank, static_cast<size_t>(with - by_rank.begin())),
        " has one; expected one for every rank, or device: cpu");
  }
  std::map<std::pair<std::string, std::string>, size_t> first_rank;
  for (size_t rank = 0; rank < by_rank.size(); ++rank) {
    const RankDevice& own = by_rank[rank];
    const auto [place, is_new] = first_rank.try_emplace({own.host, own.card}, rank);
    if (is_new) continue;
    return core::message("device: ranks ", place->second, " and ", rank, " (host ", own.host,
                         ") have the same GPU (", own.card,
                         "), which NCCL refuses; expected no more ranks on a host than GPUs that "
                         "they see");
  }
  return "";
}

void check_devices(dist::Communicator& world, core::Device own) {
  Note note = own_note(own);
  std::vector<Note> notes(static_cast<size_t>(world.size()));
  world.all_gather({&note, core::DType::kI32, {kNoteWords}},
                   {notes.data(), core::DType::kI32, {kNoteWords * world.size()}});
  std::vector<RankDevice> by_rank;
  for (const Note& each : notes) {
    by_rank.push_back({.host = each.host, .card = each.card, .lacking = each.lacking});
  }
  const std::string conflict = device_conflict(by_rank);
  if (!conflict.empty()) throw core::InputError(conflict);
}

}  // namespace longhaul::launch

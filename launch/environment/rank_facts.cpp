#include "launch/environment/rank_facts.h"

#include <ifaddrs.h>
#include <link.h>
#include <net/if.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "kernels/core/context.h"
#include "kernels/core/error.h"
#include "kernels/core/handle.h"
#include "kernels/core/host_name.h"

namespace longhaul::launch {

namespace {

constexpr size_t kBuildDigits = 12;
constexpr int kTag = 7;

void free_interfaces(ifaddrs* first) { freeifaddrs(first); }

std::vector<std::string> interfaces_up() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const core::UniqueHandle<ifaddrs*, free_interfaces> list(first);
  std::vector<std::string> names;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    constexpr unsigned kUp = IFF_UP | IFF_RUNNING;
    const bool is_up = (entry->ifa_flags & kUp) == kUp && (entry->ifa_flags & IFF_LOOPBACK) == 0;
    const int family = entry->ifa_addr == nullptr ? AF_UNSPEC : entry->ifa_addr->sa_family;
    if (is_up && (family == AF_INET || family == AF_INET6)) names.emplace_back(entry->ifa_name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

/// Of the segment's notes; empty where there is none.
std::string build_id_in(std::string_view notes) {
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::copy_n(notes.data(), sizeof(note), reinterpret_cast<char*>(&note));
    const auto padded = [](size_t bytes) { return (bytes + 3) / 4 * 4; };
    const size_t content = sizeof(note) + padded(note.n_namesz);
    if (notes.size() < content + note.n_descsz) return "";
    if (note.n_type == NT_GNU_BUILD_ID &&
        notes.substr(sizeof(note), note.n_namesz) == std::string_view("GNU", 4)) {
      std::string digits;
      for (const char byte : notes.substr(content, note.n_descsz)) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        digits += kDigits[static_cast<uint8_t>(byte) >> 4];
        digits += kDigits[static_cast<uint8_t>(byte) & 15];
      }
      return digits.substr(0, kBuildDigits);
    }
    notes.remove_prefix(std::min(notes.size(), content + padded(note.n_descsz)));
  }
  return "";
}

/// Of the program: it is the first of the loaded objects.
int find_build_id(dl_phdr_info* object, size_t, void* found) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* notes = reinterpret_cast<const char*>(object->dlpi_addr + segment.p_vaddr);
    const std::string id = build_id_in({notes, segment.p_memsz});
    if (!id.empty()) *static_cast<std::string*>(found) = id;
  }
  return 1;
}

std::string to_json(RankFacts facts) {
  nlohmann::json json;
  const auto add = [&](const char* name, const auto& value) { json[name] = value; };
  facts.visit(add);
  // A host's name may be any bytes.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankFacts from_json(const std::string& text, int rank) {
  RankFacts facts;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    const auto read = [&](const char* name, auto& value) {
      if (json.contains(name)) json.at(name).get_to(value);
    };
    facts.visit(read);
  } catch (const nlohmann::json::exception&) {
    throw core::Error(core::message("rank ", rank, " does not tell where it runs as rank 0 does, ",
                                    "expected the same longhaul on every host"));
  }
  facts.rank = rank;
  return facts;
}

/// Texts are sent padded, as elements of four bytes.
void send_text(dist::Communicator& world, std::string text) {
  double bytes = static_cast<double>(text.size());
  world.send({&bytes, core::DType::kF64, {1}}, 0, kTag);
  text.resize((text.size() + 3) / 4 * 4);
  world.send({text.data(), core::DType::kI32, {static_cast<int64_t>(text.size() / 4)}}, 0, kTag);
}

std::string receive_text(dist::Communicator& world, int peer) {
  double bytes = 0;
  world.receive({&bytes, core::DType::kF64, {1}}, peer, kTag);
  const auto size = static_cast<size_t>(bytes);
  std::string text((size + 3) / 4 * 4, '\0');
  world.receive({text.data(), core::DType::kI32, {static_cast<int64_t>(text.size() / 4)}}, peer,
                kTag);
  text.resize(size);
  return text;
}

}  // namespace

RankFacts own_facts(int rank) {
  RankFacts facts;
  facts.rank = rank;
  facts.pid = getpid();
  facts.host = core::host_name();
  facts.version = LONGHAUL_VERSION;
  dl_iterate_phdr(find_build_id, &facts.build);
  facts.interfaces = interfaces_up();
  facts.cores = core::available_threads();
  facts.shm_free_bytes = free_bytes("/dev/shm");
  facts.memory_free_bytes = free_memory();
  return facts;
}

int64_t free_bytes(const std::string& folder) {
  struct statvfs system {};
  if (statvfs(folder.c_str(), &system) != 0) return -1;
  return static_cast<int64_t>(system.f_bavail) * static_cast<int64_t>(system.f_frsize);
}

int64_t free_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kib = 0;
    if (words >> name >> kib && name == "MemAvailable:") return kib << 10;
  }
  return -1;
}

std::vector<RankFacts> gather_facts(dist::Communicator& world, RankFacts own) {
  if (world.rank() > 0) {
    send_text(world, to_json(std::move(own)));
    return {};
  }
  std::vector<RankFacts> all{std::move(own)};
  for (int rank = 1; rank < world.size(); ++rank) {
    all.push_back(from_json(receive_text(world, rank), rank));
  }
  return all;
}

}  // namespace longhaul::launch

#include "data/tasks/babi_world.h"

#include <glog/logging.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "data/file_io.h"
#include "data/staging_folder.h"
#include "kernels/core/error.h"
#include "kernels/core/random.h"

namespace longhaul::data {

namespace {

constexpr std::array<std::string_view, 4> kPeople{"Anna", "Omar", "Lena", "Pedro"};
constexpr std::array<std::string_view, 6> kPlaces{"library", "stable",  "harbour",
                                                  "market",  "theatre", "workshop"};
constexpr std::array<std::string_view, 3> kThings{"lantern", "basket", "violin"};
constexpr std::array<std::string_view, 4> kWent{"went", "moved", "walked", "travelled"};
constexpr std::array<std::string_view, 3> kTook{"took", "grabbed", "picked up"};
constexpr std::array<std::string_view, 2> kLeft{"left", "dropped"};
constexpr int kQuestions = 5;
constexpr size_t kNowhere = ~size_t{0};

/// Where something is known to be and the line that said so.
struct Known {
  size_t place = kNowhere;
  int line = 0;
};

class Story {
 public:
  Story(int task, core::RandomKey key) : task_(task), random_(key) {}

  std::string tell() {
    for (int asked = 0; asked < kQuestions;) {
      const int facts = task_ == 1 || task_ == 6 ? 2 : 3;
      for (int i = 0; i < facts; ++i) happen();
      asked += ask() ? 1 : 0;
    }
    return text_;
  }

 private:
  template <size_t N>
  std::string_view one_of(const std::array<std::string_view, N>& words) {
    return words[random_.below(N)];
  }

  template <class... Parts>
  int say(const Parts&... parts) {
    text_ += core::message(++line_, " ", parts..., "\n");
    return line_;
  }

  void happen() {
    const size_t person = random_.below(kPeople.size());
    const bool things = task_ == 2 || task_ == 3;
    if (things && random_.uniform() < 0.4 && people_[person].place != kNowhere) {
      const size_t thing = random_.below(kThings.size());
      if (holder_[thing] == person) return leave(person, thing);
      if (holder_[thing] == kNowhere && may_be_at(thing, people_[person].place))
        return take(person, thing);
    }
    go(person);
  }

  /// A thing that nobody has met yet can be anywhere.
  bool may_be_at(size_t thing, size_t place) const {
    return history_[thing].empty() || history_[thing].back().place == place;
  }

  void go(size_t person) {
    size_t place = random_.below(kPlaces.size());
    if (place == people_[person].place) place = (place + 1) % kPlaces.size();
    const int line = say(kPeople[person], " ", one_of(kWent), " to the ", kPlaces[place], ".");
    people_[person] = {place, line};
    for (size_t thing = 0; thing < kThings.size(); ++thing)
      if (holder_[thing] == person) history_[thing].push_back({place, line});
  }

  void take(size_t person, size_t thing) {
    carried_since_[thing] =
        say(kPeople[person], " ", one_of(kTook), " the ", kThings[thing], " there.");
    holder_[thing] = person;
    if (history_[thing].empty()) history_[thing].push_back(people_[person]);
  }

  void leave(size_t person, size_t thing) {
    released_[thing] = say(kPeople[person], " ", one_of(kLeft), " the ", kThings[thing], ".");
    holder_[thing] = kNowhere;
  }

  bool ask() {
    if (task_ == 1 || task_ == 6) return ask_for_person();
    return ask_for_thing();
  }

  bool ask_for_person() {
    std::vector<size_t> known;
    for (size_t person = 0; person < kPeople.size(); ++person)
      if (people_[person].place != kNowhere) known.push_back(person);
    const size_t person = known[random_.below(known.size())];
    const Known where = people_[person];
    if (task_ == 1) {
      say("Where is ", kPeople[person], "? \t", kPlaces[where.place], "\t", where.line);
      return true;
    }
    const bool yes = random_.uniform() < 0.5;
    const size_t other = (where.place + 1 + random_.below(kPlaces.size() - 1)) % kPlaces.size();
    say("Is ", kPeople[person], " in the ", kPlaces[yes ? where.place : other], "? \t",
        yes ? "yes" : "no", "\t", where.line);
    return true;
  }

  /// False where nothing can be asked yet.
  bool ask_for_thing() {
    const size_t least = task_ == 2 ? 1 : 2;
    std::vector<size_t> known;
    for (size_t thing = 0; thing < kThings.size(); ++thing)
      if (history_[thing].size() >= least) known.push_back(thing);
    if (known.empty()) return false;
    const size_t thing = known[random_.below(known.size())];
    const auto& places = history_[thing];
    const Known now = places.back();
    if (task_ == 2) {
      const int line = holder_[thing] == kNowhere ? released_[thing] : carried_since_[thing];
      say("Where is the ", kThings[thing], "? \t", kPlaces[now.place], "\t", line, " ", now.line);
      return true;
    }
    const Known before = places[places.size() - 2];
    say("Where was the ", kThings[thing], " before the ", kPlaces[now.place], "? \t",
        kPlaces[before.place], "\t", carried_since_[thing], " ", before.line, " ", now.line);
    return true;
  }

  int task_;
  core::RandomStream random_;
  std::string text_;
  int line_ = 0;
  std::array<Known, kPeople.size()> people_{};
  std::array<size_t, kThings.size()> holder_{kNowhere, kNowhere, kNowhere};
  std::array<int, kThings.size()> carried_since_{}, released_{};
  std::array<std::vector<Known>, kThings.size()> history_;  // places a thing has been at, in order
};

std::string file_name(int task, const std::string& split) {
  const std::string name = task == 1   ? "single-supporting-fact"
                           : task == 2 ? "two-supporting-facts"
                           : task == 3 ? "three-supporting-facts"
                                       : "yes-no-questions";
  return core::message("qa", task, "_", name, "_", split, ".txt");
}

/// Stories of the two files differ: those of the second count on from the first's last.
std::string tell(int task, int64_t first, int64_t stories, uint64_t seed) {
  std::string text;
  for (int64_t i = 0; i < stories; ++i) {
    const auto number = static_cast<uint64_t>((first + i) * 32 + task);
    text += Story(task, {seed, number, core::RandomPurpose::kSyntheticTask}).tell();
  }
  return text;
}

}  // namespace

const std::vector<int>& babi_world_tasks() {
  static const std::vector<int> tasks{1, 2, 3, 6};
  return tasks;
}

std::string tell_babi_stories(int task, int64_t stories, uint64_t seed) {
  const auto& known = babi_world_tasks();
  CHECK(std::find(known.begin(), known.end(), task) != known.end()) << "qa" << task;
  return tell(task, 0, stories, seed);
}

void write_babi_world(const std::filesystem::path& folder, int64_t train_stories,
                      int64_t test_stories, uint64_t seed) {
  StagingFolder staging(folder, [](const std::filesystem::path& target) {
    throw core::InputError(target.string() + ": exists, expected the name of a new folder");
  });
  for (const int task : babi_world_tasks()) {
    const auto write = [&](const std::string& split, int64_t first, int64_t stories) {
      const std::string text = tell(task, first, stories, seed);
      OutputFile file(staging.path() / file_name(task, split));
      file.write(std::as_bytes(std::span(text)));
      file.finish();
    };
    write("train", 0, train_stories);
    write("test", train_stories, test_stories);
  }
  staging.publish();
}

}  // namespace longhaul::data

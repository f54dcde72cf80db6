#include "data/tasks/babi_world.h"

#include <glog/logging.h>

#include <algorithm>
#include <array>
#include <numeric>
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
constexpr std::array<std::string_view, 3> kGave{"gave", "handed", "passed"};
constexpr std::array<std::string_view, 4> kSides{"north", "east", "south", "west"};
constexpr int kQuestions = 5;
constexpr size_t kNowhere = ~size_t{0};

/// Where something is known to be and the line that said so.
struct Known {
  size_t place = kNowhere;
  int line = 0;
};

struct Gift {
  size_t from = 0, thing = 0, to = 0;
  int line = 0;
};

/// Numbered lines in words that are drawn.
class Teller {
 protected:
  explicit Teller(core::RandomKey key) : random_(key) {}

  template <size_t N>
  std::string_view one_of(const std::array<std::string_view, N>& words) {
    return words[random_.below(N)];
  }

  template <class... Parts>
  int say(const Parts&... parts) {
    text_ += core::message(++line_, " ", parts..., "\n");
    return line_;
  }

  core::RandomStream random_;
  std::string text_;
  int line_ = 0;
};

/// People go to places and carry things: all tasks but the fourth.
class Story : Teller {
 public:
  Story(int task, core::RandomKey key) : Teller(key), task_(task) {}

  std::string tell() {
    for (int asked = 0; asked < kQuestions;) {
      const int facts = task_ == 1 || task_ == 6 ? 2 : 3;
      for (int i = 0; i < facts; ++i) happen();
      asked += ask() ? 1 : 0;
    }
    return text_;
  }

 private:
  void happen() {
    if (task_ == 5) return happen_with_gifts();
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

  /// Who carries something looks for somebody to give it to.
  void happen_with_gifts() {
    const size_t person = random_.below(kPeople.size());
    const size_t place = people_[person].place;
    std::vector<size_t> held, found;
    for (size_t thing = 0; thing < kThings.size() && place != kNowhere; ++thing) {
      if (holder_[thing] == person) held.push_back(thing);
      if (holder_[thing] == kNowhere && may_be_at(thing, place)) found.push_back(thing);
    }
    if (!held.empty() && random_.uniform() < 0.7) {
      const size_t thing = held[random_.below(held.size())];
      if (random_.uniform() < 0.15) return leave(person, thing);
      if (give(person, thing)) return;
      const size_t other = (person + 1 + random_.below(kPeople.size() - 1)) % kPeople.size();
      return go_to(person, people_[other].place);
    }
    if (!found.empty() && random_.uniform() < 0.5)
      return take(person, found[random_.below(found.size())]);
    go(person);
  }

  /// A thing that nobody has met yet can be anywhere.
  bool may_be_at(size_t thing, size_t place) const {
    return history_[thing].empty() || history_[thing].back().place == place;
  }

  void go(size_t person) {
    size_t place = random_.below(kPlaces.size());
    if (place == people_[person].place) place = (place + 1) % kPlaces.size();
    go_to(person, place);
  }

  void go_to(size_t person, size_t place) {
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

  /// To somebody at the same place, or where nobody knows; false if there is none.
  bool give(size_t person, size_t thing) {
    const size_t place = people_[person].place;
    std::vector<size_t> near;
    for (size_t other = 0; other < kPeople.size(); ++other)
      if (other != person && (people_[other].place == place || people_[other].place == kNowhere))
        near.push_back(other);
    if (near.empty()) return false;
    const size_t to = near[random_.below(near.size())];
    const int line =
        say(kPeople[person], " ", one_of(kGave), " the ", kThings[thing], " to ", kPeople[to], ".");
    gifts_.push_back({.from = person, .thing = thing, .to = to, .line = line});
    holder_[thing] = to;
    people_[to].place = place;
    return true;
  }

  bool ask() {
    if (task_ == 1 || task_ == 6) return ask_for_person();
    return task_ == 5 ? ask_for_gift() : ask_for_thing();
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

  /// Of the gifts that a question fits, the last one answers it. False where nothing was given yet.
  bool ask_for_gift() {
    if (gifts_.empty()) return false;
    const Gift& asked = gifts_[random_.below(gifts_.size())];
    const uint64_t kind = random_.below(5);
    // What the question says of the gift.
    const bool from = kind == 0 || kind == 1, to = kind == 1 || kind == 2, thing = kind != 1;
    const auto last = std::find_if(gifts_.rbegin(), gifts_.rend(), [&](const Gift& gift) {
      return (!from || gift.from == asked.from) && (!thing || gift.thing == asked.thing) &&
             (!to || gift.to == asked.to);
    });
    const std::string_view giver = kPeople[last->from], taker = kPeople[last->to];
    const std::string_view gift = kThings[last->thing];
    const auto answer = [&](std::string_view word) {
      return core::message("? \t", word, "\t", last->line);
    };
    if (kind == 0) say("Who did ", giver, " give the ", gift, " to", answer(taker));
    if (kind == 1) say("What did ", giver, " give to ", taker, answer(gift));
    if (kind == 2) say("Who gave the ", gift, " to ", taker, answer(giver));
    if (kind == 3) say("Who gave the ", gift, answer(giver));
    if (kind == 4) say("Who received the ", gift, answer(taker));
    return true;
  }

  int task_;
  std::array<Known, kPeople.size()> people_{};
  std::array<size_t, kThings.size()> holder_{kNowhere, kNowhere, kNowhere};
  std::array<int, kThings.size()> carried_since_{}, released_{};
  std::array<std::vector<Known>, kThings.size()> history_;  // places a thing has been at, in order
  std::vector<Gift> gifts_;                                 // in order
};

/// The fourth task: two places lie on different sides of a third. A story has two facts and one
/// question; this tells as many stories as the others ask questions.
class Map : Teller {
 public:
  explicit Map(core::RandomKey key) : Teller(key) {}

  std::string tell() {
    for (int i = 0; i < kQuestions; ++i) tell_one();
    return text_;
  }

 private:
  struct Neighbour {
    size_t place = 0, side = 0;  ///< `place` is on this side of the middle
    int line = 0;
  };

  void tell_one() {
    line_ = 0;
    std::array<size_t, kPlaces.size()> places{};
    std::iota(places.begin(), places.end(), size_t{0});
    for (size_t i = 0; i < 3; ++i)
      std::swap(places[i], places[i + random_.below(places.size() - i)]);
    const std::string_view middle = kPlaces[places[0]];
    const size_t side = random_.below(kSides.size());
    const size_t turn = 1 + random_.below(kSides.size() - 1);
    std::array<Neighbour, 2> neighbours{
        {{.place = places[1], .side = side}, {.place = places[2], .side = turned(side, turn)}}};
    for (Neighbour& neighbour : neighbours) {
      const std::string_view place = kPlaces[neighbour.place];
      neighbour.line = random_.uniform() < 0.5 ? relate(place, neighbour.side, middle)
                                               : relate(middle, opposite(neighbour.side), place);
    }
    const Neighbour& asked = neighbours[random_.below(2)];
    // Of three places in a line, two are on the same side of an end.
    const bool of_middle = turn == kHalfTurn || random_.uniform() < 0.5;
    if (of_middle) {
      ask(kPlaces[asked.place], asked.side, middle, asked.line);
    } else {
      ask(middle, opposite(asked.side), kPlaces[asked.place], asked.line);
    }
  }

  static constexpr size_t kHalfTurn = kSides.size() / 2;
  static size_t turned(size_t side, size_t turn) { return (side + turn) % kSides.size(); }
  static size_t opposite(size_t side) { return turned(side, kHalfTurn); }

  int relate(std::string_view place, size_t side, std::string_view other) {
    return say("The ", place, " is ", kSides[side], " of the ", other, ".");
  }

  /// What is north of the other? Or: what is the other south of? The place, which `line` says.
  void ask(std::string_view place, size_t side, std::string_view other, int line) {
    if (random_.uniform() < 0.5) {
      say("What is ", kSides[side], " of the ", other, "? \t", place, "\t", line);
    } else {
      say("What is the ", other, " ", kSides[opposite(side)], " of? \t", place, "\t", line);
    }
  }
};

std::string tell_story(int task, core::RandomKey key) {
  return task == 4 ? Map(key).tell() : Story(task, key).tell();
}

std::string file_name(int task, const std::string& split) {
  const std::string name = task == 1   ? "single-supporting-fact"
                           : task == 2 ? "two-supporting-facts"
                           : task == 3 ? "three-supporting-facts"
                           : task == 4 ? "two-arg-relations"
                           : task == 5 ? "three-arg-relations"
                                       : "yes-no-questions";
  return core::message("qa", task, "_", name, "_", split, ".txt");
}

/// Stories of the two files are drawn apart: those of the second count on from the first's last.
std::string tell(int task, int64_t first, int64_t stories, uint64_t seed) {
  std::string text;
  for (int64_t i = 0; i < stories; ++i) {
    const auto number = static_cast<uint64_t>((first + i) * 32 + task);
    text += tell_story(task, {seed, number, core::RandomPurpose::kSyntheticTask});
  }
  return text;
}

}  // namespace

const std::vector<int>& babi_world_tasks() {
  static const std::vector<int> tasks{1, 2, 3, 4, 5, 6};
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

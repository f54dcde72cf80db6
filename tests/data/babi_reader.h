// A reader of stories that shares nothing with data/tasks: it follows what the sentences say.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace longhaul::data::testing {

class BabiReader {
 public:
  /// "Anna went to the market." and the like; other sentences say nothing.
  void read(std::string sentence) {
    while (!sentence.empty() && (sentence.back() == '.' || sentence.back() == ' '))
      sentence.pop_back();
    std::istringstream in(sentence);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words.size() < 4) return;
    const std::string& who = words[0];
    if (words[2] == "is") return relate(words[1], words[3], words.back());
    if (words[1] == "gave" || words[1] == "handed" || words[1] == "passed")
      return hand_over(who, words[3], words.back());
    const auto place = std::find(words.begin(), words.end(), "to");
    if (place != words.end()) {
      where_[who] = words.back();
      for (auto& [thing, holder] : holder_)
        if (holder == who) visit(thing, words.back());
      return;
    }
    const bool takes = words.back() == "there";
    const std::string thing = takes ? words[words.size() - 2] : words.back();
    if (takes ? held(thing) || is_elsewhere(thing, who) : holder_[thing] != who)
      impossible_.push_back(sentence);
    if (takes && where_.count(who)) visit(thing, where_[who]);
    holder_[thing] = takes ? who : "";
  }

  /// The answer to one of the world's questions.
  std::string answer(std::string question) const {
    while (question.back() == '?' || question.back() == ' ') question.pop_back();
    std::istringstream in(question);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words[0] == "Who" || words[1] == "did") return answer_of_gift(words);
    if (words[0] == "What") return all_of(places_that_fit(words));
    if (words[0] == "Is") return where_.at(words[1]) == words.back() ? "yes" : "no";
    if (words[1] == "is" && words[2] != "the") return where_.at(words[2]);
    const auto& visits = visits_.at(words[3]);
    if (words[1] == "is") return visits.back();
    const auto last = std::find(visits.rbegin(), visits.rend(), words.back());
    return *(last + 1);
  }

  /// Sentences that cannot be after those before: giving what is not held or to whom is elsewhere …
  const std::vector<std::string>& impossible() const { return impossible_; }

 private:
  struct Gift {
    std::string from, thing, to;
  };

  static std::string opposite(const std::string& side) {
    const std::map<std::string, std::string> sides{
        {"north", "south"}, {"south", "north"}, {"east", "west"}, {"west", "east"}};
    return sides.at(side);
  }

  /// What is north of what is north of something is north of it too.
  void relate(const std::string& place, const std::string& side, const std::string& other) {
    on_side_[side].insert({place, other});
    on_side_[opposite(side)].insert({other, place});
    for (auto& [name, pairs] : on_side_)
      for (size_t before = 0; before != pairs.size();) {
        before = pairs.size();
        for (const auto& [a, b] : std::set(pairs))
          for (const auto& [c, d] : std::set(pairs))
            if (b == c) pairs.insert({a, d});
      }
    for (const auto& [name, pairs] : on_side_)
      for (const auto& [a, b] : pairs)
        if (a == b) impossible_.push_back(a + " is " + name + " of itself");
  }

  /// "What is north of the market" and "What is the market north of".
  std::set<std::string> places_that_fit(const std::vector<std::string>& words) const {
    const bool reversed = words[2] == "the";
    const std::string& side = words[reversed ? 4 : 2];
    const std::string& other = reversed ? words[3] : words.back();
    std::set<std::string> fit;
    const auto pairs = on_side_.find(reversed ? opposite(side) : side);
    if (pairs == on_side_.end()) return fit;
    for (const auto& [place, of] : pairs->second)
      if (of == other) fit.insert(place);
    return fit;
  }

  static std::string all_of(const std::set<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " and ") + word;
    return text;
  }

  bool held(const std::string& thing) const {
    const auto holder = holder_.find(thing);
    return holder != holder_.end() && !holder->second.empty();
  }

  bool is_elsewhere(const std::string& thing, const std::string& who) const {
    const auto places = visits_.find(thing);
    const auto place = where_.find(who);
    return places != visits_.end() && place != where_.end() &&
           places->second.back() != place->second;
  }

  void hand_over(const std::string& from, const std::string& thing, const std::string& to) {
    const bool elsewhere =
        where_.count(from) && where_.count(to) && where_.at(from) != where_.at(to);
    if (holder_[thing] != from || elsewhere || from == to)
      impossible_.push_back(from + " gives the " + thing + " to " + to);
    if (where_.count(from)) where_[to] = where_[from];
    holder_[thing] = to;
    gifts_.push_back({from, thing, to});
  }

  /// Of the last gift of which what the question says is true.
  std::string answer_of_gift(const std::vector<std::string>& words) const {
    const auto word = [&](size_t i) { return i < words.size() ? words[i] : ""; };
    const bool asks_thing = words[0] == "What", asks_receiver = words[1] == "did" && !asks_thing;
    Gift known;  // "": not said
    if (asks_thing) {
      known = {word(2), "", word(5)};
    } else if (asks_receiver) {
      known = {word(2), word(5), ""};
    } else {
      known = {"", word(3), word(5)};
    }
    const auto fits = [](const std::string& said, const std::string& is) {
      return said.empty() || said == is;
    };
    for (auto gift = gifts_.rbegin(); gift != gifts_.rend(); ++gift)
      if (fits(known.from, gift->from) && fits(known.thing, gift->thing) &&
          fits(known.to, gift->to)) {
        if (asks_thing) return gift->thing;
        return asks_receiver || words[1] == "received" ? gift->to : gift->from;
      }
    return "";
  }

  void visit(const std::string& thing, const std::string& place) {
    auto& visits = visits_[thing];
    if (visits.empty() || visits.back() != place) visits.push_back(place);
  }

  std::map<std::string, std::string> where_, holder_;
  std::map<std::string, std::vector<std::string>> visits_;
  std::map<std::string, std::set<std::pair<std::string, std::string>>> on_side_;  // {a, b}: a of b
  std::vector<Gift> gifts_;
  std::vector<std::string> impossible_;
};

}  // namespace longhaul::data::testing

// A reader of stories that shares nothing with data/tasks: it follows what the sentences say.
#pragma once

#include <algorithm>
#include <map>
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
    const auto place = std::find(words.begin(), words.end(), "to");
    if (place != words.end()) {
      where_[who] = words.back();
      for (auto& [thing, holder] : holder_)
        if (holder == who) visit(thing, words.back());
      return;
    }
    const bool takes = words.back() == "there";
    const std::string thing = takes ? words[words.size() - 2] : words.back();
    if (takes && where_.count(who)) visit(thing, where_[who]);
    holder_[thing] = takes ? who : "";
  }

  /// The answer to one of the world's questions.
  std::string answer(std::string question) const {
    while (question.back() == '?' || question.back() == ' ') question.pop_back();
    std::istringstream in(question);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words[0] == "Is") return where_.at(words[1]) == words.back() ? "yes" : "no";
    if (words[1] == "is" && words[2] != "the") return where_.at(words[2]);
    const auto& visits = visits_.at(words[3]);
    if (words[1] == "is") return visits.back();
    const auto last = std::find(visits.rbegin(), visits.rend(), words.back());
    return *(last + 1);
  }

 private:
  void visit(const std::string& thing, const std::string& place) {
    auto& visits = visits_[thing];
    if (visits.empty() || visits.back() != place) visits.push_back(place);
  }

  std::map<std::string, std::string> where_, holder_;
  std::map<std::string, std::vector<std::string>> visits_;
};

}  // namespace longhaul::data::testing

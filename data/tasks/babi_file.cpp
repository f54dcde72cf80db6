#include "data/tasks/babi_file.h"

#include <algorithm>
#include <charconv>
#include <regex>

#include "data/text_stream.h"
#include "kernels/core/error.h"
#include "kernels/core/fields.h"

namespace longhaul::data {

namespace {

constexpr size_t kMostBytes = size_t{256} << 20;
constexpr size_t kMostProblems = 10;

/// All of `text` as a number from 1 on, or 0.
size_t whole_number_of(std::string_view text) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

class Parser {
 public:
  explicit Parser(const std::string& name) : name_(name) {}

  std::vector<BabiStory> parse(std::string_view text) {
    while (!text.empty() && problems_.size() < kMostProblems) {
      const size_t end = std::min(text.find('\n'), text.size());
      ++line_;
      std::string_view line = text.substr(0, end);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      text.remove_prefix(std::min(end + 1, text.size()));
      const std::string problem = read_line(line);
      if (!problem.empty()) problems_.push_back(core::message(name_, ":", line_, ": ", problem));
    }
    const bool asks = std::any_of(stories_.begin(), stories_.end(),
                                  [](const BabiStory& story) { return !story.questions.empty(); });
    if (problems_.empty() && !asks)
      problems_.push_back(
          core::message(name_, ": asks no question, expected a file of the bAbI tasks"));
    if (!problems_.empty()) throw core::InputError(problems_);
    return std::move(stories_);
  }

 private:
  std::string read_line(std::string_view line) {
    const size_t space = line.find(' ');
    const size_t number = space == line.npos ? 0 : whole_number_of(line.substr(0, space));
    if (number == 0) return "expected a number from 1 on, a space and a sentence";
    if (number != 1 && number != places_.size() + 1)
      return core::message("its number is ", number, ", expected ",
                           places_.empty() ? "" : core::message(places_.size() + 1, " or "),
                           "1 (a new story)");
    const std::string_view rest = line.substr(space + 1);
    const auto control = [](char c) { return static_cast<uint8_t>(c) < ' ' && c != '\t'; };
    if (std::any_of(rest.begin(), rest.end(), control)) return "holds a control character";
    if (number == 1) {
      stories_.emplace_back();
      places_.clear();
    }
    return rest.find('\t') == rest.npos ? read_fact(rest) : read_question(rest);
  }

  std::string read_fact(std::string_view text) {
    places_.push_back(static_cast<int64_t>(stories_.back().facts.size()));
    text = trimmed(text);
    stories_.back().facts.emplace_back(text);
    return text.empty() ? "expected a sentence after the number" : "";
  }

  std::string read_question(std::string_view text) {
    BabiStory& story = stories_.back();
    const size_t first = text.find('\t');
    const size_t second = text.find('\t', first + 1);
    BabiQuestion question{.facts = story.facts.size()};
    places_.push_back(-1);
    if (second == text.npos)
      return "expected question, tab, answer, tab and the numbers of the lines that answer it";
    question.text = trimmed(text.substr(0, first));
    question.answer = trimmed(text.substr(first + 1, second - first - 1));
    if (question.text.empty() || question.answer.empty())
      return "expected a question and an answer before the numbers";
    std::string_view numbers = trimmed(text.substr(second + 1));
    if (numbers.empty()) return "expected the numbers of the lines that answer the question";
    while (!numbers.empty()) {
      const size_t end = std::min(numbers.find(' '), numbers.size());
      const std::string_view number = numbers.substr(0, end);
      const size_t line = whole_number_of(number);
      if (line == 0 || line >= places_.size() || places_[line - 1] < 0)
        return core::message("found '", number.substr(0, 20),
                             "', expected the number of a sentence of this story before it");
      question.supports.push_back(static_cast<size_t>(places_[line - 1]));
      numbers = trimmed(numbers.substr(end));
    }
    std::sort(question.supports.begin(), question.supports.end());
    story.questions.push_back(std::move(question));
    return "";
  }

  const std::string& name_;
  std::vector<BabiStory> stories_;
  std::vector<int64_t> places_;  // of the story's lines among its facts; −1: a question
  core::Problems problems_;
  int64_t line_ = 0;
};

}  // namespace

std::vector<BabiStory> parse_babi(std::string_view text, const std::string& name) {
  return Parser(name).parse(text);
}

std::vector<BabiStory> read_babi(const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file))
    throw core::InputError(
        core::message(file.string(), ": is no file, expected one of the bAbI tasks"));
  const auto stream = open_text(file);
  std::string text;
  std::vector<char> block(size_t{1} << 16);
  while (const size_t count = stream->read(block)) {
    text.append(block.data(), count);
    if (text.size() > kMostBytes)
      throw core::InputError(core::message(file.string(), ": has more than ", kMostBytes,
                                           " bytes, expected a file of the bAbI tasks"));
  }
  return parse_babi(text, file.string());
}

int babi_task_number(const std::filesystem::path& file) {
  static const std::regex pattern("qa([0-9]{1,3})([-_.].*)?");
  std::smatch match;
  const std::string name = file.filename().string();
  return std::regex_match(name, match, pattern) ? std::stoi(match[1]) : 0;
}

std::vector<std::filesystem::path> find_babi_files(const std::filesystem::path& path,
                                                   const std::string& split, int most) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(path)) {
    if (!std::filesystem::exists(path))
      throw core::InputError(core::message(
          path.string(), ": is not there, expected a file of the bAbI tasks or a folder of them"));
    files.push_back(path);
    const int number = babi_task_number(path);
    if (number < 1 || number > most)
      throw core::InputError(core::message(path.string(),
                                           ": expected a name that begins with qa1_ to qa", most,
                                           "_, which says the task"));
    return files;
  }
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const std::string name = uncompressed_name(entry.path());
    const int number = babi_task_number(entry.path());
    if (number >= 1 && number <= most && name.ends_with("_" + split + ".txt"))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return std::pair(babi_task_number(a), a) < std::pair(babi_task_number(b), b);
  });
  if (files.empty())
    throw core::InputError(core::message(path.string(), ": holds no file qa1_*_", split,
                                         ".txt to qa", most, "_*_", split, ".txt"));
  return files;
}

}  // namespace longhaul::data

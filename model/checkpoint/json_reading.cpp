#include "model/checkpoint/json_reading.h"

#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::model {

namespace {

using nlohmann::json;

constexpr int kDeepest = 16;
constexpr size_t kLongestShown = 120;

/// Follows the parser's events: refuses depth as it happens, before memory is spent on it.
class StructureCheck {
 public:
  explicit StructureCheck(const std::string& name) : name_(name) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
      if (depth >= kDeepest) {
        throw core::InputError(
            core::message(name_, ": JSON nested deeper than ", kDeepest, " levels"));
      }
    }
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) {
        throw core::InputError(core::message(name_, ": ", in_quotes(key), " is there twice"));
      }
    }
    return true;
  }

 private:
  const std::string& name_;
  std::vector<std::set<std::string>> keys_;  // of each open object
};

std::string without_exception_number(const std::string& what) {
  const size_t end = what.find("] ");
  return end == std::string::npos ? what : what.substr(end + 2);
}

}  // namespace

json parse_json(std::string_view text, const std::string& name) {
  StructureCheck check(name);
  try {
    return json::parse(text.begin(), text.end(),
                       [&check](int depth, json::parse_event_t event, const json& parsed) {
                         return check(depth, event, parsed);
                       });
  } catch (const json::exception& error) {
    throw core::InputError(core::message(
        name,
        ": not valid JSON: ", without_exception_number(error.what()).substr(0, 2 * kLongestShown)));
  }
}

json parse_python_json(std::string_view text, const std::string& name) {
  constexpr std::array<std::string_view, 3> kWords = {"-Infinity", "Infinity", "NaN"};
  std::string plain;
  plain.reserve(text.size() + 16);
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (!in_string) {
      std::string_view word;
      for (std::string_view candidate : kWords) {
        if (word.empty() && text.substr(i).starts_with(candidate)) word = candidate;
      }
      if (!word.empty()) {
        plain.append("\"").append(word).append("\"");
        i += word.size();
        continue;
      }
    }
    if (in_string && text[i] == '\\' && i + 1 < text.size())
      plain += text[i++];
    else if (text[i] == '"')
      in_string = !in_string;
    plain += text[i++];
  }
  return parse_json(plain, name);
}

std::string in_quotes(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string result = "\"";
  for (char c : text.substr(0, kLongestShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      result += c;
    }
  }
  return result + (text.size() > kLongestShown ? "…\"" : "\"");
}

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kLongestShown) text = text.substr(0, kLongestShown) + "…";
  return text;
}

}  // namespace longhaul::model

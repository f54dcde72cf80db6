#include "eval/conditions.h"

#include <algorithm>
#include <set>

#include "eval/html.h"
#include "eval/sequences.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

using Arms = std::vector<std::vector<Identity>>;

const std::set<std::string> kPlaces{"data", "stories", "prompts"};
const std::set<std::string> kRounding{"piece",          "batch",  "data ranks",
                                      "sequence ranks", "states", "device"};
/// The models, and what Conditions tell.
const std::set<std::string> kUncompared{"model", "length", "training length", "sequences",
                                        kTrainedOn};

/// Of a task; what it changes shows in the task's fingerprint, too.
bool is_setting(const std::string& name) { return name.starts_with("--"); }

bool is_fingerprint(const std::string& name) {
  return name == "tokens" || name.starts_with("task ");
}

/// All values of an entry in an arm's runs, each once.
std::string values_of(const std::vector<Identity>& runs, const std::string& name) {
  std::string all;
  std::set<std::string> seen;
  for (const Identity& run : runs) {
    for (const auto& [entry, value] : run) {
      if (entry == name && seen.insert(value).second) all += (all.empty() ? "" : ", ") + value;
    }
  }
  return all.empty() ? "none" : all;
}

/// "seed: 1 / 5"; "" where the arms have the same.
std::string difference(const Arms& arms, const std::string& name) {
  std::string all;
  std::set<std::string> seen;
  for (const std::vector<Identity>& runs : arms) {
    const std::string value = values_of(runs, name);
    if (seen.insert(value).second) all += (all.empty() ? "" : " / ") + value;
  }
  return seen.size() > 1 ? name + ": " + all : "";
}

/// In the order of their first appearance.
std::vector<std::string> names_of(const Arms& arms) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const std::vector<Identity>& runs : arms) {
    for (const Identity& run : runs) {
      for (const auto& entry : run) {
        if (seen.insert(entry.first).second) names.push_back(entry.first);
      }
    }
  }
  return names;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : "; ") + escape_html(part);
  return all;
}

bool is_of_trained(const std::vector<Identity>& runs) {
  return std::any_of(runs.begin(), runs.end(), [](const Identity& run) {
    return std::any_of(run.begin(), run.end(),
                       [](const auto& entry) { return entry.first == kTrainedOn; });
  });
}

/// A sentence where arms were measured on the data they were trained on.
std::string trained_text(const Arms& arms) {
  const auto some = std::count_if(arms.begin(), arms.end(), is_of_trained);
  if (some == 0) return "";
  if (some == std::ssize(arms)) return " Measured on the data that was trained on.";
  return core::message(" ", some, " of ", arms.size(),
                       " arms were measured on the data they were trained on.");
}

/// What `found` says of those that `whose` names: "the arms".
std::string sentences_of(const Unlike& found, const std::string& whose) {
  std::string out;
  if (!found.numbers.empty()) {
    out += " " + whose + " were not measured alike: " + joined(found.numbers) + ".";
  }
  if (!found.rounding.empty()) {
    out += " " + whose + " differ in rounding alone by " + joined(found.rounding) + ".";
  }
  return out;
}

/// Each sentence once: arms that were measured the same way differ between seeds the same way.
std::string unlike_seeds(const Arms& arms) {
  std::set<std::string> each;
  for (const std::vector<Identity>& runs : arms) {
    Arms seeds;
    for (const Identity& run : runs) seeds.push_back({run});
    const Unlike found = unlike(seeds);
    std::string text = sentences_of(found, "Seeds of one arm");
    if (found.unknown > 0 && found.unknown < std::ssize(runs)) {
      text += core::message(" Of ", found.unknown, " of ", runs.size(),
                            " seeds of an arm it is not known on what data and how.");
    }
    each.insert(text);
  }
  std::string out;
  for (const std::string& text : each) out += text;
  return out;
}

std::string text_of(const RunConditions& run, bool text) {
  std::string out = core::message(run.sequences, " sequences of ", run.length, " tokens");
  if (const std::string few = shortage(run.sequences, run.sequences_asked); !few.empty()) {
    out += " (" + few + ")";
  }
  if (run.training_length > 0) out += core::message(", trained on ", run.training_length);
  if (!text) return out;
  const std::string from = run.windows == "inside" ? "from a random place inside " : "inside ";
  const int64_t documents = run.whole_documents;
  if (!run.inside_documents) {
    return out + ", across document borders: only " +
           (documents == 1 ? "1 document is" : core::message(documents, " documents are")) +
           " that long";
  }
  if (documents == 1) return out + ", " + from + "the only document that is that long";
  return out + core::message(", each ", from, "one document (", documents, " are that long)");
}

std::string text_of(const Conditions& arm) {
  std::vector<std::string> each;
  for (const RunConditions& run : arm.runs) {
    const std::string text = text_of(run, arm.text);
    if (std::find(each.begin(), each.end(), text) == each.end()) each.push_back(text);
  }
  const std::string mean = core::message("mean over ", arm.runs.size(), " seeds");
  if (each.size() == 1) return arm.runs.size() > 1 ? each[0] + ", " + mean : each[0];
  std::string out = mean + " that were not measured alike (";
  for (size_t i = 0; i < each.size(); ++i) out += (i > 0 ? " / " : "") + each[i];
  return out + ")";
}

}  // namespace

Unlike unlike(const Arms& arms) {
  Unlike result;
  Arms known;
  for (const std::vector<Identity>& runs : arms) {
    const bool says =
        std::all_of(runs.begin(), runs.end(), [](const Identity& run) { return !run.empty(); });
    if (says) known.push_back(runs);
    result.unknown += says ? 0 : 1;
  }
  std::vector<std::string> fingerprints, reasons;
  for (const std::string& name : names_of(known)) {
    const std::string what = kUncompared.contains(name) ? "" : difference(known, name);
    if (what.empty()) continue;
    const bool is_reason = kPlaces.contains(name) || is_setting(name);
    (is_reason                  ? reasons
     : is_fingerprint(name)     ? fingerprints
     : kRounding.contains(name) ? result.rounding
                                : result.numbers)
        .push_back(what);
  }
  if (fingerprints.empty()) return result;
  const std::vector<std::string>& data = reasons.empty() ? fingerprints : reasons;
  result.numbers.insert(result.numbers.begin(), data.begin(), data.end());
  return result;
}

std::string unlike_html(const Arms& arms) {
  std::string out = unlike_seeds(arms);
  if (arms.size() < 2) return out;
  const Unlike found = unlike(arms);
  out += sentences_of(found, "The arms");
  if (found.unknown > 0) {
    out += core::message(" Of ", found.unknown, " of ", arms.size(),
                         " arms it is not known on what data and how (older files do not say).");
  }
  return out;
}

std::string conditions_html(const std::vector<Conditions>& arms) {
  std::set<std::string> each;
  Arms measured;
  for (const Conditions& arm : arms) {
    auto& runs = measured.emplace_back();
    for (const RunConditions& run : arm.runs) runs.push_back(run.measured);
    each.insert(text_of(arm));
  }
  std::string out = "<p class=\"soft\">";
  if (each.size() > 1) out += "The arms were not measured alike: ";
  const char* separator = "";
  for (const std::string& text : each) {
    out += separator + text;
    separator = "; ";
  }
  return out + "." + trained_text(measured) + unlike_html(measured) + "</p>\n";
}

}  // namespace longhaul::eval

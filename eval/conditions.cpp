#include "eval/conditions.h"

#include <algorithm>
#include <set>

#include "eval/html.h"
#include "eval/sequences.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

using Arms = std::vector<std::vector<Identity>>;

const std::set<std::string> kPlaces{"data", "stories"};
const std::set<std::string> kRounding{"piece", "batch", "data ranks", "sequence ranks", "states"};
/// The models, and what Conditions tell.
const std::set<std::string> kUncompared{"model", "length", "sequences", kTrainedOn};

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
  std::vector<std::string> fingerprints, places;
  for (const std::string& name : names_of(known)) {
    const std::string what = kUncompared.contains(name) ? "" : difference(known, name);
    if (what.empty()) continue;
    (kPlaces.contains(name)     ? places
     : is_fingerprint(name)     ? fingerprints
     : kRounding.contains(name) ? result.rounding
                                : result.numbers)
        .push_back(what);
  }
  if (fingerprints.empty()) return result;
  const std::vector<std::string>& data = places.empty() ? fingerprints : places;
  result.numbers.insert(result.numbers.begin(), data.begin(), data.end());
  return result;
}

std::string unlike_html(const Arms& arms) {
  if (arms.size() < 2) return "";
  const Unlike found = unlike(arms);
  std::string out;
  if (!found.numbers.empty()) {
    out += " The arms were not measured alike: " + joined(found.numbers) + ".";
  }
  if (!found.rounding.empty()) {
    out += " In rounding alone they differ by " + joined(found.rounding) + ".";
  }
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
    measured.push_back(arm.measured);
    std::string text = core::message(arm.sequences, " sequences of ", arm.length, " tokens");
    if (const std::string few = shortage(arm.sequences, arm.sequences_asked); !few.empty()) {
      text += " (" + few + ")";
    }
    if (arm.training_length > 0) text += core::message(", trained on ", arm.training_length);
    if (arm.text) {
      const char* from = arm.windows == "inside" ? "from a random place inside" : "inside";
      text += arm.inside_documents ? core::message(", each ", from, " one document (",
                                                   arm.whole_documents, " are that long)")
                                   : core::message(", across document borders: only ",
                                                   arm.whole_documents, " documents are that long");
    }
    if (arm.seeds > 1) text += core::message(", mean over ", arm.seeds, " seeds");
    each.insert(text);
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

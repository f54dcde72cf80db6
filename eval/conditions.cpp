#include "eval/conditions.h"

#include <set>

#include "eval/sequences.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

std::string conditions_html(const std::vector<Conditions>& arms) {
  std::set<std::string> each;
  for (const Conditions& arm : arms) {
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
  return out + ".</p>\n";
}

}  // namespace longhaul::eval

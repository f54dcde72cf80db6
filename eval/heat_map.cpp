#include "eval/heat_map.h"

#include <algorithm>
#include <cmath>

#include "eval/formatted.h"
#include "eval/html.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr int kColours = 10;
constexpr size_t kMostLabels = 4096;  // above this the page would grow by megabytes

std::string class_of(int colour) { return colour < 0 ? "lost" : core::message("heat-", colour); }

}  // namespace

int HeatScale::colour(double value) const {
  if (std::isnan(value)) return -1;
  if (!(value > low)) return 0;
  if (value >= high) return kColours - 1;
  const double share = std::log(value / low) / std::log(high / low);
  return std::clamp(static_cast<int>(share * kColours), 0, kColours - 1);
}

HeatScale scale_over(const std::vector<std::vector<HeatCell>>& maps) {
  HeatScale scale{.low = 0, .high = 0};
  for (const auto& cells : maps) {
    for (const HeatCell& cell : cells) {
      if (!std::isfinite(cell.value) || cell.value <= 0) continue;
      scale.low = scale.low == 0 ? cell.value : std::min(scale.low, cell.value);
      scale.high = std::max(scale.high, cell.value);
    }
  }
  return scale;
}

std::string heat_map(const std::vector<HeatCell>& cells, const HeatScale& scale,
                     const std::string& row_name, const std::string& column_name) {
  int64_t rows = 0, columns = 0;
  for (const HeatCell& cell : cells) {
    rows = std::max(rows, cell.row + 1);
    columns = std::max(columns, cell.column + 1);
  }
  if (rows == 0) return "";
  const int64_t cell = std::clamp<int64_t>(280 / columns, 4, 28), margin = 40, top = 16;
  std::string out = core::message(
      "<svg class=\"heat\" viewBox=\"0 0 ", std::max<int64_t>(320, margin + columns * cell), " ",
      top + rows * cell, "\" role=\"img\" aria-label=\"", escape_html(row_name),
      column_name.empty() ? "" : " by ", escape_html(column_name), "\">");
  const auto text = [&](int64_t x, int64_t y, const std::string& anchor, const std::string& what) {
    out += core::message("<text x=\"", x, "\" y=\"", y, "\" text-anchor=\"", anchor, "\">",
                         escape_html(what), "</text>");
  };
  text(0, 11, "start", row_name);
  if (!column_name.empty()) text(margin, 11, "start", column_name + " 0");
  if (columns > 1) {
    text(margin + columns * cell, 11, "end", core::message(columns - 1));
  }
  for (int64_t row = 0; row < rows; row += (rows + 7) / 8) {
    text(margin - 5, top + row * cell + std::max<int64_t>(8, cell / 2 + 4), "end",
         core::message(row));
  }
  for (const HeatCell& each : cells) {
    out += core::message("<rect class=\"", class_of(scale.colour(each.value)), "\" x=\"",
                         margin + each.column * cell, "\" y=\"", top + each.row * cell,
                         "\" width=\"", cell - 1, "\" height=\"", cell - 1, "\"");
    out += cells.size() > kMostLabels ? "/>"
                                      : "><title>" + escape_html(each.label) + "</title></rect>";
  }
  return out + "</svg>\n";
}

std::string heat_legend(const HeatScale& scale, const std::string& unit) {
  std::string out = "<p class=\"heat-legend soft\"><span>" + short_number(scale.low) + "</span>";
  for (int colour = 0; colour < kColours; ++colour) {
    out += "<svg class=\"heat\" viewBox=\"0 0 9 9\" aria-hidden=\"true\"><rect class=\"" +
           class_of(colour) + "\" width=\"9\" height=\"9\"/></svg>";
  }
  return out + "<span>" + short_number(scale.high) + " " + escape_html(unit) +
         ", logarithmic</span></p>\n";
}

}  // namespace longhaul::eval

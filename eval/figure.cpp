#include "eval/figure.h"

#include "eval/html.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

/// Of the arms that have a line in the plot.
std::string legend(const Plot& plot, const std::vector<std::string>& arms) {
  std::string out = "<ul class=\"legend\">";
  for (const PlotLine& line : plot.lines) {
    const int arm = line.arm;
    out += core::message("<li><svg class=\"swatch\" viewBox=\"0 0 38 12\" aria-hidden=\"true\">",
                         "<path d=\"M0,6 H38\" fill=\"none\" stroke=\"var(--arm-",
                         arm % kArmColours, ")\" stroke-width=\"3\" stroke-dasharray=\"",
                         dash_of_arm(arm), "\"/></svg><span>",
                         escape_html(arms[static_cast<size_t>(arm)]), "</span></li>");
  }
  return out + "</ul>\n";
}

}  // namespace

std::string figure(const Plot& plot, const std::string& title, const std::string& caption,
                   const std::vector<std::string>& arms) {
  if (!has_points(plot)) return "";
  return "<figure>\n<h3>" + title + "</h3>\n" + legend(plot, arms) + draw(plot) + "<figcaption>" +
         caption + "</figcaption>\n</figure>\n";
}

}  // namespace longhaul::eval

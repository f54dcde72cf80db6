#include "eval/figure.h"

#include <utility>

#include "eval/html.h"
#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::eval {

namespace {

std::string swatch_path(const PlotLine& line) {
  const bool is_reference = !line.reference.empty();
  return core::message("<path d=\"M0,6 H38\" fill=\"none\" stroke=\"var(--arm-",
                       line.arm % kArmColours, ")\" stroke-width=\"", is_reference ? 2 : 3,
                       "\" stroke-dasharray=\"",
                       is_reference ? kReferenceDash : dash_of_arm(line.arm), "\"/>");
}

/// "base", "base, windows of 64"
std::string name_of(const PlotLine& line, const std::vector<std::string>& arms) {
  const std::string& arm = arms[static_cast<size_t>(line.arm)];
  return line.reference.empty() ? arm : arm + ", " + line.reference;
}

/// Of the arms that have a line in the plot.
std::string legend(const Plot& plot, const std::vector<std::string>& arms) {
  std::string out = "<ul class=\"legend\">";
  for (const PlotLine& line : plot.lines) {
    out += "<li><svg class=\"swatch\" viewBox=\"0 0 38 12\" aria-hidden=\"true\">" +
           swatch_path(line) + "</svg><span>" + escape_html(name_of(line, arms)) + "</span></li>";
  }
  return out + "</ul>\n";
}

/// The drawing on white, beneath its title and a legend that wraps.
std::string file_of(const std::string& drawing, const Plot& plot, const std::string& title,
                    const std::vector<std::string>& arms) {
  constexpr int kWidth = 760, kMargin = 14, kRow = 24, kSwatch = 48, kLetter = 8, kGap = 26;
  std::string entries;
  int x = kMargin, y = 44;
  for (const PlotLine& line : plot.lines) {
    const std::string name = name_of(line, arms);
    const int width = kSwatch + kLetter * static_cast<int>(name.size()) + kGap;
    if (x > kMargin && x + width > kWidth) {
      x = kMargin;
      y += kRow;
    }
    entries +=
        core::message("<g transform=\"translate(", x, ",", y, ")\">", swatch_path(line),
                      "<text x=\"", kSwatch, "\" y=\"11\">", escape_html(name), "</text></g>\n");
    x += width;
  }
  const int top = y + kRow;
  return core::message(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", kWidth, " ", top + 400,
      "\" font-family=\"sans-serif\" font-size=\"14\">\n<style>", kPlotColours,
      "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"", kMargin,
      "\" y=\"28\" font-size=\"17\" font-weight=\"600\">", title, "</text>\n", entries,
      "<g transform=\"translate(0,", top, ")\">\n", drawing, "</g>\n</svg>\n");
}

}  // namespace

Figures::Figures(std::vector<std::string> arms, std::filesystem::path folder)
    : arms_(std::move(arms)), folder_(std::move(folder)) {
  if (!folder_.empty()) std::filesystem::create_directories(folder_);
}

std::string Figures::figure(const Plot& plot, const std::string& title,
                            const std::string& caption) const {
  if (!has_points(plot)) return "";
  const std::string drawing = draw(plot);
  if (!folder_.empty()) {
    model::write_file_atomically(folder_ / (plot.name + ".svg"),
                                 file_of(drawing, plot, title, arms_));
  }
  return "<figure>\n<h3>" + title + "</h3>\n" + legend(plot, arms_) + drawing + "<figcaption>" +
         caption + "</figcaption>\n</figure>\n";
}

}  // namespace longhaul::eval

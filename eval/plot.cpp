#include "eval/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <regex>
#include <sstream>

#include "eval/gnuplot.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr std::array<const char*, 5> kDashes{"", "9,4", "2,3", "9,3,2,3", "14,4"};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

struct Axis {
  double low = 0, high = 0;
  bool is_log = false;
  /// 0 at its low end, 1 at its high end.
  double share_of(double value) const {
    return is_log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  }
};

bool is_drawable(const PlotPoint& p) { return std::isfinite(p.x) && std::isfinite(p.y); }

double band_top(const PlotPoint& p) { return p.y + (std::isnan(p.error) ? 0 : p.error); }
double band_bottom(const PlotPoint& p) {
  const double height = std::isnan(p.beneath) ? p.error : p.beneath;
  return p.y - (std::isnan(height) ? 0 : height);
}
bool has_band(const PlotPoint& p) { return band_top(p) > band_bottom(p); }

Axis x_axis(const Plot& plot) {
  Range x;
  for (const PlotLine& line : plot.lines) {
    for (const PlotPoint& point : line.points) x.include(point.x);
  }
  Axis axis{.low = x.low, .high = x.high};
  axis.is_log = plot.over_positions || (plot.x_is_log && x.low > 0);
  if (plot.over_positions) {
    // Two octaves at least: two powers of two to label.
    const double middle = std::sqrt(x.low * x.high);
    axis.low = std::min(x.low, middle / 2);
    axis.high = std::max(x.high, middle * 2) * (1 + 1e-6);  // gnuplot's rounding loses a last label
  } else if (x.low == x.high) {
    const double room = x.low == 0 ? 1 : std::abs(x.low) / 2;
    axis.low = x.low - room;
    axis.high = x.high + room;
  } else if (plot.as_points) {
    const double room = 0.04 * (x.high - x.low);
    const double factor = std::pow(x.high / x.low, 0.04);
    axis.low = axis.is_log ? x.low / factor : x.low - room;
    axis.high = axis.is_log ? x.high * factor : x.high + room;
  }
  return axis;
}

Axis y_axis(const Plot& plot) {
  std::vector<PlotPoint> points;
  Range values;
  for (const PlotLine& line : plot.lines) {
    for (const PlotPoint& point : line.points) {
      if (!is_drawable(point)) continue;
      points.push_back(point);
      values.include(point.y);
    }
  }
  Axis axis;
  axis.is_log = plot.wide_range_is_log && values.low > 0 && values.high > 4 * values.low;
  Range y = values;
  for (const PlotPoint& point : points) {
    y.include(band_top(point));
    // To a logarithmic axis a band that reaches 0 has no lower end.
    const double bottom = band_bottom(point);
    if (!axis.is_log || bottom > values.low / 10) y.include(bottom);
  }
  const double room = y.low == y.high ? 0.05 * std::abs(y.high) : 0.06 * (y.high - y.low);
  axis.low = std::max(plot.least, axis.is_log ? y.low / 1.1 : y.low - room);
  axis.high = std::min(plot.most, axis.is_log ? y.high * 1.1 : y.high + room);
  if (!(axis.high > axis.low)) axis.high = axis.low + 1;
  return axis;
}

/// Within two decades powers of ten alone would leave hardly a label.
void write_log_axis(const char* name, const Axis& axis, std::ostream& script) {
  script << "set logscale " << name << " 10\nset format " << name << " '%g'\n";
  if (axis.high >= 100 * axis.low) return;
  script << "set " << name << "tics (";
  const char* separator = "";
  for (double decade = std::pow(10, std::floor(std::log10(axis.low))); decade <= axis.high;
       decade *= 10) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      script << separator << "'" << digit * decade << "' " << digit * decade;
      separator = ", ";
    }
  }
  script << ")\n";
}

void write_x_axis(const Plot& plot, const Axis& x, std::ostream& script) {
  script << "set xlabel '" << plot.x_label << "' offset 0,0.3 tc rgb '#030000'\n"
         << "set xrange [" << x.low << ":" << x.high << "]\n";
  if (plot.over_positions) {
    script << "set logscale x 2\nset xtics (";
    const int step = std::log2(x.high / x.low) > 11 ? 2 : 1;
    const char* separator = "";
    for (int power = std::max(0, static_cast<int>(std::ceil(std::log2(x.low))));
         std::exp2(power) <= x.high * 1.01; power += step) {
      script << separator << "'" << position_name(int64_t{1} << power) << "' "
             << (int64_t{1} << power);
      separator = ", ";
    }
    script << ")\n";
  } else if (x.is_log) {
    write_log_axis("x", x, script);
  } else if (!plot.as_points && x.high - x.low < 5) {
    script << "set xtics 1\n";  // steps and letters are whole
  }
}

struct Mark {
  int64_t length = 0;
  std::string text;
  const char* alignment = "center";
  int row = 0;  ///< from the graph upwards
};

/// Labels stay above the graph, and each in a row where it meets no other.
std::vector<Mark> marks_of(const Plot& plot, const Axis& x) {
  constexpr double kGraph = 647, kLetter = 10;  // in units of the SVG; letters as on narrow screens
  std::vector<Mark> marks;
  std::vector<double> row_ends;
  for (const int64_t length : plot.marks) {
    const double at = kGraph * x.share_of(static_cast<double>(length));
    if (at < 0 || at > kGraph) continue;
    Mark mark{.length = length, .text = "trained to " + position_name(length)};
    const double width = kLetter * static_cast<double>(mark.text.size());
    double begin = at - width / 2;
    if (begin < 0) {
      mark.alignment = "left";
      begin = at;
    } else if (begin + width > kGraph) {
      mark.alignment = "right";
      begin = at - width;
    }
    const auto row = std::find_if(row_ends.begin(), row_ends.end(),
                                  [&](double end) { return end + kLetter <= begin; });
    mark.row = static_cast<int>(row - row_ends.begin());
    if (row == row_ends.end()) {
      row_ends.push_back(begin + width);
    } else {
      *row = begin + width;
    }
    marks.push_back(std::move(mark));
  }
  return marks;
}

void write_marks(const std::vector<Mark>& marks, std::ostream& script) {
  constexpr double kRow = 1.1;
  int rows = 0, index = 0;
  for (const Mark& mark : marks) {
    ++index;
    rows = std::max(rows, mark.row + 1);
    script << "set arrow " << index << " from " << mark.length << ", graph 0 to " << mark.length
           << ", graph 1 nohead lc rgb '#030000' lw 1 dt (3,3)\n"
           << "set label " << index << " '" << mark.text << "' at " << mark.length << ", graph 1 "
           << mark.alignment << " offset 0," << 0.6 + kRow * mark.row << " tc rgb '#030000'\n";
  }
  script << "set tmargin " << (rows == 0 ? 0.6 : 0.7 + kRow * rows) << "\n";
}

void write_block(const std::string& name, const std::vector<PlotPoint>& points, const Axis& y,
                 std::ostream& script) {
  script << name << " << END_OF_DATA\n";
  for (const PlotPoint& p : points) {
    if (is_drawable(p)) {
      script << p.x << " " << p.y << " " << std::clamp(band_bottom(p), y.low, y.high) << " "
             << std::clamp(band_top(p), y.low, y.high) << "\n";
    } else {
      script << "\n";  // a gap
    }
  }
  script << "END_OF_DATA\n";
}

/// Points that are drawn as such: of a line those that no other is joined to.
std::vector<PlotPoint> dots_of(const Plot& plot, const PlotLine& line) {
  std::vector<PlotPoint> dots;
  const auto& points = line.points;
  for (size_t i = 0; i < points.size(); ++i) {
    if (!is_drawable(points[i])) continue;
    const bool is_joined = (i > 0 && is_drawable(points[i - 1])) ||
                           (i + 1 < points.size() && is_drawable(points[i + 1]));
    if (plot.as_points || !is_joined) dots.push_back(points[i]);
  }
  return dots;
}

/// The colours that recolour() knows: (1, n, 0) is arm n.
std::string arm_colour(int arm) {
  char text[16];
  std::snprintf(text, sizeof text, "'#01%02x00'", arm % kArmColours);
  return text;
}

std::string script_of(const Plot& plot) {
  const Axis x = x_axis(plot), y = y_axis(plot);
  std::ostringstream script;
  script.precision(9);
  script << "set terminal svg size 760,400 dynamic noenhanced "
         << "font 'sans-serif,14' name '" << plot.name << "'\nunset key\n"
         << "set border 3 back lc rgb '#020000'\n"
         << "set tics nomirror out scale 0.6 tc rgb '#030000'\n"
         << "set grid y lc rgb '#040000' dt solid lw 1\n"
         << "set lmargin 9\nset rmargin 2.5\n";
  write_x_axis(plot, x, script);
  if (y.is_log) write_log_axis("y", y, script);
  script << "set yrange [" << y.low << ":" << y.high << "]\n";
  write_marks(marks_of(plot, x), script);

  std::vector<std::string> bands, lines, bars, dots;
  for (size_t i = 0; i < plot.lines.size(); ++i) {
    const PlotLine& line = plot.lines[i];
    const bool is_reference = !line.reference.empty();
    const std::string colour = arm_colour(line.arm),
                      dash = is_reference ? kReferenceDash : dash_of_arm(line.arm);
    if (!plot.as_points) {
      const std::string block = core::message("$arm", i);
      write_block(block, line.points, y, script);
      lines.push_back(block + " using 1:2 with lines lw " + (is_reference ? "1.4" : "2.2") +
                      " lc rgb " + colour + " dt " + (dash.empty() ? "solid" : "(" + dash + ")"));
      if (std::any_of(line.points.begin(), line.points.end(), has_band)) {
        bands.push_back(block + " using 1:3:4 with filledcurves fc rgb " + colour +
                        " fs transparent solid 0.14 noborder");
      }
    }
    const std::vector<PlotPoint> alone = dots_of(plot, line);
    if (alone.empty()) continue;
    const std::string block = core::message("$dots", i);
    write_block(block, alone, y, script);
    dots.push_back(block + " using 1:2 with points pt 7 ps 0.8 lc rgb " + colour);
    if (std::any_of(alone.begin(), alone.end(), has_band)) {
      bars.push_back(block + " using 1:3:(0):($4-$3) with vectors heads size screen 0.007,90 " +
                     "nofilled lc rgb " + colour);
    }
  }
  const char* separator = "plot ";
  for (const auto& layer : {bands, lines, bars, dots}) {
    for (const std::string& element : layer) {
      script << separator << element;
      separator = ", \\\n  ";
    }
  }
  script << "\n";
  return script.str();
}

/// Placeholder colours become CSS variables; of gnuplot's point symbols the dot stays; what only a
/// file of its own needs goes. Ids are of the plot's own: a page holds many plots.
std::string recolour(std::string svg, const std::string& name) {
  if (const size_t begin = svg.find("<svg"); begin != std::string::npos) svg.erase(0, begin);
  static constexpr std::array<std::array<const char*, 2>, 3> kRoles{
      {{"2", "var(--axis)"}, {"3", "var(--ink)"}, {"4", "var(--grid)"}}};
  for (const auto& [red, variable] : kRoles) {
    const std::string pattern = core::message("rgb\\( *", red, ", *0, *0\\)");
    svg = std::regex_replace(svg, std::regex(pattern), variable);
  }
  svg = std::regex_replace(svg, std::regex("rgb\\( *1, *([0-9]+), *0\\)"), "var(--arm-$1)");
  svg = std::regex_replace(svg, std::regex("<(title|desc)>[^<]*</(title|desc)>"), "");
  const size_t begin = svg.find("<defs>"), end = svg.find("</defs>");
  if (begin != std::string::npos && end != std::string::npos) {
    svg.replace(
        begin, end + 7 - begin,
        "<defs><circle id='" + name + "dot' r='1' fill='currentColor' stroke='none'/></defs>");
  }
  svg = std::regex_replace(svg, std::regex("#gpPt[0-9]+"), "#" + name + "dot");
  svg = std::regex_replace(svg, std::regex("gnuplot_canvas"), name + "canvas");
  svg = std::regex_replace(svg, std::regex("<g [^>]*>\\s*</g>\\s*"), "");
  return std::regex_replace(svg, std::regex("<svg"), "<svg aria-hidden=\"true\"",
                            std::regex_constants::format_first_only);
}

}  // namespace

std::string dash_of_arm(int arm) { return kDashes[static_cast<size_t>(arm) % kDashes.size()]; }

bool has_points(const Plot& plot) {
  return std::any_of(plot.lines.begin(), plot.lines.end(), [](const PlotLine& line) {
    return std::any_of(line.points.begin(), line.points.end(), is_drawable);
  });
}

std::string position_name(int64_t position) {
  const int64_t k = 1024;
  if (position >= k * k && position % (k * k) == 0) return core::message(position / k / k, "M");
  if (position >= k && position % k == 0) return core::message(position / k, "k");
  return core::message(position);
}

std::string draw(const Plot& plot) { return recolour(run_gnuplot(script_of(plot)), plot.name); }

}  // namespace longhaul::eval

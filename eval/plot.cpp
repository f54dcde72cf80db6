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
  bool empty() const { return low > high; }
};

Range range_of(const Plot& plot, double PlotPoint::*field) {
  Range range;
  for (const PlotLine& line : plot.lines) {
    for (const PlotPoint& point : line.points) range.include(point.*field);
  }
  return range;
}

/// The colours that recolour() knows: (1, n, 0) is arm n.
std::string arm_colour(int arm) {
  char text[16];
  std::snprintf(text, sizeof text, "'#01%02x00'", arm % kArmColours);
  return text;
}

void write_axes(const Plot& plot, std::ostream& script) {
  const Range x = range_of(plot, &PlotPoint::x), y = range_of(plot, &PlotPoint::y);
  script << "set border 3 lc rgb '#020000'\n"
         << "set tics nomirror out scale 0.6 tc rgb '#030000'\n"
         << "set grid y lc rgb '#040000' dt solid lw 1\n"
         << "set lmargin 9\nset rmargin 2.5\nset tmargin " << (plot.marks.empty() ? 0.6 : 1.8)
         << "\n"
         << "set xlabel '" << plot.x_label << "' offset 0,0.3 tc rgb '#030000'\n";
  if (plot.over_positions) {
    const double high = std::max(x.high, 2 * x.low);
    script << "set logscale x 2\nset xrange [" << x.low << ":" << high << "]\nset xtics (";
    const int step = std::log2(high / x.low) > 11 ? 2 : 1;
    const char* separator = "";
    for (int power = static_cast<int>(std::ceil(std::log2(x.low))); std::exp2(power) <= high * 1.01;
         power += step) {
      script << separator << "'" << position_name(int64_t{1} << power) << "' "
             << (int64_t{1} << power);
      separator = ", ";
    }
    script << ")\n";
  } else if (plot.as_points) {
    const double room = 0.04 * (x.high - x.low);
    const double factor = std::pow(x.high / x.low, 0.04);
    const bool log = plot.x_is_log && x.low > 0;
    const double low = log ? x.low / factor : x.low - room;
    const double high = log ? x.high * factor : x.high + room;
    if (log) script << "set logscale x 10\n";
    script << "set xrange [" << low << ":" << (high > low ? high : low + 1) << "]\n";
  } else {
    script << "set xrange [" << x.low << ":" << std::max(x.high, x.low + 1) << "]\n";
  }
  const bool log = plot.wide_range_is_log && y.low > 0 && y.high > 4 * y.low;
  if (log) {
    script << "set logscale y 10\n";
    // Within two decades powers of ten alone would leave hardly a label.
    if (y.high < 100 * y.low) {
      script << "set ytics (";
      const char* separator = "";
      for (double decade = std::pow(10, std::floor(std::log10(y.low))); decade <= y.high;
           decade *= 10) {
        for (double digit : {1.0, 2.0, 5.0}) {
          script << separator << "'" << digit * decade << "' " << digit * decade;
          separator = ", ";
        }
      }
      script << ")\n";
    }
  }
  const double room = std::max(0.06 * (y.high - y.low), 1e-3 * std::abs(y.high));
  const double low = log ? y.low / 1.1 : y.low - room;
  const double high = log ? y.high * 1.1 : y.high + room;
  script << "set yrange [" << low << ":" << (high > low ? high : low + 1) << "]\n";
  int index = 0;
  for (int64_t mark : plot.marks) {
    if (static_cast<double>(mark) < x.low || static_cast<double>(mark) > x.high) continue;
    ++index;
    script << "set arrow " << index << " from " << mark << ", graph 0 to " << mark
           << ", graph 1 nohead lc rgb '#030000' lw 1 dt (3,3)\n"
           << "set label " << index << " 'trained to " << position_name(mark) << "' at " << mark
           << ", graph 1 center offset 0,0.6 tc rgb '#030000'\n";
  }
}

void write_data(const PlotLine& line, std::ostream& script) {
  script << "$arm" << line.arm << " << END_OF_DATA\n";
  for (const PlotPoint& p : line.points) {
    if (std::isfinite(p.x) && std::isfinite(p.y)) {
      const double beneath = std::isnan(p.beneath) ? p.error : p.beneath;
      script << p.x << " " << p.y << " " << p.y - beneath << " " << p.y + p.error << "\n";
    } else {
      script << "\n";  // a gap
    }
  }
  script << "END_OF_DATA\n";
}

std::string script_of(const Plot& plot) {
  std::ostringstream script;
  script.precision(9);
  script << "set terminal svg size 760,400 dynamic noenhanced "
         << "font 'sans-serif,14' name '" << plot.name << "'\nunset key\n";
  write_axes(plot, script);
  for (const PlotLine& line : plot.lines) write_data(line, script);
  const char* separator = "plot ";
  const auto has_band = [](const PlotPoint& p) { return p.error > 0 || p.beneath > 0; };
  for (const PlotLine& line : plot.lines) {
    if (plot.as_points) continue;
    if (std::none_of(line.points.begin(), line.points.end(), has_band)) continue;
    script << separator << "$arm" << line.arm << " using 1:3:4 with filledcurves fc rgb "
           << arm_colour(line.arm) << " fs transparent solid 0.14 noborder";
    separator = ", \\\n  ";
  }
  for (const PlotLine& line : plot.lines) {
    const std::string dash = dash_of_arm(line.arm);
    if (plot.as_points) {
      script << separator << "$arm" << line.arm
             << " using 1:2:3:4 with yerrorbars pt 7 ps 0.8 lc rgb " << arm_colour(line.arm);
      separator = ", \\\n  ";
      continue;
    }
    script << separator << "$arm" << line.arm << " using 1:2 with lines lw 2.2 lc rgb "
           << arm_colour(line.arm) << " dt " << (dash.empty() ? "solid" : "(" + dash + ")");
    separator = ", \\\n  ";
  }
  script << "\n";
  return script.str();
}

/// Placeholder colours become CSS variables; what only a file of its own needs goes.
std::string recolour(std::string svg) {
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
  if (begin != std::string::npos && end != std::string::npos) svg.erase(begin, end + 7 - begin);
  svg = std::regex_replace(svg, std::regex("<g [^>]*>\\s*</g>\\s*"), "");
  return std::regex_replace(svg, std::regex("<svg"), "<svg aria-hidden=\"true\"",
                            std::regex_constants::format_first_only);
}

}  // namespace

std::string dash_of_arm(int arm) { return kDashes[static_cast<size_t>(arm) % kDashes.size()]; }

bool has_points(const Plot& plot) {
  const auto drawable = [](const PlotPoint& p) { return std::isfinite(p.x) && std::isfinite(p.y); };
  return std::any_of(plot.lines.begin(), plot.lines.end(), [&](const PlotLine& line) {
    return std::any_of(line.points.begin(), line.points.end(), drawable);
  });
}

std::string position_name(int64_t position) {
  const int64_t k = 1024;
  if (position >= k * k && position % (k * k) == 0) return core::message(position / k / k, "M");
  if (position >= k && position % k == 0) return core::message(position / k, "k");
  return core::message(position);
}

std::string draw(const Plot& plot) { return recolour(run_gnuplot(script_of(plot))); }

}  // namespace longhaul::eval

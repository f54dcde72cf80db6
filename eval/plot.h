// Plots as SVG that takes its colours from the page (CSS variables --ink, --axis, --grid, --arm-N):
// one picture for light, dark and paper. Drawn by gnuplot; no text of the user's reaches it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace longhaul::eval {

constexpr int kArmColours = 8;

/// The variables, for white. Arms: Okabe-Ito, told apart with any colour vision; yellow replaced
/// (no contrast on white), all darkened.
constexpr const char* kPlotColours = R"(
:root { --ink: #4a5158; --axis: #9aa2aa; --grid: #e6e9ec;
  --arm-0: #0072b2; --arm-1: #d55e00; --arm-2: #008f6a; --arm-3: #b8538f; --arm-4: #c98a00;
  --arm-5: #3d3d3d; --arm-6: #3ba0dd; --arm-7: #7a5230; })";

/// Of references.
constexpr const char* kReferenceDash = "1.5,2.5";
/// Dash pattern of an arm as in SVG's stroke-dasharray ("": solid). Colours repeat after
/// kArmColours arms, colour and dash together after 40.
std::string dash_of_arm(int arm);

struct PlotPoint {
  double x = 0, y = 0;
  double error = 0;  ///< height of the band above the line, and beneath it; 0 or NaN: none
  double beneath = std::numeric_limits<double>::quiet_NaN();  ///< where it is another there
};

struct PlotLine {
  int arm = 0;
  std::vector<PlotPoint> points;  ///< the line breaks where y is not finite; alone there: a dot
  std::string reference = {};  ///< what it is of the arm, if not its own measure: thin and dotted
};

struct Plot {
  std::string name;                ///< prefix of the ids in the SVG: letters, digits
  std::string x_label;             ///< written by us, never from a file: letters, spaces
  bool over_positions = false;     ///< x is log₂ and labelled 1k = 1024; else linear
  bool wide_range_is_log = false;  ///< y becomes logarithmic where values spread over a factor of 4
  bool as_points = false;          ///< points with bars for errors, not lines
  bool x_is_log = false;           ///< powers of ten; not with over_positions
  double least = -std::numeric_limits<double>::infinity();  ///< what y can be: axis and bands end
  double most = std::numeric_limits<double>::infinity();    ///< there (shares: 0 and 100)
  std::vector<int64_t> marks;                               ///< training lengths: vertical lines
  std::vector<PlotLine> lines;
};

bool has_points(const Plot& plot);

/// "512", "8k", "1M": k = 1024.
std::string position_name(int64_t position);

/// Throws InputError if there is no gnuplot, Error if it fails.
std::string draw(const Plot& plot);

}  // namespace longhaul::eval

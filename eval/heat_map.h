// Layers by heads as coloured cells: SVG that takes its colours from the page (CSS variables
// --heat-0 to --heat-9, --heat-lost).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::eval {

struct HeatCell {
  int64_t row = 0, column = 0;
  double value = 0;
  std::string label;  ///< shown where the cell is pointed at; not escaped
};

/// Log-spaced colours from low to high > 0; values outside take the end's, infinity the upper, NaN
/// one of its own.
struct HeatScale {
  double low = 1, high = 1;
  int colour(double value) const;  ///< 0 to 9; −1: not a number
};
/// Over all finite values above 0 of all maps that are to be compared.
HeatScale scale_over(const std::vector<std::vector<HeatCell>>& maps);

/// `row_name`, `column_name`: what rows and columns are, singular ("layer"); column_name "": there
/// is one column, which is not named.
std::string heat_map(const std::vector<HeatCell>& cells, const HeatScale& scale,
                     const std::string& row_name, const std::string& column_name);
/// The colours with the numbers at their ends.
std::string heat_legend(const HeatScale& scale, const std::string& unit);

}  // namespace longhaul::eval

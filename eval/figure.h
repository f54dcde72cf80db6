#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/plot.h"

namespace longhaul::eval {

/// Plots with their legends: as elements of the page and, if asked for, as files of their own.
class Figures {
 public:
  /// `arms` are the names of all, not escaped. `folder`: where every plot is also written, as
  /// NAME.svg with title and legend; empty: nowhere.
  explicit Figures(std::vector<std::string> arms, std::filesystem::path folder = {});

  const std::vector<std::string>& arms() const { return arms_; }
  /// A plot with its title, legend and caption (HTML); "" if there is nothing to draw.
  std::string figure(const Plot& plot, const std::string& title, const std::string& caption) const;

 private:
  std::vector<std::string> arms_;
  std::filesystem::path folder_;
};

}  // namespace longhaul::eval

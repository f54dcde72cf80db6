// One HTML file for a set of runs: curves, tables, configurations; no network, no script needed to
// read it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::eval {

/// Runs are run folders (metrics.jsonl, run.yaml, evaluation/*.json), or folders of such that are
/// called seed-N: these are one arm, its numbers means over seeds. So are several runs that are
/// called NAME,seed=N, and NAME beside them, as a sweep calls its arms. Arms appear in the order
/// given under their folder's name.
struct ReportJob {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path output;
  std::string title;
  std::filesystem::path figures;  ///< folder for every plot as an SVG file of its own; "": none
  std::filesystem::path csv;      ///< folder for the numbers (eval/report_csv.h); "": none
};
/// Perplexity (or accuracy, for recall) by position, state deviation by position, effective
/// remembrance, statistics of states and memory of heads, training curves, a table of lengths, and
/// the configurations' differences; one line per arm; SVG plots made by gnuplot, inlined. Throws
/// InputError naming what a run lacks.
void write_report(const ReportJob& job);

}  // namespace longhaul::eval

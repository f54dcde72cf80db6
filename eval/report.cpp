#include "eval/report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "eval/conditions.h"
#include "eval/figure.h"
#include "eval/findings.h"
#include "eval/html.h"
#include "eval/line_up.h"
#include "eval/plot.h"
#include "eval/report_csv.h"
#include "eval/report_effrem.h"
#include "eval/report_states.h"
#include "eval/report_tables.h"
#include "eval/report_tasks.h"
#include "eval/run_folder.h"
#include "eval/section.h"
#include "eval/seed_groups.h"
#include "eval/seeds.h"
#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::eval {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// A run, or the mean over several.
RunFolder read_arm(const SeedGroup& group) {
  std::vector<RunFolder> seeds;
  for (const auto& folder : group.folders) {
    RunFolder& run = seeds.emplace_back(read_run_folder(folder));
    const std::string* seed = find_value(run.configuration, "run.seed");
    if (group.is_mean && seed != nullptr) run.name = "seed-" + *seed;
  }
  return group.is_mean ? mean_of_seeds(group.name, seeds) : std::move(seeds.front());
}

/// Reads all runs, reporting the problems of all together.
std::vector<RunFolder> read_runs(const std::vector<SeedGroup>& groups) {
  std::vector<RunFolder> runs;
  std::vector<std::string> problems;
  if (groups.empty()) problems.push_back("report: no run given, expected one or more run folders");
  for (const SeedGroup& group : groups) {
    try {
      runs.push_back(read_arm(group));
    } catch (const core::InputError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
  return runs;
}

/// The last so many parts of a path.
std::string end_of(const std::filesystem::path& path, int parts) {
  std::filesystem::path end;
  for (auto part = path.end(); part != path.begin() && parts > 0; --parts) {
    --part;
    end = end.empty() ? *part : *part / end;
  }
  return end.string();
}

/// Folder names; of those that are alike, as much of the paths as tells them apart.
std::vector<std::string> arm_names(const std::vector<RunFolder>& runs,
                                   const std::vector<SeedGroup>& groups) {
  std::vector<std::filesystem::path> paths;
  for (const SeedGroup& group : groups) {
    const auto whole = (std::filesystem::absolute(group.given) / "").lexically_normal();
    paths.push_back(whole.parent_path());
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < runs.size(); ++i) {
    std::string name = runs[i].name;
    const auto is_taken = [&](int parts) {
      for (size_t other = 0; other < runs.size(); ++other) {
        const bool is_alike = runs[other].name == runs[i].name && paths[other] != paths[i];
        if (is_alike && (parts == 1 || end_of(paths[other], parts) == name)) return true;
      }
      return false;
    };
    for (int parts = 1; is_taken(parts);) name = end_of(paths[i], ++parts);
    names.push_back(name);
  }
  return names;
}

/// In %; the band ends at 0 and 100.
PlotPoint accuracy_point(double x, const Bucket& bucket) {
  return {.x = x,
          .y = 100 * bucket.accuracy,
          .error = 100 * std::min(bucket.accuracy_error, 1 - bucket.accuracy),
          .beneath = 100 * std::min(bucket.accuracy_error, bucket.accuracy)};
}

/// Buckets are drawn at the geometric middle of their positions. The first few positions, whose
/// losses dwarf all others, are left to the table of the evaluation itself.
PlotLine bucket_line(int arm, const PositionCurve& curve, bool accuracy) {
  PlotLine line{.arm = arm, .points = {}};
  const int64_t first = curve.length >= 512 ? 8 : 1;
  for (const Bucket& bucket : curve.buckets) {
    if (bucket.begin < first || bucket.count == 0) continue;
    const double x = std::sqrt(static_cast<double>(bucket.begin) * static_cast<double>(bucket.end));
    PlotPoint point = accuracy_point(x, bucket);
    if (!accuracy) {  // exp(loss ± error)
      point.y = std::exp(bucket.loss);
      point.error = point.y * std::expm1(bucket.loss_error);
      point.beneath = -point.y * std::expm1(-bucket.loss_error);
    }
    if (!std::isfinite(bucket.loss)) point.y = kNaN;
    line.points.push_back(point);
  }
  return line;
}

PlotLine reach_line(int arm, const PositionCurve& curve) {
  PlotLine line{.arm = arm, .points = {}};
  for (const Bucket& bucket : curve.reaches) {
    // Its middle: reaches are whole numbers.
    const double middle = std::sqrt(static_cast<double>(bucket.begin * (bucket.end - 1)));
    line.points.push_back(accuracy_point(middle, bucket));
  }
  return line;
}

PlotLine state_line(int arm, const PositionCurve& curve) {
  PlotLine line{.arm = arm, .points = {}};
  for (const StatePoint& point : curve.states) {
    if (point.position < 8 && curve.length >= 512) continue;
    line.points.push_back({.x = static_cast<double>(point.position), .y = point.deviation});
  }
  return line;
}

/// Of an arm, after its own curve.
void add_references(const Section& section, size_t arm, Plot& loss, Plot& accuracy) {
  for (const Reference& reference : section.references) {
    if (reference.arm != arm) continue;
    for (Plot* plot : {&loss, &accuracy}) {
      PlotLine line = bucket_line(static_cast<int>(arm), *reference.curve, plot == &accuracy);
      line.reference = windows_name(*reference.curve);
      plot->lines.push_back(std::move(line));
    }
  }
}

/// What curves of windows are.
std::string windows_html(const Section& section) {
  if (!section.of_windows && section.references.empty()) return "";
  return std::string("<p class=\"soft\">") +
         (section.of_windows ? "Sequences" : "Dotted, a reference of the same arm: the sequences") +
         " read in windows of so many tokens, each from the initial state; the last half of each "
         "counts. So much the model reaches at these positions with short context, however far "
         "they are.</p>\n";
}

std::string conditions(const Section& section) {
  std::vector<Conditions> arms;
  for (const PositionCurve* curve : section.curves) {
    if (curve != nullptr) arms.push_back(conditions_of(*curve, curve->task));
  }
  return conditions_html(arms) + windows_html(section);
}

std::string section_html(const Section& section, const Figures& figures, size_t index) {
  const std::string id = core::message("s", index);
  Plot loss{.name = id + "loss",
            .x_label = "position in the sequence, tokens",
            .over_positions = true,
            .wide_range_is_log = true,
            .marks = training_lengths(section.curves),
            .lines = {}};
  Plot accuracy = loss, states = loss, reach = loss;
  reach.name = id + "reach";
  reach.x_label = "pairs since the key";
  reach.wide_range_is_log = false;
  reach.marks = {};
  accuracy.name = id + "accuracy";
  accuracy.wide_range_is_log = false;
  for (Plot* share : {&accuracy, &reach}) {
    share->least = 0;
    share->most = 100;
  }
  states.name = id + "states";
  for (size_t i = 0; i < section.curves.size(); ++i) {
    if (section.curves[i] == nullptr) continue;
    const int arm = static_cast<int>(i);
    loss.lines.push_back(bucket_line(arm, *section.curves[i], false));
    reach.lines.push_back(reach_line(arm, *section.curves[i]));
    accuracy.lines.push_back(bucket_line(arm, *section.curves[i], true));
    states.lines.push_back(state_line(arm, *section.curves[i]));
    add_references(section, i, loss, accuracy);
  }
  const std::string band =
      " Bands: ± one " + error_name(section.curves, "standard error over sequences") + ".";
  std::string out = "<section>\n<h2>" + escape_html(section.title) + "</h2>\n";
  out += conditions(section);
  if (section.task == "recall") {
    out += figures.figure(accuracy, "Accuracy by position, %", "Share of queries answered." + band);
    out += figures.figure(
        reach, "Accuracy by reach, %",
        "Queries by the pairs since their key occurred last, over all positions." + band);
  }
  out += figures.figure(loss, "Perplexity by position",
                        "Logarithmic where values spread over a factor of four or more." + band);
  out += figures.figure(states, "Deviation of the recurrent state by position",
                        "Standard deviation over sequences, layers and elements.");
  out += "<h3>At multiples of the training length</h3>\n" + length_table(section, figures.arms());
  return out + "</section>\n";
}

/// Means over a window of steps, at most 400 points a line.
PlotLine smoothed(int arm, const std::vector<TrainingPoint>& training, const std::string& value,
                  size_t window) {
  PlotLine line{.arm = arm, .points = {}};
  const size_t stride = std::max<size_t>(1, training.size() / 400);
  for (size_t i = 0; i < training.size(); i += stride) {
    const size_t begin = i >= window / 2 ? i - window / 2 : 0;
    const size_t end = std::min(training.size(), i + window / 2 + 1);
    double sum = 0, count = 0;
    for (size_t j = begin; j < end; ++j) {
      const auto found = training[j].values.find(value);
      if (found == training[j].values.end() || !std::isfinite(found->second)) continue;
      sum += found->second;
      count += 1;
    }
    line.points.push_back(
        {.x = static_cast<double>(training[i].step), .y = count > 0 ? sum / count : kNaN});
  }
  return line;
}

std::string training_html(const std::vector<RunFolder>& runs, const Figures& figures) {
  size_t longest = 0;
  for (const RunFolder& run : runs) longest = std::max(longest, run.training.size());
  if (longest == 0) return "";
  const size_t window = std::max<size_t>(1, longest / 50);
  const std::string caption =
      window > 1 ? core::message("Mean over ", window / 2 * 2 + 1, " logged steps.") : "";
  std::string out = "<section>\n<h2>Training</h2>\n";
  const auto draw_value = [&](const char* value, const char* title, const char* id) {
    Plot plot{.name = id,
              .x_label = "optimizer step",
              .wide_range_is_log = true,
              .marks = {},
              .lines = {}};
    for (size_t i = 0; i < runs.size(); ++i) {
      if (runs[i].training.empty()) continue;
      plot.lines.push_back(smoothed(static_cast<int>(i), runs[i].training, value, window));
    }
    out += figures.figure(plot, title, caption);
  };
  draw_value("loss", "Training loss, nats", "trainloss");
  draw_value("gradient_norm", "Gradient norm", "trainnorm");
  return out + "</section>\n";
}

std::string missing_html(const std::vector<RunFolder>& runs, const std::vector<std::string>& arms) {
  std::string items;
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const std::string& what : runs[i].missing) {
      items += "<li>" + escape_html(arms[i] + ": " + what) + "</li>\n";
    }
  }
  return items.empty()
             ? ""
             : "<section>\n<h2>What is missing</h2>\n<ul>\n" + items + "</ul>\n</section>\n";
}

std::string sentences_html(const std::string& title, const std::vector<std::string>& sentences) {
  std::string out =
      "<p><strong>" + escape_html(title + ": " + sentences.front()) + "</strong></p>\n<ul>\n";
  for (size_t i = 1; i < sentences.size(); ++i) {
    out += "<li>" + escape_html(sentences[i]) + "</li>\n";
  }
  return out + "</ul>\n";
}

std::string seen_html(const std::vector<Section>& sections,
                      const std::vector<LinedUp<EffRem>>& effrems,
                      const std::vector<LinedUp<TaskResult>>& tasks,
                      const std::vector<std::string>& arms) {
  std::string out = "<div class=\"seen\">\n<h2>What is seen</h2>\n";
  for (const Section& section : sections) {
    out += sentences_html(section.title, findings(section, arms));
  }
  for (const LinedUp<EffRem>& section : effrems) {
    out += sentences_html(effrem_title(section), effrem_findings(section, arms));
  }
  for (const LinedUp<TaskResult>& section : tasks) {
    out += sentences_html(task_title(section), task_findings(section, arms));
  }
  if (sections.empty() && !tasks.empty()) return out + "</div>\n";
  if (sections.empty()) {
    return out +
           "<p>No run has an evaluation by position: nothing can be said of lengths.</p>\n"
           "</div>\n";
  }
  const bool seeds = std::any_of(sections.begin(), sections.end(),
                                 [](const Section& section) { return has_seeds(section.curves); });
  out += core::message(
      "<p class=\"soft\">An arm fails where, past its training length, perplexity is more than ",
      kFailingRatio, " × that at the end of the training length (recall: accuracy more than ",
      100 * kFailingDrop,
      " points lower), by more than two standard errors of the difference; or where the loss is ",
      "not finite. Where an arm was also read in windows of its training length, it is held "
      "against these at the same positions instead. Where it is so by less than two standard "
      "errors, or these are not known, that "
      "is undecided.",
      seeds ? " Each seed is judged by its own standard errors; an arm of several fails where most "
              "of its seeds do."
            : "",
      "</p>\n</div>\n");
  return out;
}

}  // namespace

void write_report(const ReportJob& job) {
  const std::vector<SeedGroup> groups = seed_groups(job.runs);
  const std::vector<RunFolder> runs = read_runs(groups);
  const Figures figures(arm_names(runs, groups), job.figures);
  const std::vector<std::string>& arms = figures.arms();
  const std::vector<Section> sections = make_sections(runs);
  const auto effrems = line_up(runs, &RunFolder::effrems);
  const auto tasks = task_sections(runs);
  const std::string title = job.title.empty() ? "Length generalization" : job.title;
  std::string body =
      "<h1>" + escape_html(title) + "</h1>\n" + seen_html(sections, effrems, tasks, arms);
  for (size_t i = 0; i < sections.size(); ++i) body += section_html(sections[i], figures, i);
  for (size_t i = 0; i < tasks.size(); ++i) body += task_html(tasks[i], figures, i);
  for (size_t i = 0; i < effrems.size(); ++i) body += effrem_html(effrems[i], figures, i);
  const auto states = line_up(runs, &RunFolder::states);
  for (size_t i = 0; i < states.size(); ++i) body += states_html(states[i], figures, i);
  body += training_html(runs, figures);
  body += "<section>\n<h2>Configurations</h2>\n" + configuration_table(runs, arms) + "</section>\n";
  body += missing_html(runs, arms);
  if (!job.csv.empty()) write_report_csv(job.csv, runs, arms);
  model::write_file_atomically(job.output, html_page(title, body));
}

}  // namespace longhaul::eval

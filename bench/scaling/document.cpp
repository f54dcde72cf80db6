#include "bench/scaling/document.h"

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "bench/scaling/check.h"
#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::bench {

using core::InputError;
using core::message;

Tables all_tables(const std::filesystem::path& files) {
  const Network network = read_network(files / "networks/h100_ib400.yaml");
  const Device device = read_device(files / "devices/h100.yaml");
  const TableSetting setting{.network = network, .device = device};
  Tables tables{
      {"assumptions", assumptions_table(setting)},
      {"check",
       check_table(checked_cases({.measured = files / "check/measured.jsonl",
                                  .run = files / "check/step.yaml",
                                  .network = read_network(files / "networks/emulated.yaml"),
                                  .device = read_device(files / "devices/check_cpu.yaml")}))}};
  for (const std::string& model : setting.models) {
    tables["steps " + model] = steps_table(setting, model);
    tables["doubling " + model] = doubling_table(setting, model);
    tables["exchange " + model] = exchange_table(setting, model);
  }
  return tables;
}

std::string with_tables(const std::string& text, const Tables& tables, const std::string& name) {
  const std::string kBegin = "<!-- table ", kClose = " -->", kEnd = "<!-- end -->";
  std::istringstream lines(text);
  std::string result, line;
  std::set<std::string> seen;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    result += line + "\n";
    if (!line.starts_with(kBegin) || !line.ends_with(kClose)) continue;
    const std::string table =
        line.substr(kBegin.size(), line.size() - kBegin.size() - kClose.size());
    const auto found = tables.find(table);
    if (found == tables.end()) {
      throw InputError(message(name, ":", number, ": there is no table '", table, "'"));
    }
    seen.insert(table);
    result += found->second;
    const int64_t begun = number;
    while (line != kEnd) {
      if (!std::getline(lines, line)) {
        throw InputError(message(name, ":", begun, ": the table has no line ", kEnd));
      }
      ++number;
    }
    result += line + "\n";
  }
  for (const auto& [table, content] : tables) {
    if (seen.count(table) == 0) throw InputError(message(name, ": has no table '", table, "'"));
  }
  return result;
}

bool renew_tables(const std::filesystem::path& page, const Tables& tables, bool write) {
  std::ifstream file(page, std::ios::binary);
  if (!file) throw InputError(page.string() + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::string renewed = with_tables(text, tables, page.string());
  if (renewed == text) return true;
  if (write) model::write_file_atomically(page, renewed);
  return false;
}

}  // namespace longhaul::bench

#include "trainer/metrics.h"

#include <glog/logging.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "model/checkpoint/atomic_file.h"
#include "trainer/append_file.h"
#include "trainer/event_file.h"
#include "trainer/metrics.pb.h"

namespace longhaul::trainer {

namespace {

namespace fs = std::filesystem;
using google::protobuf::FieldDescriptor;

/// The fields of a record that are numbers of its own name.
const FieldDescriptor* number_field(const std::string& name) {
  const FieldDescriptor* field = proto::MetricRecord::descriptor()->FindFieldByName(name);
  return field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE ? field : nullptr;
}

std::string to_line(const Record& record) {
  proto::MetricRecord message;
  message.set_kind(record.kind);
  message.set_step(record.step);
  message.set_tokens(record.tokens);
  message.set_text(record.text);
  for (const auto& [name, value] : record.values) {
    if (const FieldDescriptor* field = number_field(name)) {
      message.GetReflection()->SetDouble(&message, field, value);
    } else {
      proto::Number* number = message.add_more();
      number->set_name(name);
      number->set_value(value);
    }
  }
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string line;
  const auto status = google::protobuf::util::MessageToJsonString(message, &line, options);
  if (!status.ok()) {
    throw core::Error(core::message("metrics.jsonl: step ", record.step,
                                    " cannot be written: ", std::string(status.message())));
  }
  return line + "\n";
}

Record parse_line(std::string_view line, const fs::path& file, int64_t number) {
  proto::MetricRecord message;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // of later versions
  const auto status =
      google::protobuf::util::JsonStringToMessage({line.data(), line.size()}, &message, options);
  if (!status.ok()) {
    throw core::InputError(
        core::message(file.string(), ":", number, ": is not a metrics record (a JSON object)"));
  }
  Record record{.kind = message.kind(),
                .step = message.step(),
                .tokens = message.tokens(),
                .values = {},
                .text = message.text()};
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (number_field(field->name()) != nullptr && reflection->HasField(message, field)) {
      record.values.emplace_back(field->name(), reflection->GetDouble(message, field));
    }
  }
  for (const proto::Number& more : message.more()) {
    record.values.emplace_back(more.name(), more.value());
  }
  return record;
}

/// visit(record, line with its end) for every whole line; unreadable(problem) for those that are no
/// record.
template <class Visit, class Unreadable>
void visit_lines(const fs::path& file, const Visit& visit, const Unreadable& unreadable) {
  const std::string text = core::read_file(file, int64_t{1} << 40);
  std::string_view rest = text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return;
    std::optional<Record> record;
    try {
      record = parse_line(rest.substr(0, end), file, number);
    } catch (const core::InputError& problem) {
      unreadable(problem);
    }
    if (record) visit(*std::move(record), rest.substr(0, end + 1));
    rest.remove_prefix(end + 1);
  }
}

/// Whatever was on disk when the checkpoint of `step` was written is sound, or an error; what came
/// later a power loss may have left as anything.
void drop_later_records(const fs::path& file, int64_t step) {
  if (!fs::exists(file)) return;
  std::string kept;
  int64_t newest = -1;
  std::optional<core::InputError> damage;  // the first
  visit_lines(
      file,
      [&](const Record& record, std::string_view line) {
        if (damage && record.step <= step) throw core::InputError(*damage);
        newest = std::max(newest, record.step);
        if (record.step <= step) kept += line;
      },
      [&](const core::InputError& problem) {
        if (newest < step) throw core::InputError(problem);
        if (!damage) damage = problem;
      });
  if (damage) {
    LOG(WARNING) << damage->what() << "; it comes after step " << step << " and is dropped";
  }
  model::write_file_atomically(file, kept);
}

/// Of an earlier start that saved nothing, or whose checkpoints are gone.
void keep_earlier(const fs::path& file) {
  std::error_code missing;
  const auto bytes = fs::file_size(file, missing);
  if (missing || bytes == 0) return;
  fs::path kept;
  for (int i = 1; kept.empty() || fs::exists(kept); ++i) {
    kept = file.parent_path() / core::message("metrics-earlier-", i, ".jsonl");
  }
  fs::rename(file, kept);
  LOG(WARNING) << file.string()
               << ": is of an earlier start of this run, which begins anew; kept as "
               << kept.filename().string();
}

}  // namespace

struct MetricsWriter::State {
  AppendFile lines;
  EventFile events;
  bool is_late = false;  // something is kept that could not be written

  /// What a run can do without for a while, such as room on its disk.
  void try_to(const std::function<void()>& lines_work, const std::function<void()>& events_work) {
    std::string problem;
    for (const auto& work : {lines_work, events_work}) {
      try {
        work();
      } catch (const core::Error& error) {
        if (problem.empty()) problem = error.what();
      }
    }
    LOG_IF(WARNING, !problem.empty() && !is_late)
        << problem << "; the run goes on and tries again at every step";
    LOG_IF(WARNING, problem.empty() && is_late) << "the metrics can be written again";
    is_late = !problem.empty();
  }
};

MetricsWriter::MetricsWriter(const fs::path& run_folder, int64_t resume_step) {
  const fs::path file = run_folder / "metrics.jsonl";
  fs::create_directories(run_folder);
  if (resume_step < 0) {
    keep_earlier(file);
    model::write_file_atomically(file, "");
  } else {
    drop_later_records(file, resume_step);
  }
  state_ = std::make_unique<State>(
      State{AppendFile(file), EventFile(run_folder, resume_step < 0 ? 0 : resume_step + 1)});
}

MetricsWriter::~MetricsWriter() {
  if (state_->is_late) flush();
  LOG_IF(WARNING, state_->is_late) << "the last records of the metrics are lost";
}

void MetricsWriter::write(const Record& record) {
  std::vector<std::pair<std::string, double>> scalars;
  for (const auto& [name, value] : record.values) {
    scalars.emplace_back(record.kind + "/" + name, value);
  }
  state_->try_to([&] { state_->lines.append(to_line(record)); },
                 [&] {
                   if (!scalars.empty()) state_->events.write_scalars(record.step, scalars);
                 });
}

void MetricsWriter::flush() {
  state_->try_to([&] { state_->lines.sync(); }, [&] { state_->events.sync(); });
}

std::vector<Record> read_metrics(const fs::path& file, std::string* unreadable_end) {
  std::vector<Record> records;
  std::optional<core::InputError> damage;  // the first
  visit_lines(
      file,
      [&](Record record, std::string_view) {
        if (damage) throw core::InputError(*damage);
        records.push_back(std::move(record));
      },
      [&](const core::InputError& problem) {
        if (unreadable_end == nullptr) throw core::InputError(problem);
        if (!damage) damage = problem;
      });
  if (damage) *unreadable_end = damage->what();
  return records;
}

}  // namespace longhaul::trainer

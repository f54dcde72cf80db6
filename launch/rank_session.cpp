#include "launch/rank_session.h"

#include <glog/logging.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <sstream>
#include <system_error>
#include <thread>

#include "dist/thread_communicator.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "kernels/core/host_name.h"
#include "launch/command.h"
#include "launch/rank_devices.h"

namespace longhaul::launch {

RankSession::RankSession(int* argc, char*** argv) {
  if (dist::launched_by_mpi()) {
    mpi_.emplace(argc, argv);
  } else {
    solo_ = dist::solo_communicator();
  }
  size_ = world().size();
}

void RankSession::set_time_limit(double seconds) {
  if (mpi_) mpi_->set_time_limit(seconds);
}

void RankSession::set_activity(const std::string& activity) {
  activity_ = activity;
  if (mpi_) mpi_->set_activity(activity);
}

void RankSession::fail(int exit_code, const std::string& text) {
  const int rank = world().rank();
  // Bad input is seen by every rank. The first one speaks and ends the job; the others wait for
  // that end and speak only if it does not come.
  if (rank > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500 * std::min(rank, 4)));
  std::string place = mpi_ ? core::message("rank ", rank) : "";
  if (exit_code == kFailed && mpi_) place += " (host " + core::host_name() + ")";
  if (exit_code == kFailed && !activity_.empty()) place += (mpi_ ? " at " : "at ") + activity_;
  if (!place.empty()) place += ": ";
  std::istringstream lines(text);
  std::string all;
  for (std::string line; std::getline(lines, line);) {
    all += "longhaul: " + place + line + "\n";
  }
  std::cout.flush();
  std::cerr << all << std::flush;
  if (mpi_) mpi_->abort(exit_code);
  std::exit(exit_code);
}

int RankSession::check_output(int code) {
  if (std::cout.flush() || code == kFailed || code == kWrongInput) return code;
  const std::string lost = "standard output: cannot be written; all else is done";
  activity_.clear();
  if (code == kDone) throw core::Error(lost);
  LOG(WARNING) << lost;
  return code;
}

namespace {
/// To be mended before the command is given again: trying again would not help.
bool is_for_the_user(const std::error_code& code) {
  for (const std::errc each :
       {std::errc::permission_denied, std::errc::operation_not_permitted,
        std::errc::no_such_file_or_directory, std::errc::not_a_directory, std::errc::is_a_directory,
        std::errc::filename_too_long, std::errc::read_only_file_system,
        std::errc::too_many_symbolic_link_levels}) {
    if (code == each) return true;
  }
  return false;
}
}  // namespace

int RankSession::run(const std::function<int()>& body) {
  try {
    return body();
  } catch (const core::InputError& error) {
    fail(kWrongInput, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    const std::string what = error.path1().string() + ": " + error.code().message();
    fail(is_for_the_user(error.code()) ? kWrongInput : kFailed, what);
  } catch (const std::bad_alloc&) {
    fail(kFailed, "out of memory");
  } catch (const std::exception& error) {
    fail(kFailed, error.what());
  }
}

DeviceWorld::DeviceWorld(RankSession& session, core::Context& context, double time_limit_s)
    : session_(session) {
  if (session.size() == 1) return;
  check_devices(session.world(), context.device());
  if (context.device().is_cpu()) return;
  nccl_.emplace(session.world(),
                dist::NcclOptions{.device = context.device(),
                                  .compute_stream = core::cuda_stream(context),
                                  .time_limit_s = time_limit_s,
                                  .end_job = [&session](const std::string& message) {
                                    session.fail(kFailed, message);
                                  }});
}

void DeviceWorld::set_activity(const std::string& activity) {
  session_.set_activity(activity);
  if (nccl_) nccl_->set_activity(activity);
}

int DeviceWorld::run(const std::function<int()>& body) {
  return nccl_ ? session_.run(body) : body();
}

dist::Mesh make_mesh(dist::Communicator& world, int64_t sequence_ranks) {
  const int ranks = world.size();
  if (sequence_ranks > ranks || ranks % sequence_ranks != 0) {
    throw core::InputError(core::message("--sequence-ranks: found ", sequence_ranks,
                                         ", expected a divisor of the ", ranks,
                                         ranks == 1 ? " rank started" : " ranks started"));
  }
  const int sequence = static_cast<int>(sequence_ranks);
  return dist::Mesh(world, {.data = ranks / sequence, .sequence = sequence});
}

class LogSession::Sink : public google::LogSink {
 public:
  explicit Sink(RankSession& session)
      : prefix_(session.world().size() == 1
                    ? "longhaul: "
                    : core::message("longhaul: rank ", session.world().rank(), ": ")) {}

  void send(google::LogSeverity severity, const char* file, const char* base_file, int line,
            const google::LogMessageTime& time, const char* text, size_t length) override {
    static_cast<void>(file), static_cast<void>(base_file);
    static_cast<void>(line), static_cast<void>(time);
    if (severity == google::GLOG_FATAL) return;  // glog itself writes these, with their place
    const std::string kind = severity == google::GLOG_WARNING ? "warning: " : "error: ";
    std::cerr << prefix_ + kind + std::string(text, length) + "\n" << std::flush;
  }

 private:
  std::string prefix_;
};

LogSession::LogSession(const char* program, RankSession& session)
    : sink_(std::make_unique<Sink>(session)) {
  google::InitGoogleLogging(program);
  for (int severity = google::GLOG_INFO; severity <= google::GLOG_FATAL; ++severity) {
    google::SetLogDestination(severity, "");
  }
  FLAGS_minloglevel = google::GLOG_WARNING;
  FLAGS_stderrthreshold = google::GLOG_FATAL;
  google::AddLogSink(sink_.get());
}

LogSession::~LogSession() {
  google::RemoveLogSink(sink_.get());
  google::ShutdownGoogleLogging();
}

}  // namespace longhaul::launch

#include "launch/environment/job_environment.h"

#include <glog/logging.h>

#include <iostream>
#include <sstream>

#include "dist/all_ranks.h"
#include "dist/mpi_communicator.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/cuda_versions.h"
#include "kernels/core/error.h"
#include "launch/environment/clock_offset.h"
#include "launch/environment/rank_facts.h"
#include "launch/environment/shared_folder.h"
#include "launch/rank_session.h"

namespace longhaul::launch {

namespace {

RankFacts facts_of_rank(RankSession& session, const JobEnvironment& job) {
  RankFacts facts = own_facts(session.world().rank());
  facts.mpi = session.is_mpi() ? dist::mpi_library() : "";
  facts.device = "cpu";
  if (!job.device.is_cpu()) {
    facts.cuda = core::cuda_versions();
    facts.device = core::cuda_device_name(job.device);
    facts.device_bytes = core::cuda_memory(job.device).total;
    facts.block_bytes = core::cuda_shared_bytes(job.device);
  }
  facts.threads = job.threads;
  const ClockOffset offset = measure_clock_offset(session.world());
  facts.clock_offset_s = offset.seconds;
  facts.clock_uncertainty_s = offset.uncertainty;
  const std::string folder = session.world().broadcast_bytes(job.folder.string(), 0);
  facts.sees_folder = sees_file_of_first_rank(session.world(), folder);
  facts.folder_free_bytes = free_bytes(folder);
  return facts;
}

/// On every rank, by rank; `all` is rank 0's.
std::vector<std::string> host_names(dist::Communicator& world, const std::vector<RankFacts>& all) {
  std::string lines;
  for (const RankFacts& facts : all) lines += facts.host + "\n";
  std::istringstream text(world.broadcast_bytes(lines, 0));
  std::vector<std::string> names;
  for (std::string name; std::getline(text, name);) names.push_back(name);
  return names;
}

}  // namespace

EnvironmentNeeds needs_of(const RunPlan& plan, const std::string& folder) {
  return {.folder = folder,
          .checkpoint_bytes = plan.checkpoint,
          .memory_bytes = host_bytes(plan),
          .device_bytes = device_bytes(plan),
          .block_bytes = plan.block_bytes};
}

std::vector<std::string> check_environment(RankSession& session, const JobEnvironment& job,
                                           bool shows_table, std::ostream& out) {
  const std::vector<RankFacts> all = gather_facts(session.world(), facts_of_rank(session, job));
  dist::on_all_ranks(session.world(), "comparing the hosts", [&] {
    if (!session.is_first()) return;
    const EnvironmentVerdict verdict = judge_environment(all, job.needs);
    std::ostream& target = verdict.refusals.empty() ? out : std::cout;
    if (shows_table) target << environment_table(all);
    target << "environment    " << verdict_text(verdict) << std::endl;
    for (const std::string& warning : verdict.warnings) LOG(WARNING) << warning;
    if (!verdict.refusals.empty()) throw core::InputError(verdict.refusals);
  });
  return host_names(session.world(), all);
}

}  // namespace longhaul::launch

// The program from outside: exit codes, one line to stderr a problem, nothing on stdout then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "tests/launch/program.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// The names that a help lists under "Subcommands:".
std::vector<std::string> subcommands_of(const std::string& help) {
  std::istringstream lines(help.substr(std::min(help.size(), help.find("Subcommands:"))));
  std::vector<std::string> names;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.starts_with("  ")) {
    const std::string name = line.substr(2, line.find(' ', 2) - 2);
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

TEST_F(Program, HelpOfEveryCommandHasAnExample) {
  const Result whole = run("--help");
  EXPECT_EQ(whole.exit_code, 0);
  std::vector<std::string> commands = subcommands_of(whole.out);
  EXPECT_GE(commands.size(), 14u);
  for (const std::string& measure : subcommands_of(run("eval --help").out)) {
    commands.push_back("eval " + measure);
  }
  EXPECT_GE(commands.size(), 21u);
  for (const std::string& command : commands) {
    const Result result = run(command + " --help");
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_EQ(result.err, "") << command;
    if (command == "eval") continue;
    EXPECT_THAT(result.out, HasSubstr("Example:")) << command;
    EXPECT_THAT(result.out, HasSubstr("longhaul " + command)) << command;
  }
}

TEST_F(Program, SweepSaysWhatItWants) {
  EXPECT_THAT(run("sweep --keys").out, HasSubstr("halving.keep: 0.5  # share of the recipes"));
  expect_refused("sweep", "config is required");
  expect_refused("sweep nowhere.yaml",
                 "nowhere.yaml: cannot be read, expected the YAML file of a sweep");
  write("run.yaml", kRecall);
  write("sweep.yaml", "base: run.yaml\nfolder: s\nvalues: {optimizer.rate: [1]}\n");
  expect_refused("sweep sweep.yaml --arm none", "which is no arm");
  expect_refused("sweep sweep.yaml --no-submit", "--slurm");
  write("lost.yaml",
        "base: run.yaml\nfolder: s\nvalues: {data.kind: [tokens], data.folder: [no]}\n");
  expect_refused("sweep lost.yaml", "arm kind=tokens,folder=no: ");
  expect_refused("sweep lost.yaml --dry-run", "arm kind=tokens,folder=no: ");
  EXPECT_FALSE(fs::exists(folder_ / "s/arms"));
  write("s/thesis.tex", "irreplaceable");
  fs::remove(folder_ / "s/.lock");
  expect_refused("sweep sweep.yaml --dry-run", "holds no sweep");
}

TEST_F(Program, WrongUsage) {
  expect_refused("", "subcommand");
  expect_refused("trian", "unknown command 'trian', did you mean train?");
  expect_refused("--loud", "unknown option '--loud' (see --help)");
  expect_refused("eval perplexty --model m",
                 "unknown measure 'perplexty', did you mean perplexity?");
  expect_refused("eval perplexity --modle x",
                 "unknown option '--modle', did you mean --model? (see eval perplexity --help)");
  expect_refused("eval recall --model x --qeury-fraction=1", "did you mean --query-fraction?");
  for (const char* temperature : {"nan", "inf", ".nan", ".inf", "-1", "warm"}) {
    expect_refused(std::string("generate --model m --prompt a --temperature ") + temperature,
                   "--temperature");
  }
  expect_refused("eval passkey --model m --lengths 9 --depths 0,.nan", "--depths");
  expect_refused("eval babilong --model . --lengths 0", "--stories: is not given");
  expect_refused("eval babilong --model . --lengths 0,9 --stories s", "--data: is not given");
  expect_refused("train", "config");
  expect_refused("inspect . --loud", "--loud");
  expect_refused("generate --model m --tokens 010", "--tokens");
  expect_refused("generate --model m --tokens ten", "--tokens");
  for (const char* measure : {"copy", "recall --length 8 --sequences 1", "passkey --lengths 9"}) {
    expect_refused(std::string("eval ") + measure + " --model nope", "--model: nope: is not there");
  }
  expect_refused("eval recall --model . --length 8 --sequences 1 --query-fraction 0",
                 "--query-fraction: must be above 0");
  expect_refused("generate --model m --device gpu", "--device");
  expect_refused("generate --model m --prompt-ids 1,x", "--prompt-ids");
  expect_refused("generate --model m --prompt-ids 1 --prompt a", "--prompt");
  expect_refused("eval", "subcommand");
  expect_refused("eval recall --model . --length 0 --sequences 1", "--length");
  expect_refused("forward --model m --tokens t --out o --sequence-ranks 2", "--sequence-ranks");
}

TEST_F(Program, VersionSaysWhatItWasBuiltWith) {
  const Result result = run("--version");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, ::testing::ContainsRegex("^longhaul [0-9.]+\ncommit   .+\nbuild    .+\n"
                                                   "CUDA     .+\nNCCL     .+\nMPI      .+\n$"));
}

TEST_F(Program, WrongInput) {
  expect_refused("inspect nowhere", "nowhere: is not there");
  expect_refused("inspect .", "expected a run");
  expect_refused("train nowhere.yaml", "nowhere.yaml: cannot be read");
  expect_refused("export --model nowhere --out out", "nowhere");
  expect_refused("export --model nowhere --format onnx --out out", "--format");
  expect_refused("tokenize --tokenizer none --out tokens .", "none");
  expect_refused("report nowhere --out report.html", "nowhere");
  write("bad.yaml", "model:\n  shape: {layers: 0}\nrun: {folder: out}\ndata: {kind: recal}\n");
  expect_refused("train bad.yaml", "bad.yaml:2: model.shape.layers", 3);
}

TEST_F(Program, DryRunTrainsNothing) {
  write("run.yaml", kRecall);
  const Result result = run("train run.yaml optimizer.rate=5e-4 --dry-run --ranks 2");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("rate: 5e-04"));
  EXPECT_THAT(result.out, HasSubstr("vocabulary: 16"));
  EXPECT_THAT(result.out, HasSubstr("2 data × 1 sequence ranks"));
  EXPECT_THAT(result.out, HasSubstr("3 steps, 192 tokens"));
  for (const char* part :
       {"memory a rank", "  parameters", "  optimizer", "  states", "  activations", "logits",
        "exchange of states", "sent a step", "with data.recompute"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
  const Result device = run("train run.yaml --dry-run run.device=cuda run.dtype=bf16");
  EXPECT_EQ(device.exit_code, 0) << device.err;
  EXPECT_THAT(device.out, HasSubstr("of the device at the highest"));
  EXPECT_THAT(device.out, HasSubstr("cuBLASLt 32.0 MiB"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
  const Result sharded = run("train run.yaml --dry-run --ranks 2 parallel.zero=1");
  EXPECT_THAT(sharded.out, HasSubstr("this rank's share"));
  EXPECT_THAT(sharded.out, HasSubstr("zero: 1"));
  expect_refused("train run.yaml --dry-run --ranks 3", "data.sequences");
}

TEST_F(Program, APlanThatDoesNotFitIsWarnedOf) {
  write("run.yaml", kRecall);
  const std::string large = "run.yaml data.sequences=1000000 data.length=100000";
  for (const std::string& command : {"train " + large + " --dry-run", "check " + large}) {
    const Result result = run(command);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("of memory left, its 1 rank is planned to take"));
  }
  EXPECT_EQ(run("train run.yaml --dry-run").err, "");
}

TEST_F(Program, TrainInspectExportGenerateEvalReport) {
  write("run.yaml", kRecall);
  const Result trained = run("train run.yaml");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_EQ(trained.err, "");
  EXPECT_TRUE(fs::exists(folder_ / "run/model/model.safetensors"));
  expect_refused("train run.yaml", "holds checkpoints up to step 3");
  expect_refused("train run.yaml optimizer.rate=0.5 --resume", "optimizer.rate: differs");
  expect_refused("train run.yaml schedule.steps=6 --resume",
                 "start a new run from its model: model.from=run run.folder=…");
  EXPECT_EQ(run("train run.yaml --resume").exit_code, 0);
  EXPECT_THAT(run("inspect run").out, HasSubstr("step 3 of 3"));
  EXPECT_THAT(run("inspect run/checkpoints/step-3").out, HasSubstr("manifest.json"));
  EXPECT_THAT(run("inspect run/model").out, HasSubstr("head_dim: 8"));
  EXPECT_THAT(run("inspect run/model/model.safetensors").out, HasSubstr("backbone."));
  EXPECT_EQ(run("export --model run/model --out out --dtype bfloat16").exit_code, 0);
  EXPECT_THAT(run("inspect out").out, HasSubstr("BF16"));
  expect_refused("generate --model run/model --prompt a", "has a vocabulary of 16");
  expect_refused("generate --model run/model --prompt-ids 1,16", "found 16, expected 0 to 15");
  const Result numbers = run("generate --model run/model --prompt-ids 1,2 --tokens 5");
  EXPECT_EQ(numbers.exit_code, 0) << numbers.err;
  EXPECT_THAT(numbers.out, ::testing::MatchesRegex("([0-9]+ ){4}[0-9]+\n"));
  const Result measured = run(
      "eval recall --model run/model --length 128 --sequences 2 --json run/evaluation/recall.json");
  EXPECT_EQ(measured.exit_code, 0) << measured.err;
  const std::string stored = text_of(folder_ / "run/evaluation/recall.json");
  for (const char* name :
       {"model", "recall", "length", "sequences", "seed", "dtype", "program", "device"}) {
    EXPECT_THAT(stored, HasSubstr("\"name\": \"" + std::string(name) + "\""));
  }
  expect_refused("eval perplexity --model run/model --data nowhere --length 8 --sequences 1",
                 "nowhere");
  for (const std::string measure : {"effrem", "states"}) {
    const Result result = run("eval " + measure + " --model run/model --length 127 --sequences 2 " +
                              "--json run/evaluation/" + measure + ".json");
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_FALSE(fs::exists(folder_ / ("run/evaluation/" + measure + ".json.partial")));
  }
  expect_refused("eval effrem --model run/model --length 1 --sequences 1",
                 "--length: must be at least 2, is 1");
  expect_refused("eval states --model run/model --data x --keys 3 --length 8 --sequences 1",
                 "--data is for text");
  const Result report = run("report run --out new/er/report.html");
  EXPECT_EQ(report.exit_code, 0) << report.err;
  EXPECT_THAT(text_of(folder_ / "new/er/report.html"), HasSubstr("<svg"));
}

TEST_F(Program, TakesThreadsFromTheJobsEnvironment) {
  write("run.yaml", kRecall);
  int runs = 0;
  const auto threads = [&](const std::string& environment, const std::string& more) {
    const Result result = run("train run.yaml run.folder=r" + std::to_string(++runs) + " " + more,
                              "env " + environment);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  EXPECT_THAT(threads("OMP_NUM_THREADS=3", "parallel.threads=0"), HasSubstr("3 threads a rank"));
  EXPECT_THAT(threads("OMP_NUM_THREADS=1,2", "parallel.threads=0"), HasSubstr("1 thread a rank"));
  EXPECT_THAT(threads("OMP_NUM_THREADS=3", "parallel.threads=2"), HasSubstr("2 threads a rank"));
}

TEST_F(Program, ARunFolderThatHoldsSomethingElseIsLeftAlone) {
  write("run.yaml", kRecall);
  fs::create_directories(folder_ / "run");
  write("run/thesis.tex", "irreplaceable");
  expect_refused("train run.yaml", "holds no run");
  expect_refused("train run.yaml --dry-run", "holds no run");
  EXPECT_EQ(text_of(folder_ / "run/thesis.tex"), "irreplaceable");
}

TEST_F(Program, ADryRunIsRefusedAsTheRunWouldBe) {
  write("run.yaml", kRecall);
  ASSERT_EQ(run("train run.yaml").exit_code, 0);
  for (const char* dry : {"", " --dry-run"}) {
    expect_refused(std::string("train run.yaml") + dry, "holds checkpoints up to step 3");
    expect_refused(std::string("train run.yaml --resume optimizer.rate=7") + dry,
                   "optimizer.rate: differs from the run that is to be resumed");
  }
  const Result resumed = run("train run.yaml --resume --dry-run");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
}

TEST_F(Program, ARunGoesOnPastItsEndWhereTheRatesStayWhatTheyWere) {
  write("run.yaml", std::string(kRecall) + "initial_state: {source: state_passing}\n");
  const auto train = [&](const std::string& overrides) {
    return run("train run.yaml " + overrides).exit_code;
  };
  const std::string constant = "schedule.kind=constant run.folder=";
  ASSERT_EQ(train(constant + "whole schedule.steps=6"), 0);
  ASSERT_EQ(train(constant + "longer"), 0);
  ASSERT_EQ(train(constant + "longer --resume schedule.steps=6"), 0);
  EXPECT_EQ(text_of(folder_ / "whole/model/model.safetensors"),
            text_of(folder_ / "longer/model/model.safetensors"));
  expect_refused("train run.yaml --resume schedule.steps=5 " + constant + "longer",
                 "schedule.steps: is 5, and 6 are done");

  const std::string wsd = "schedule.kind=wsd schedule.decay_steps=4 run.folder=decays ";
  ASSERT_EQ(train(wsd + "schedule.steps=10 --until 6"), 75);
  ASSERT_EQ(train(wsd + "schedule.steps=12 --until 7 --resume"), 75);
  ASSERT_EQ(train(wsd + "schedule.steps=12 --resume"), 0);
  expect_refused("train run.yaml --resume schedule.steps=20 " + wsd,
                 "with 20 in place of 12 step 9");
  ASSERT_EQ(train("run.folder=cosine"), 0);
  expect_refused("train run.yaml --resume schedule.steps=6 run.folder=cosine",
                 "would have had another learning rate (schedule.kind cosine");
}

TEST_F(Program, FilesThatCannotBeWrittenAreRefusedBeforeTheWork) {
  write("run.yaml", kRecall);
  write("file", "");
  for (const char* dry : {"", " --dry-run"}) {
    expect_refused(std::string("train run.yaml run.folder=file/run") + dry,
                   "run.folder: file/run cannot be written, since ");
    expect_refused(std::string("train run.yaml run.folder=file/run") + dry,
                   "/file: Not a directory");
  }
  ASSERT_EQ(run("train run.yaml").exit_code, 0);
  fs::create_directory(folder_ / "folder");
  expect_refused("report run --out folder", "--out: folder is a folder, expected a file");
}

TEST_F(Program, FilesThatCannotBeReadAreWrongInputByName) {
  fs::create_symlink("loop", folder_ / "loop");  // whoever the user is
  for (const char* command : {"status loop", "report loop --out page.html"}) {
    const Result result = run(command);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("loop"));
    EXPECT_THAT(result.err, HasSubstr("Too many levels of symbolic links"));
    EXPECT_EQ(result.err.find("filesystem error"), std::string::npos) << result.err;
  }
}

TEST_F(Program, StatusShowsTheRunsThatAreThere) {
  write("run.yaml", kRecall);
  ASSERT_EQ(run("train run.yaml").exit_code, 0);
  const Result result = run("status run not_yet");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.out, HasSubstr("done   3/3"));
  EXPECT_THAT(result.err, HasSubstr("not_yet: holds no run.yaml"));
}

TEST_F(Program, TrainSaysWhatItWants) {
  EXPECT_THAT(run("train --keys").out, HasSubstr("schedule.warmup: 50  # "));
  expect_refused("train", "config is required");
  write("run.yaml", kRecall);
  expect_refused("train run.yaml schedule.warmup=50", "is 50 (the default)");
  const Result dry = run("train run.yaml run.device=cuda --dry-run", "CUDA_VISIBLE_DEVICES=");
  EXPECT_EQ(dry.exit_code, 0);
  EXPECT_THAT(dry.err, HasSubstr("run.device: cuda cannot be used here"));
}

TEST_F(Program, TokenizeAndInspect) {
  write("a.txt", "hello");
  write("b.txt", "world!");
  const Result result = run("tokenize --out tokens a.txt b.txt");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("2 documents, 13 tokens from 2 files"));
  EXPECT_THAT(run("inspect tokens").out, HasSubstr("13 tokens in 2 documents"));
}

}  // namespace
}  // namespace longhaul::launch

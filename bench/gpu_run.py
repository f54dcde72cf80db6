"""What bench/gpu.sh runs, in order of worth, within a time limit: tests, losses, ops, training steps, the peers.

The result is one JSON file, rewritten after every part, so that a run that is cut off leaves what it has.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

SOURCES = pathlib.Path(__file__).resolve().parent
SIZES = ["mamba2-130m", "mamba2-370m", "mamba2-780m", "mamba2-1.3b", "mamba2-2.7b"]
# Tests that take seconds each under compute-sanitizer.
QUICK = "*OnDevice*b1_l5_*:*OnDevice*b1_l11_*:FlatOps*:RowOps*"


class Run:
    def __init__(self, options):
        self.bundle, self.file = pathlib.Path(options.bundle), pathlib.Path(options.json)
        self.end = time.monotonic() + 60 * options.minutes
        self.device, self.seconds = options.device, options.op_seconds
        self.result = {"machine": machine(), "parts": [], "left_out": []}

    def left(self):
        return self.end - time.monotonic()

    def part(self, name, command, needs, parse=None, environment=None):
        """Runs one command if `needs` seconds are left; its lines of JSON become the part's rows."""
        if self.left() < needs:
            self.result["left_out"].append(f"{name}: {needs} s needed, {self.left():.0f} s left")
            return self.save()
        print(f"== {name}", flush=True)
        start = time.monotonic()
        try:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                                  timeout=max(self.left(), 1), check=False,
                                  env=os.environ | (environment or {}))
            code, out, err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            code, out, err = None, (late.stdout or b"").decode(errors="replace"), "ran out of time"
        except OSError as failed:
            code, out, err = None, "", str(failed)
        part = {"name": name, "exit_code": code, "seconds": round(time.monotonic() - start, 2)}
        part |= (parse or rows)(out)
        if code != 0:
            part["tail"] = (out[-2000:] + err[-2000:]).splitlines()[-30:]
        self.result["parts"].append(part)
        print(json.dumps({key: part[key] for key in part if key not in ("rows", "tail")}), flush=True)
        self.save()

    def save(self):
        beside = self.file.with_suffix(".part")
        beside.write_text(json.dumps(self.result, indent=1) + "\n")
        beside.replace(self.file)

    def program(self, name):
        return self.bundle / "bin" / name


def machine():
    told = {"host": platform.platform(), "date": time.strftime("%Y-%m-%d"),
            "processors": len(os.sched_getaffinity(0))}
    if shutil.which("nvidia-smi"):
        query = "name,driver_version,memory.total,clocks.max.sm,power.limit"
        smi = subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
                             capture_output=True, text=True, check=False)
        told["gpu"] = smi.stdout.strip()
    for package in ("torch", "triton", "mamba_ssm"):
        if importlib.util.find_spec(package):
            told[package] = True
    return told


def rows(out):
    """JSON objects, one a line or one over several."""
    found, decoder, at = [], json.JSONDecoder(), 0
    while (at := out.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(out, at)
            found.append(value)
        except ValueError:
            at += 1
    return {"rows": found}


def test_counts(out):
    counts = {}
    for line in out.splitlines():
        for mark, name in (("[  PASSED  ]", "passed"), ("[  SKIPPED ]", "skipped"),
                           ("[  FAILED  ]", "failed")):
            if line.startswith(mark) and " test" in line:
                counts[name] = int(line[len(mark):].split()[0])
    return counts


def tests(run):
    required = {"LONGHAUL_REQUIRE_GPU": "1"}
    for folder in ("kernels", "dist", "model", "trainer"):
        run.part(f"tests of {folder}", [run.program(f"{folder}_gpu_tests"), "--gtest_brief=1"], 5,
                 test_counts, required)
    # Several ranks on one device: NCCL takes them for several hosts.
    script = 'NCCL_HOSTID=rank$OMPI_COMM_WORLD_RANK NCCL_SOCKET_IFNAME=lo exec "$0" --gtest_brief=1'
    for ranks in (2, 4):
        run.part(f"NCCL on {ranks} ranks",
                 [run.program("mpirun"), "--allow-run-as-root", "--oversubscribe", "-n", ranks, "bash",
                  "-c", script, run.program("nccl_gpu_tests")], 20, test_counts, required)


def sanitizer(run):
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not pathlib.Path(tool).exists():
        return run.result["left_out"].append("compute-sanitizer: not on this machine")
    for check in ("memcheck", "racecheck"):
        run.part(f"compute-sanitizer {check}",
                 [tool, "--tool", check, "--error-exitcode", 9, "--target-processes", "all",
                  run.program("kernels_gpu_tests"), f"--gtest_filter={QUICK}", "--gtest_brief=1"], 60,
                 test_counts)


def measures(run):
    device = ["--device", run.device]
    dtype = ["--dtype", "bf16" if run.device == "cuda" else "fp32"]
    shape = "mamba2-1.3b" if run.device == "cuda" else "recall"
    for batch, length in ((8, 2048), (1, 65536)) if run.device == "cuda" else ((2, 128),):
        run.part(f"ops at {shape}, {batch} x {length}",
                 [run.program("bench_ops"), "--shape", shape, "--batch", batch, "--length", length,
                  "--seconds", run.seconds, *device, *dtype], 30)
    sizes = SIZES if run.device == "cuda" else ["recall"]
    for size in sizes:
        sequences = {"mamba2-130m": 32, "mamba2-370m": 16, "recall": 8}.get(size, 8)
        run.part(f"training step of {size}",
                 [run.program("bench_train_step"), "--shape", size, "--sequences", sequences,
                  "--steps", 4, *device, *dtype,
                  *(["--recompute"] if size in ("mamba2-1.3b", "mamba2-2.7b") else [])], 30)
    # Where starting kernels is what takes the time: few tokens. With and without a recording.
    for graphs in ([], ["--cuda-graphs"]) if run.device == "cuda" else ():
        run.part(f"training step of mamba2-130m, 1 x 2048{', recorded' if graphs else ''}",
                 [run.program("bench_train_step"), "--shape", "mamba2-130m", "--sequences", 1, "--steps", 8,
                  *device, *dtype, *graphs], 20)


def agreement(run):
    run.part("loss in bf16 against the CPU's in fp32, 200 steps",
             [sys.executable, SOURCES / "loss_agreement.py", run.program("longhaul"), "--device", run.device,
              "--steps", 200 if run.device == "cuda" else 20], 40)


def peer(run):
    if run.device != "cuda" or not importlib.util.find_spec("mamba_ssm"):
        return run.result["left_out"].append("mamba_ssm: not on this machine")
    side = [sys.executable, SOURCES / "mamba_ssm_side.py"]
    for batch, length in ((8, 2048), (1, 65536)):
        run.part(f"mamba_ssm's SSD at mamba2-1.3b, {batch} x {length}",
                 [*side, "ssd", "--batch", batch, "--length", length], 40)
    for size, sequences in (("mamba2-130m", 32), ("mamba2-1.3b", 8)):
        run.part(f"mamba_ssm's training step of {size}",
                 [*side, "step", "--shape", size, "--batch", sequences, "--length", 2048], 60)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--op-seconds", type=float, default=0.1)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"],
                        help="cpu: tiny shapes, to try this program itself")
    run = Run(parser.parse_args())
    if not run.program("run").exists():
        sys.exit(f"gpu_run.py: {run.bundle} is no bundle of launch/bundle.sh")
    if run.device == "cuda":
        tests(run)
    agreement(run)
    measures(run)
    peer(run)
    if run.device == "cuda":
        sanitizer(run)
    run.save()
    failed = [part["name"] for part in run.result["parts"] if part["exit_code"] != 0]
    print(f"{run.file}: {len(run.result['parts'])} parts, failed: {', '.join(failed) or 'none'}; "
          f"left out: {'; '.join(run.result['left_out']) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What bench/gpu.sh runs, in order of worth, within a time limit: tests, losses, ops, training steps, the peers.

The result is one JSON file, rewritten after every part, so that a run that is cut off leaves what it has.
"""

import argparse
import concurrent.futures
import functools
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import threading
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
        self.lock = threading.RLock()

    def left(self):
        return self.end - time.monotonic()

    def part(self, name, command, needs, parse=None, environment=None, limit=None):
        """Runs one command if `needs` seconds are left; its lines of JSON become the part's rows.

        It is ended after `limit` seconds, four times what it needs if not given.
        """
        if self.left() < needs:
            with self.lock:
                self.result["left_out"].append(f"{name}: {needs} s needed, {self.left():.0f} s left")
                return self.save()
        print(f"== {name}", flush=True)
        start = time.monotonic()
        try:
            code, out, err = ended([str(word) for word in command], max(min(self.left(), limit or 4 * needs), 1),
                                   os.environ | (environment or {}))
        except OSError as failed:
            code, out, err = None, "", str(failed)
        part = {"name": name, "exit_code": code, "seconds": round(time.monotonic() - start, 2)}
        part |= (parse or rows)(out)
        if code != 0:
            part["tail"] = (out[-2000:] + err[-2000:]).splitlines()[-30:]
        with self.lock:
            self.result["parts"].append(part)
            print(json.dumps({key: part[key] for key in part if key not in ("rows", "tail")}), flush=True)
            self.save()

    def beside_each_other(self, *parts):
        """Parts that measure nothing. Each is a function that runs one."""
        with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
            for done in [pool.submit(part) for part in parts]:
                done.result()

    def save(self):
        beside = self.file.with_suffix(".part")
        beside.write_text(json.dumps(self.result, indent=1) + "\n")
        beside.replace(self.file)

    def program(self, name):
        return self.bundle / "bin" / name


def ended(command, limit, environment):
    """Exit code (None: ran out of time), output and errors of a program of which nothing is left running."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                          start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=limit)
            return process.returncode, out, err
        except subprocess.TimeoutExpired:
            process.terminate()  # mpirun ends its ranks, which are in process groups of their own
        try:
            out, _ = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
        return None, out, "ran out of time"


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
    """What needs no quiet machine: the tests, and the losses of the CPU and the device."""
    required = {"LONGHAUL_REQUIRE_GPU": "1"}

    def programs(folder):
        run.part(f"tests of {folder}", [run.program(f"{folder}_gpu_tests"), "--gtest_brief=1"], 20,
                 test_counts, required)

    def nccl(ranks):
        # Several ranks on one device: the program lets NCCL take them for several hosts.
        run.part(f"NCCL on {ranks} ranks",
                 [run.program("mpirun"), "--allow-run-as-root", "--oversubscribe", "-n", ranks,
                  run.program("nccl_gpu_tests"), "--gtest_brief=1"], 30, test_counts, required)

    folders = [functools.partial(programs, folder) for folder in ("kernels", "dist", "model", "trainer")]
    run.beside_each_other(*folders, functools.partial(agreement, run))
    for ranks in (2, 4):
        nccl(ranks)


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
    on_gpu = run.device == "cuda"
    device = ["--device", run.device]
    dtype = ["--dtype", "bf16" if on_gpu else "fp32"]
    shape = "mamba2-1.3b" if on_gpu else "recall"
    # The peer's own chunk is 256 tokens.
    for batch, length, chunk in ((8, 2048, 128), (8, 2048, 256), (1, 65536, 128)) if on_gpu else ((2, 128, 64),):
        run.part(f"ops at {shape}, {batch} x {length}, chunks of {chunk}",
                 [run.program("bench_ops"), "--shape", shape, "--batch", batch, "--length", length,
                  "--chunk", chunk, "--seconds", run.seconds, *device, *dtype,
                  *(["--only", "ssd"] if chunk == 256 else [])], 15)
    sizes = SIZES if on_gpu else ["recall"]
    for size in sizes:
        sequences = {"mamba2-130m": 16, "mamba2-370m": 16, "recall": 8}.get(size, 8)
        run.part(f"training step of {size}",
                 [run.program("bench_train_step"), "--shape", size, "--sequences", sequences,
                  "--steps", 4, *device, *dtype, *(["--chunk", 128] if on_gpu else []),
                  *(["--recompute"] if size == "mamba2-2.7b" else [])], 20)
    # Where starting kernels is what takes the time: few tokens. With and without a recording.
    for graphs in ([], ["--cuda-graphs"]) if on_gpu else ():
        run.part(f"training step of mamba2-130m, 1 x 2048{', recorded' if graphs else ''}",
                 [run.program("bench_train_step"), "--shape", "mamba2-130m", "--sequences", 1, "--steps", 8,
                  "--chunk", 128, *device, *dtype, *graphs], 15)


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
    for size, sequences in (("mamba2-130m", 16), ("mamba2-1.3b", 8)):  # 32 of the small one: beyond 80 GB there
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
    else:
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

"""What bench/gpu.sh runs, in order of worth, within a time limit.

The tests of the kernels come first: where they fail nothing is measured. Then what the targets are about (ops and the
step of mamba2-1.3b, mamba_ssm's beside them), the rest of the measurements, and at last the other tests, NCCL and
compute-sanitizer. The result is one JSON file, rewritten after every part, so that a run that is cut off leaves what it
has. With --only, parts are added to what the file holds; they take the place of those of their name.
"""

import argparse
import concurrent.futures
import functools
import importlib.util
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

SOURCES = pathlib.Path(__file__).resolve().parent
# Tests that take seconds each under compute-sanitizer: the SSD by rows in bf16, with one head a block of threads and with
# several, and the selective scan; and, for memcheck, the SSD by tiles, and the other ops.
SHARING = "*OnDevice*b2_l15_*:*OnDevice*b1_l36_*:*OnDevice*b1_l128_h40*:*ScanOnDevice*b2_l65_*:*ScanOnDevice*b2_l9_*"
QUICK = SHARING + ":*OnDevice*b1_l11_*:FlatOps*:RowOps*"
# Teams of OpenMP threads that spin while they wait take the processors from each other, by a factor of ten.
PASSIVE = {"OMP_WAIT_POLICY": "passive"}


class Run:
    def __init__(self, options):
        self.bundle, self.file = pathlib.Path(options.bundle), pathlib.Path(options.json)
        self.end = time.monotonic() + 60 * options.minutes
        self.device, self.seconds = options.device, options.op_seconds
        self.only = re.compile(options.only)
        earlier = json.loads(self.file.read_text()) if options.only and self.file.exists() else {}
        self.result = {"machine": machine(), "parts": earlier.get("parts", []), "left_out": []}
        self.ran = []
        self.lock = threading.RLock()

    def left(self):
        return self.end - time.monotonic()

    def part(self, name, command, needs, parse=None, environment=None, limit=None):
        """Runs one command if `needs` seconds are left; its lines of JSON become the part's rows. True if it succeeded.

        It is ended after `limit` seconds, four times what it needs if not given.
        """
        if not self.only.search(name):
            return True
        if self.left() < needs:
            with self.lock:
                self.result["left_out"].append(f"{name}: {needs} s needed, {self.left():.0f} s left")
                self.save()
                return True
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
            self.result["parts"] = [each for each in self.result["parts"] if each["name"] != name] + [part]
            self.ran.append(part)
            print(json.dumps({key: part[key] for key in part if key not in ("rows", "tail")}), flush=True)
            self.save()
        return code == 0

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


def kernel_tests(run):
    """False where a kernel is wrong: its time would say nothing."""
    return run.part("tests of kernels", [run.program("kernels_gpu_tests"), "--gtest_brief=1"], 20, test_counts,
                    {"LONGHAUL_REQUIRE_GPU": "1"} | PASSIVE)


def other_tests(run):
    """What needs no quiet machine: the other tests, and the losses of the CPU and the device."""
    required = {"LONGHAUL_REQUIRE_GPU": "1"} | PASSIVE

    def programs(folder):
        run.part(f"tests of {folder}", [run.program(f"{folder}_gpu_tests"), "--gtest_brief=1"], 20,
                 test_counts, required)

    folders = [functools.partial(programs, folder) for folder in ("dist", "model", "eval", "trainer")]
    run.beside_each_other(*folders, functools.partial(agreement, run))


def nccl(run):
    for ranks in (2, 4):
        # Several ranks on one device: the program lets NCCL take them for several hosts.
        run.part(f"NCCL on {ranks} ranks",
                 [run.program("mpirun"), "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", ranks,
                  run.program("nccl_gpu_tests"), "--gtest_brief=1"], 20, test_counts,
                 {"LONGHAUL_REQUIRE_GPU": "1"} | PASSIVE, limit=45)


def sanitizer(run):
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not pathlib.Path(tool).exists():
        return run.result["left_out"].append("compute-sanitizer: not on this machine")
    for check, chosen in (("racecheck", SHARING), ("memcheck", QUICK)):
        run.part(f"compute-sanitizer {check}",
                 [tool, "--tool", check, "--error-exitcode", 9, "--target-processes", "all",
                  run.program("kernels_gpu_tests"), f"--gtest_filter={chosen}", "--gtest_brief=1"], 60,
                 test_counts)


OP_SHAPES = ((8, 2048, 128), (8, 2048, 256), (1, 65536, 128))  # batch, length, chunk: the peer's own is 256


def ops(run, batch, length, chunk):
    on_gpu = run.device == "cuda"
    shape = "mamba2-1.3b" if on_gpu else "recall"
    run.part(f"ops at {shape}, {batch} x {length}, chunks of {chunk}",
             [run.program("bench_ops"), "--shape", shape, "--batch", batch, "--length", length, "--chunk", chunk,
              "--seconds", run.seconds, "--device", run.device, "--dtype", "bf16" if on_gpu else "fp32",
              *(["--only", "ssd"] if chunk == 256 else [])], 15)


def step(run, size, sequences, *options):
    on_gpu = run.device == "cuda"
    told = "".join({"--cuda-graphs": ", recorded", "--recompute": ", recomputed"}.get(option, "") for option in options)
    run.part(f"training step of {size}, {sequences} sequences{told}",
             [run.program("bench_train_step"), "--shape", size, "--sequences", sequences, "--steps", 4,
              "--device", run.device, "--dtype", "bf16" if on_gpu else "fp32", *(["--chunk", 128] if on_gpu else []),
              *options], 20)


def evaluation(run):
    on_gpu = run.device == "cuda"
    run.part("evaluation against the forward pass" + (" of mamba2-130m" if on_gpu else ""),
             [run.program("bench_evaluation"), "--device", run.device,
              *(["--shape", "mamba2-130m", "--dtype", "bf16", "--length", 8192, "--repeats", 2] if on_gpu else
                ["--shape", "recall", "--length", 512, "--sequences", 2, "--batch", 2, "--repeats", 1])], 20, limit=30)


def peer_is_here(run):
    here = run.device == "cuda" and importlib.util.find_spec("mamba_ssm") is not None
    if not here and run.device == "cuda":
        run.result["left_out"].append("mamba_ssm: Python does not find it (bench/README.md, GPU)")
    return here


def peer_ssd(run, batch, length):
    run.part(f"mamba_ssm's SSD at mamba2-1.3b, {batch} x {length}",
             [sys.executable, SOURCES / "mamba_ssm_side.py", "ssd", "--batch", batch, "--length", length], 40)


def peer_step(run, size, sequences):
    run.part(f"mamba_ssm's training step of {size}",
             [sys.executable, SOURCES / "mamba_ssm_side.py", "step", "--shape", size, "--batch", sequences,
              "--length", 2048], 60)


def on_gpu(run):
    has_peer = peer_is_here(run)
    if not kernel_tests(run):
        return
    ops(run, *OP_SHAPES[0])
    step(run, "mamba2-1.3b", 8)
    if has_peer:
        peer_ssd(run, 8, 2048)
        peer_step(run, "mamba2-1.3b", 8)
    for shape in OP_SHAPES[1:]:
        ops(run, *shape)
    # What a step does once, whatever its tokens, weighs half as much.
    step(run, "mamba2-1.3b", 16)
    step(run, "mamba2-130m", 16)
    if has_peer:
        peer_ssd(run, 1, 65536)
        peer_step(run, "mamba2-130m", 16)  # 32 of the small one: beyond 80 GB there
    step(run, "mamba2-370m", 16)
    step(run, "mamba2-780m", 8)
    step(run, "mamba2-2.7b", 8, "--recompute")
    step(run, "mamba1-1.4b", 8)
    # Where starting kernels is what takes the time: few tokens. With and without a recording.
    step(run, "mamba2-130m", 1)
    step(run, "mamba2-130m", 1, "--cuda-graphs")
    evaluation(run)
    other_tests(run)
    nccl(run)
    sanitizer(run)


def on_cpu(run):
    agreement(run)
    ops(run, 2, 128, 64)
    step(run, "recall", 8)
    evaluation(run)


def agreement(run):
    run.part("loss in bf16 against the CPU's in fp32, 200 steps",
             [sys.executable, SOURCES / "loss_agreement.py", run.program("longhaul"), "--device", run.device,
              "--steps", 200 if run.device == "cuda" else 20], 40, environment=PASSIVE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--only", default="", metavar="REGEX",
                        help="parts of these names, added to what the JSON holds")
    parser.add_argument("--op-seconds", type=float, default=0.1)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"],
                        help="cpu: tiny shapes, to try this program itself")
    run = Run(parser.parse_args())
    if not run.program("run").exists():
        sys.exit(f"gpu_run.py: {run.bundle} is no bundle of launch/bundle.sh")
    on_gpu(run) if run.device == "cuda" else on_cpu(run)
    run.save()
    failed = [part["name"] for part in run.ran if part["exit_code"] != 0]
    print(f"{run.file}: {len(run.ran)} parts, failed: {', '.join(failed) or 'none'}; "
          f"left out: {'; '.join(run.result['left_out']) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

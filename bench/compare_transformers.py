"""Training speed and memory of longhaul against transformers' Mamba-2 and Mamba on the CPU.

The same weights, batch, threads, precision (fp32) and optimizer in both programs, by turns in one
run; the losses of every step must agree. bench/compare_transformers builds and starts this.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parent
END_OF_DOCUMENT = 256  # of longhaul's byte tokenizer
QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}

# As all released models.
MAMBA2 = {"model_type": "mamba2", "head_dim": 64, "state_size": 128, "n_groups": 1,
          "tie_word_embeddings": True, "initializer_range": 0.02}
MAMBA1 = {"model_type": "mamba", "state_size": 16, "initializer_range": 0.02}
SMALL = {"vocab_size": 4096, "hidden_size": 256, "num_hidden_layers": 4}
SHAPES = {
    "small": MAMBA2 | SMALL | {"num_heads": 8},
    "130m": MAMBA2 | {"vocab_size": 50288, "hidden_size": 768, "num_hidden_layers": 24,
                      "num_heads": 24},
    "mamba1-small": MAMBA1 | SMALL,
    "mamba1-130m": MAMBA1 | {"vocab_size": 50280, "hidden_size": 768, "num_hidden_layers": 24},
}


def run_to_end(command, threads, **options):
    """The process's peak of resident memory, in bytes. To Linux that includes what the process that
    starts it holds, so this one must not import torch."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen(list(map(str, command)), env=environment, **options) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"compare_transformers: {command[0]}: exit code {process.returncode}")
    return usage.ru_maxrss * 1024


class Comparison:
    """Both programs on one shape, in a scratch folder."""

    def __init__(self, folder, shape, options):
        self.folder, self.options = folder, options
        self.tokens_per_step = options.length * options.sequences
        self.side = [sys.executable, SOURCES / "transformers_side.py", "--model", folder / "model"]
        config = SHAPES[shape] | {"chunk_size": options.chunk}
        subprocess.run([*self.side, "make", "--config", json.dumps(config)], check=True)
        # A document of `length` bytes and its end are one window: every step has the same batch.
        letters = random.Random(0).choices(range(32, 127), k=options.length)
        (folder / "text").write_bytes(bytes(letters))
        rows = [[*letters, END_OF_DOCUMENT]] * options.sequences
        (folder / "tokens.json").write_text(json.dumps(rows))
        subprocess.run([options.program, "tokenize", "--tokenizer", "byte", "--out",
                        folder / "tokens", folder / "text"], check=True, stdout=subprocess.DEVNULL)

    def longhaul(self):
        """Losses and seconds of each step, peak memory."""
        run, o = self.folder / "run", self.options
        command = [o.program, "train", self.folder / "run.yaml"]
        (self.folder / "run.yaml").write_text(json.dumps({
            "model": {"from": str(self.folder / "model")},
            "data": {"folder": str(self.folder / "tokens"), "length": o.length,
                     "sequences": o.sequences},
            "optimizer": {"rate": o.rate, "decay": 0.1, "clip": 1.0},
            "schedule": {"kind": "constant", "steps": o.steps, "warmup": 0},
            "parallel": {"threads": o.threads},
            "run": {"folder": str(run), "device": "cpu"},
        }))
        peak = run_to_end(command, o.threads, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        steps = [record for record in records if record["kind"] == "train"]
        subprocess.run(["rm", "-r", run], check=True)
        return {"losses": [step["loss"] for step in steps], "peak_bytes": peak,
                "seconds": [self.tokens_per_step / step["tokens_per_second"] for step in steps]}

    def transformers(self):
        """The same of transformers."""
        o = self.options
        command = [*self.side, "train", "--tokens", self.folder / "tokens.json",
                   "--steps", o.steps, "--rate", o.rate, "--threads", o.threads]
        with open(self.folder / "out.jsonl", "w") as out:
            peak = run_to_end(command, o.threads, stdout=out)
        steps = [json.loads(line) for line in (self.folder / "out.jsonl").read_text().splitlines()]
        return {"losses": [step["loss"] for step in steps], "peak_bytes": peak,
                "seconds": [step["seconds"] for step in steps]}

    def measure(self):
        rounds = [(self.longhaul(), self.transformers()) for _ in range(self.options.rounds)]
        disagreement = max(abs(ours - theirs) / theirs for a, b in rounds
                           for ours, theirs in zip(a["losses"], b["losses"], strict=True))
        if not disagreement <= 1e-4:
            sys.exit(f"compare_transformers: losses differ by {disagreement:.1e} (relative), "
                     f"expected 1e-4 at most: {rounds}")
        ours, theirs = (self.summary(side) for side in zip(*rounds))
        return {"longhaul": ours, "transformers": theirs, "losses": rounds[0][0]["losses"],
                "largest_disagreement_of_losses": disagreement,
                "speed_ratio": ours["tokens_per_second"] / theirs["tokens_per_second"],
                "memory_ratio": theirs["peak_bytes"] / ours["peak_bytes"]}

    def summary(self, rounds):
        timed = [s for one in rounds for s in one["seconds"][self.options.warmup:]]
        return {"tokens_per_second": self.tokens_per_step / statistics.median(timed),
                "fastest_tokens_per_second": self.tokens_per_step / min(timed),
                "peak_bytes": max(one["peak_bytes"] for one in rounds)}


def machine():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")]
    return {"processor": models[0] if models else platform.machine(),
            "processors": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "load_at_start": os.getloadavg()[0],
            "system": platform.platform(),
            "torch": importlib.metadata.version("torch"),
            "transformers": importlib.metadata.version("transformers")}


def parse_options():
    parser = argparse.ArgumentParser(prog="bench/compare_transformers", description=__doc__)
    parser.add_argument("--program", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["small", "130m"])
    parser.add_argument("--length", type=int, default=2048, help="tokens of a sequence")
    parser.add_argument("--sequences", type=int, default=1, help="of the batch")
    parser.add_argument("--chunk", type=int, default=256, help="chunk_size of a Mamba-2")
    parser.add_argument("--steps", type=int, default=5, help="of each round, the warm-up's too")
    parser.add_argument("--warmup", type=int, default=1, help="steps that are not timed")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each program")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=pathlib.Path, help="also write the results to this file")
    options = parser.parse_args()
    if not 0 <= options.warmup < options.steps:
        parser.error(f"--warmup: found {options.warmup}, expected 0 to {options.steps - 1}")
    return options


def main():
    options = parse_options()
    os.environ |= QUIET
    result = {"bench": "compare_transformers", "date": datetime.date.today().isoformat(),
              "settings": {name: value for name, value in vars(options).items()
                           if name not in ("program", "json")},
              "machine": machine(), "shapes": {}}
    print(f"{'shape':8}{'longhaul':>16}{'transformers':>16}{'ratio':>8}"
          f"{'longhaul':>14}{'transformers':>14}{'ratio':>8}")
    for shape in options.shapes:
        with tempfile.TemporaryDirectory() as folder:
            one = Comparison(pathlib.Path(folder), shape, options).measure()
        result["shapes"][shape] = one
        ours, theirs = one["longhaul"], one["transformers"]
        print(f"{shape:8}{ours['tokens_per_second']:10.0f} tok/s{theirs['tokens_per_second']:10.0f}"
              f" tok/s{one['speed_ratio']:7.2f}×{ours['peak_bytes'] / 1e6:11.0f} MB"
              f"{theirs['peak_bytes'] / 1e6:11.0f} MB{one['memory_ratio']:7.2f}×", flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Trains one small model twice, on the CPU in fp32 and on a device in bf16, and compares the losses.

loss_agreement.py LONGHAUL [--device cuda] [--steps 200] [--tolerance 0.01]
Prints one JSON object; exit code 1 where the mean loss of any twenty steps differs by more than the tolerance. With
--device cpu the second run is one in fp64, to try this program itself.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

WINDOW = 20
RUN = """
model:
  shape: {vocabulary: 0, width: 64, layers: 2, heads: 2, head_dim: 64, state_dim: 128, chunk: 64}
data: {kind: recall, length: 64, sequences: 32, recall: {keys: 24, values: 8, reach: 7}}
initial_state: {source: state_passing}
optimizer: {rate: 1e-3}
schedule: {kind: cosine, warmup: 10}
run: {seed: 7, log_every: 1000}
"""


def losses(program, folder, name, steps, settings):
    """Of every step, and the seconds that the run took."""
    start = time.monotonic()
    done = subprocess.run([program, "train", folder / "run.yaml", f"run.folder={folder / name}",
                           f"schedule.steps={steps}", *settings], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"loss_agreement.py: {name} ended with {done.returncode}: {done.stderr[-1000:]}")
    records = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
    found = [record["loss"] for record in records if record.get("kind") == "train"]
    if len(found) != steps:
        sys.exit(f"loss_agreement.py: {name} recorded {len(found)} losses, expected {steps}")
    return found, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--tolerance", type=float, default=0.01)
    options = parser.parse_args()
    other = ["run.device=cuda", "run.dtype=bf16"] if options.device == "cuda" else ["run.device=cpu", "run.dtype=fp64"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "run.yaml").write_text(RUN)
        first, first_seconds = losses(options.program, folder, "fp32", options.steps, ["run.device=cpu"])
        second, second_seconds = losses(options.program, folder, "other", options.steps, other)
    worst = 0.0
    for begin in range(0, options.steps, WINDOW):
        here, there = sum(first[begin:begin + WINDOW]), sum(second[begin:begin + WINDOW])
        worst = max(worst, abs(there / here - 1))
    print(json.dumps({"bench": "loss_agreement", "steps": options.steps, "settings": other,
                      "loss_at_end": [first[-1], second[-1]], "largest_difference": worst,
                      "seconds": [round(first_seconds, 2), round(second_seconds, 2)]}))
    return 0 if worst <= options.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())

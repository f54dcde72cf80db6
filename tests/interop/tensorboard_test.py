"""The real TensorBoard reads a run's event files and finds every scalar of metrics.jsonl."""

import json
import re
import signal
import subprocess
import time

import numpy
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

RUN = """
model: {shape: {vocabulary: 0, width: 32, layers: 2, heads: 2, head_dim: 32, state_dim: 16, chunk: 16}}
data: {kind: recall, length: 64, sequences: 16, recall: {keys: 24, values: 8, reach: 7}}
initial_state: {source: state_passing}
schedule: {steps: 60, warmup: 5}
checkpoint: {every: 7}
evaluation: {every: 10, sequences: 2}
run: {folder: FOLDER}
"""


def scalars_of_records(run):
    """tag → [(step, value)] from metrics.jsonl; events show numbers as float32."""
    scalars = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        numbers = {name: value for name, value in record.items()
                   if name not in ("kind", "step", "tokens", "text", "more")}
        numbers |= {more["name"]: more.get("value", 0) for more in record.get("more", [])}
        for name, value in numbers.items():
            point = int(record["step"]), numpy.float32(float(value)).item()
            scalars.setdefault(f"{record['kind']}/{name}", []).append(point)
    return scalars


def scalars_of_events(run):
    """The same from TensorBoard; guidance 0 keeps every point."""
    accumulator = EventAccumulator(str(run), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
            for tag in accumulator.Tags()["scalars"]}


def wait_for_record(run, text):
    file = run / "metrics.jsonl"
    for _ in range(600):
        if file.exists() and text in file.read_text():
            return
        time.sleep(0.1)
    pytest.fail(f"no {text} in {file}")


def test_every_scalar_is_there(longhaul, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "run.yaml").write_text(RUN.replace("FOLDER", str(run)))
    longhaul.run("train", tmp_path / "run.yaml")
    found = scalars_of_events(run)
    assert [step for step, _ in found["train/loss"]] == list(range(1, 61))
    assert len(found["evaluation/loss"]) >= 6
    assert {"train/gradient_norm", "train/rate", "train/tokens_per_second"} <= found.keys()
    assert found == scalars_of_records(run)


def test_a_resumed_run_shows_every_step_once(longhaul, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "run.yaml").write_text(RUN.replace("FOLDER", str(run)))
    command = [longhaul.path, "train", tmp_path / "run.yaml", "schedule.steps=2000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        # Killed with records after its last checkpoint, which the resumed run writes again.
        wait_for_record(run, '"step":"18"')
        process.send_signal(signal.SIGKILL)
    # A fast run was further than that when it was killed.
    killed_at = max(int(step) for step in re.findall(r'"step":"(\d+)"', (run / "metrics.jsonl").read_text()))
    with subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL) as process:
        wait_for_record(run, f'"step":"{killed_at + 30}"')
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 75
    assert len(list(run.glob("events.out.tfevents.*"))) == 2
    found = scalars_of_events(run)
    steps = [step for step, _ in found["train/loss"]]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= killed_at + 30
    assert found == scalars_of_records(run)

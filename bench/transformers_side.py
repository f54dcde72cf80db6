"""What transformers does in the comparison; compare_transformers.py starts it in processes of its own.

make: writes a folder with random weights.
train: trains it on one batch and prints a JSON line a step, {"loss", "seconds"}. A step is as
longhaul's: forward, backward, clipping to norm 1, AdamW without decay on norms, biases, A_log, D and
dt_bias; in the fastest spelling that torch has for the CPU.
"""

import argparse
import json
import pathlib
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def make(arguments):
    torch.manual_seed(0)
    config = AutoConfig.for_model(**json.loads(arguments.config))
    AutoModelForCausalLM.from_config(config).save_pretrained(arguments.model)


def optimizer_of(model, rate):
    exempt = ("A_log", "dt_bias", ".D", "bias", "norm.weight", "norm_f.weight")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if not name.endswith(exempt)], "weight_decay": 0.1},
        {"params": [p for name, p in named if name.endswith(exempt)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


def train(arguments):
    torch.set_num_threads(arguments.threads)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).train()
    optimizer = optimizer_of(model, arguments.rate)
    tokens = torch.tensor(json.loads(arguments.tokens.read_text()))
    for _ in range(arguments.steps):
        start = time.perf_counter()
        loss = model(tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.perf_counter() - start
        print(json.dumps({"loss": loss.item(), "seconds": seconds}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("--config", required=True, help="JSON")
    making.set_defaults(run=make)
    training = commands.add_parser("train")
    training.add_argument("--tokens", required=True, type=pathlib.Path, help="JSON, rows of numbers")
    training.add_argument("--steps", required=True, type=int)
    training.add_argument("--rate", required=True, type=float)
    training.add_argument("--threads", required=True, type=int)
    training.set_defaults(run=train)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()

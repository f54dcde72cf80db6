"""Trains a model folder with transformers on one batch: a JSON line a step, {"loss", "seconds"}.

The other half of compare_transformers.py, a process of its own so that its memory is its own. The
step is as longhaul's: forward, backward, clipping to norm 1, AdamW without decay on norms, biases,
A_log, D and dt_bias; in its fastest spelling that torch has for the CPU.
"""

import argparse
import json
import pathlib
import time

import torch
from transformers import Mamba2ForCausalLM


def optimizer_of(model, rate):
    exempt = ("A_log", "dt_bias", ".D", "bias", "norm.weight", "norm_f.weight")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if not name.endswith(exempt)], "weight_decay": 0.1},
        {"params": [p for name, p in named if name.endswith(exempt)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", required=True, type=pathlib.Path, help="JSON list, rows")
    parser.add_argument("--steps", required=True, type=int)
    parser.add_argument("--rate", required=True, type=float)
    parser.add_argument("--threads", required=True, type=int)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    model = Mamba2ForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).train()
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


if __name__ == "__main__":
    main()

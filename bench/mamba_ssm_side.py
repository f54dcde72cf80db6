"""mamba_ssm on a GPU: its SSD forward and backward, and a training step of its blocks, as JSON.

Only modules that are Python and Triton are imported, so that an unpacked source is enough: of the
compiled extensions causal_conv1d is used where it is there and compiled (with it the block's fused
path), else PyTorch's convolution. An unpacked but uncompiled source of it must not be in the path.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import sys
import time
import types

import torch

SIZES = {"mamba2-130m": (768, 24), "mamba2-370m": (1024, 48), "mamba2-780m": (1536, 48),
         "mamba2-1.3b": (2048, 48), "mamba2-2.7b": (2560, 64)}
VOCABULARY, STATE, HEAD_DIM = 50288, 128, 64


def open_package():
    """The package without what its __init__ imports, which needs compiled extensions."""
    spec = importlib.machinery.PathFinder.find_spec("mamba_ssm")
    if spec is None:
        sys.exit("mamba_ssm_side.py: mamba_ssm is not installed")
    package = types.ModuleType("mamba_ssm")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["mamba_ssm"] = package


def seconds_of(body, seconds=0.3, rounds=5):
    """As bench_ops measures: calls in rounds, the fastest round counts."""
    for _ in range(3):
        body()  # Triton compiles and tunes
    torch.cuda.synchronize()
    start = time.perf_counter()
    body()
    torch.cuda.synchronize()
    best = time.perf_counter() - start
    calls = max(1, int(seconds / rounds / best))
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            body()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def normal(*shape, scale=1.0, mean=0.0, dtype=torch.bfloat16):
    value = torch.randn(*shape, device="cuda", dtype=torch.float32) * scale + mean
    return value.to(dtype).requires_grad_()


def ssd(options):
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined
    heads = SIZES[options.shape][0] // 32
    size = (options.batch, options.length)
    x, B, C = normal(*size, heads, HEAD_DIM), normal(*size, 1, STATE), normal(*size, 1, STATE)
    dt = normal(*size, heads, scale=0.01, mean=0.05, dtype=torch.float32)
    A = (-torch.exp(torch.randn(heads, device="cuda"))).requires_grad_()
    D = normal(heads, dtype=torch.float32)
    initial = normal(options.batch, heads, HEAD_DIM, STATE, dtype=torch.float32)

    def forward():
        return mamba_chunk_scan_combined(x, dt, A, B, C, options.chunk, D=D, initial_states=initial,
                                         return_final_states=True)

    y, final = forward()
    dy, dfinal = torch.randn_like(y), torch.randn_like(final)
    inputs = [x, dt, A, B, C, D, initial]

    def both():
        torch.autograd.grad(forward(), inputs, [dy, dfinal])

    with torch.no_grad():
        only_forward = seconds_of(forward)
    return {"forward_milliseconds": 1e3 * only_forward,
            "forward_backward_milliseconds": 1e3 * seconds_of(both)}


def make_model(width, layers, fused):
    from mamba_ssm.modules.block import Block
    from mamba_ssm.modules.mamba2 import Mamba2
    from mamba_ssm.ops.triton.layer_norm import RMSNorm, layer_norm_fn

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(VOCABULARY, width)
            torch.nn.init.normal_(self.embedding.weight, std=0.02)
            self.blocks = torch.nn.ModuleList(
                Block(width, lambda dim: Mamba2(dim, d_state=STATE, headdim=HEAD_DIM,
                                                use_mem_eff_path=fused),
                      torch.nn.Identity, norm_cls=RMSNorm, fused_add_norm=True,
                      residual_in_fp32=True) for _ in range(layers))
            self.norm = RMSNorm(width)

        def forward(self, tokens):
            hidden, residual = self.embedding(tokens), None
            for block in self.blocks:
                hidden, residual = block(hidden, residual)
            hidden = layer_norm_fn(hidden, self.norm.weight, None, eps=self.norm.eps,
                                   residual=residual, prenorm=False, residual_in_fp32=True,
                                   is_rms_norm=True)
            return torch.nn.functional.linear(hidden, self.embedding.weight)

    return Model().cuda()


def step(options):
    fused = importlib.util.find_spec("causal_conv1d_cuda") is not None
    width, layers = SIZES[options.shape]
    model = make_model(width, layers, fused)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(VOCABULARY, (options.batch, options.length), device="cuda")

    def train():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            logits = model(tokens)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    took = seconds_of(train, seconds=4)
    return {"milliseconds": 1e3 * took, "fused_convolution": fused,
            "tokens_per_second": options.batch * options.length / took,
            "peak_bytes": torch.cuda.max_memory_allocated()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["ssd", "step"])
    parser.add_argument("--shape", choices=SIZES, default="mamba2-1.3b")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--chunk", type=int, default=256)
    options = parser.parse_args()
    open_package()
    torch.manual_seed(1)
    measured = {"ssd": ssd, "step": step}[options.what](options)
    print(json.dumps({"bench": f"mamba_ssm {options.what}", **vars(options), **measured,
                      "torch": torch.__version__, "gpu": torch.cuda.get_device_name()}))


if __name__ == "__main__":
    main()

"""Mamba and Mamba-2 language models as the plain recurrences they are: one token after another, in
torch float64.

Written from the formulas alone: no chunks, no cumulative sums, nothing in common with longhaul or
transformers but the names of weights and configuration keys. Gradients are torch's autograd.
"""

import torch
from torch.nn.functional import linear, silu, softplus


def rms_norm(x, weight, epsilon, groups=1):
    parts = x.unflatten(-1, (groups, -1))
    scale = torch.rsqrt(parts.square().mean(-1, keepdim=True) + epsilon)
    return (parts * scale).flatten(-2) * weight


class Recurrence:
    """What the two have in common; a mixer is a subclass's."""

    def __init__(self, config, weights):
        """`weights`: name → float64 tensor, names as transformers has them."""
        self.config = config
        self.weights = weights

    def weight(self, name, layer=None):
        prefix = "backbone." if layer is None else f"backbone.layers.{layer}."
        return self.weights.get(prefix + name)

    def zero_states(self, batch):
        c = self.config
        states = {}
        for layer in range(c["num_hidden_layers"]):
            states[f"ssm.{layer}"] = torch.zeros(batch, *self.state_shape(), dtype=torch.float64)
            states[f"conv.{layer}"] = torch.zeros(
                batch, c["conv_kernel"] - 1, self.conv_channels(), dtype=torch.float64)
        return states

    def convolve(self, row, layer, states):
        """Of one token: rows before it are in the states, which get this one."""
        window = torch.cat([states[f"conv.{layer}"], row[:, None]], dim=1)  # [batch, taps, channels]
        states[f"conv.{layer}"] = window[:, 1:]
        out = (window * self.weight("mixer.conv1d.weight", layer)[:, 0].T).sum(1)
        bias = self.weight("mixer.conv1d.bias", layer)
        return silu(out if bias is None else out + bias)

    def step(self, token, states):
        """Logits [batch, vocabulary] after token [batch]; `states` become those after it."""
        epsilon = self.config["layer_norm_epsilon"]
        h = self.weight("embeddings.weight")[token]
        for layer in range(self.config["num_hidden_layers"]):
            u = rms_norm(h, self.weight("norm.weight", layer), epsilon)
            h = h + self.mixer_step(u, layer, states)
        head = self.weights.get("lm_head.weight", self.weight("embeddings.weight"))
        return linear(rms_norm(h, self.weight("norm_f.weight"), epsilon), head)

    def run(self, tokens, initial=None):
        """Logits [batch, length, vocabulary] and the states after tokens [batch, length]."""
        states = self.zero_states(tokens.shape[0]) if initial is None else dict(initial)
        logits = [self.step(tokens[:, t], states) for t in range(tokens.shape[1])]
        return torch.stack(logits, dim=1), states


class Mamba2(Recurrence):
    def state_shape(self):
        return tuple(self.config[key] for key in ("num_heads", "head_dim", "state_size"))

    def conv_channels(self):
        c = self.config
        return c["num_heads"] * c["head_dim"] + 2 * c["n_groups"] * c["state_size"]

    def mixer_step(self, u, layer, states):
        """One token, u [batch, width], through a mixer; `states` become those after it."""
        c = self.config
        heads, head_dim, groups, size = (
            c[key] for key in ("num_heads", "head_dim", "n_groups", "state_size"))
        inner = heads * head_dim

        def w(name):
            return self.weight("mixer." + name, layer)

        row = linear(u, w("in_proj.weight"), w("in_proj.bias"))
        z, xbc, dt = row.split([inner, inner + 2 * groups * size, heads], dim=-1)
        xbc = self.convolve(xbc, layer, states)
        x, b, cc = xbc.split([inner, groups * size, groups * size], dim=-1)
        x = x.unflatten(-1, (heads, head_dim))
        # Head h takes B and C of group h · groups / heads.
        b, cc = (v.unflatten(-1, (groups, size)).repeat_interleave(heads // groups, dim=1)
                 for v in (b, cc))

        dt = softplus(dt + w("dt_bias")).clamp(*c["time_step_limit"])
        decay = torch.exp(-torch.exp(w("A_log")) * dt)
        s = (decay[..., None, None] * states[f"ssm.{layer}"]
             + (dt[..., None] * x)[..., None] * b[:, :, None])
        y = (s * cc[:, :, None]).sum(-1) + w("D")[:, None] * x

        states[f"ssm.{layer}"] = s
        gated = rms_norm(y.flatten(1) * silu(z), w("norm.weight"), c["layer_norm_epsilon"], groups)
        return linear(gated, w("out_proj.weight"), w("out_proj.bias"))


class Mamba1(Recurrence):
    def state_shape(self):
        return self.config["intermediate_size"], self.config["state_size"]

    def conv_channels(self):
        return self.config["intermediate_size"]

    def mixer_step(self, u, layer, states):
        """One token, u [batch, width], through a mixer; `states` become those after it."""
        size, rank = self.config["state_size"], self.config["time_step_rank"]

        def w(name):
            return self.weight("mixer." + name, layer)

        x, z = linear(u, w("in_proj.weight"), w("in_proj.bias")).chunk(2, dim=-1)
        x = self.convolve(x, layer, states)
        dt, b, cc = linear(x, w("x_proj.weight")).split([rank, size, size], dim=-1)
        dt = softplus(linear(dt, w("dt_proj.weight"), w("dt_proj.bias")))  # [batch, channels]

        decay = torch.exp(-torch.exp(w("A_log")) * dt[..., None])
        s = decay * states[f"ssm.{layer}"] + (dt * x)[..., None] * b[:, None]
        y = (s * cc[:, None]).sum(-1) + w("D") * x

        states[f"ssm.{layer}"] = s
        return linear(y * silu(z), w("out_proj.weight"), w("out_proj.bias"))


def recurrence(config, weights):
    return (Mamba1 if config["model_type"] == "mamba" else Mamba2)(config, weights)

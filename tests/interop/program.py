"""The longhaul program, run from outside as its users run it."""

import pathlib
import subprocess

from safetensors.torch import load_file, save_file

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Program:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def run(self, *arguments, ranks=None):
        """What the program prints; an AssertionError with its messages where it fails."""
        command = [self.path, *arguments]
        if ranks is not None:
            command = [REPOSITORY / "launch" / "mpirun.sh", ranks, *command]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                timeout=600, check=False)
        assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stderr}"
        return result.stdout

    def forward(self, folder, model, tokens, *options, states=None, ranks=None):
        """The tensors that `longhaul forward` writes for `tokens` [batch, length]."""
        save_file({"tokens": tokens.int()}, folder / "tokens.safetensors")
        files = ["--tokens", folder / "tokens.safetensors", "--out", folder / "out.safetensors"]
        if states is not None:
            save_file(states, folder / "states.safetensors")
            files += ["--initial-state", folder / "states.safetensors"]
        if ranks is not None:
            options += ("--sequence-ranks", ranks)
        self.run("forward", "--model", model, *files, *options, ranks=ranks)
        return load_file(folder / "out.safetensors")

    def continuation(self, model, prompt, tokens):
        """The most likely `tokens` token numbers after the numbers `prompt`."""
        out = self.run("generate", "--model", model, "--prompt-ids", ",".join(map(str, prompt)),
                       "--tokens", tokens)
        return [int(number) for number in out.split()]

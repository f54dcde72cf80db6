"""Training steps of longhaul against transformers with torch's AdamW, as the bench takes them."""

import json
import subprocess
import sys

from program import REPOSITORY


def compare(longhaul, tmp_path, *options):
    result = tmp_path / "result.json"
    subprocess.run([sys.executable, REPOSITORY / "bench" / "compare_transformers.py",
                    "--program", longhaul.path, "--shapes", "small", "--length", "48",
                    "--chunk", "32", "--rounds", "1", "--threads", "1", "--json", result, *options],
                   check=True, timeout=300)
    return json.loads(result.read_text())


def test_losses_of_the_same_steps_agree(longhaul, tmp_path):
    """The bench itself stops where they differ by more than 1e-4."""
    result = compare(longhaul, tmp_path, "--steps", "12", "--sequences", "2", "--rate", "1e-3")
    small = result["shapes"]["small"]
    assert len(small["losses"]) == 12
    assert small["losses"][-1] < 0.5 * small["losses"][0]  # it learns: the steps are real ones
    for side in ("longhaul", "transformers"):
        assert small[side]["tokens_per_second"] > 0
        assert small[side]["peak_bytes"] > 30e6
    assert result["machine"]["processors"] >= 1

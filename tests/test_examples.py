"""Each example learns, says so, and draws its picture: run as a script, at its quick size."""

import re
import runpy
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"
DOCUMENT = EXAMPLES.parent / "docs" / "examples.md"

# By what factor the loss falls at least, from the first to the last that is printed. With a
# gradient of zero or of the wrong sign it does not.
FALLS = {
    "bouncing_ball": 1e4,
    "digits_flow": 1.3,
    "kdv_forecast": 3.0,
    "latent_ode": 1.1,
    "memory_budget": 1.05,
    "stiff_chemistry": 100.0,
}


def test_every_example_is_run_and_shown():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(FALLS)
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in FALLS:
        assert f"python examples/{name}.py" in text
    pictures = re.findall(r"!\[[^]]+\]\((pictures/[^)]+)\)", text)
    assert sorted(Path(picture).stem for picture in pictures) == sorted(FALLS)
    for picture in pictures:
        assert 0 < (DOCUMENT.parent / picture).stat().st_size < 100_000


@pytest.mark.parametrize("name", FALLS)
def test_an_example_learns_and_draws(name, tmp_path, monkeypatch, capsys):
    mpl.use("agg")
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--output", str(tmp_path / "picture.png")])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
        plt.close("all")
    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"loss ([-+.e\d]+)", printed)]
    assert losses[0] / losses[-1] >= FALLS[name], printed
    # Against a formula, or backpropagation: what also sees a gradient that merely learns slower.
    differences = re.findall(r"(?:off|differ) by (\de[-+]\d+)", printed)
    assert all(float(difference) < 1e-6 for difference in differences), printed
    assert bool(differences) == (name in ("bouncing_ball", "memory_budget"))
    assert "check" in printed
    assert "False" not in printed
    pixels = plt.imread(tmp_path / "picture.png")
    assert min(pixels.shape[:2]) > 300
    assert pixels.std() > 0.02  # something is drawn

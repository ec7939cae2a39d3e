"""The code of the README and of the guide runs as it stands."""

import re
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "guide.md"


def blocks_of(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_blocks_of_the_guide_run_one_after_the_other():
    names: dict[str, object] = {}
    blocks = blocks_of(GUIDE)
    assert len(blocks) > 5
    for block in blocks:
        exec(block, names)
    assert names["rates"].grad.isfinite().all()


def test_every_python_block_runs():
    blocks = blocks_of(README)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(block, names)
        assert isinstance(names["ys"], torch.Tensor)


def test_the_picture_is_there():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)

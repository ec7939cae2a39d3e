"""A run on a cluster of two nodes, one of them taken away in the middle: a script for a test."""

import argparse
import sys
import threading
import time
from pathlib import Path

from ray.cluster_utils import Cluster

from benchmarks import __main__ as cli
from benchmarks.runner import command


def main(journal: Path) -> int:
    command.JOURNAL = journal
    command.collect = lambda *_: command.ROOT / "asv.json"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]

    def take_away() -> None:
        """When both are at work, and a group has been measured."""
        while not list(journal.glob("*/groups/*.json")):
            time.sleep(0.01)
        print("taken away", flush=True)
        cluster.remove_node(nodes[0], allow_graceful=False)

    threading.Thread(target=take_away, daemon=True).start()
    words = ["run", "--size", "smoke", "--only", "mlp-steps|mlp-size", "--method", "symadj"]
    return cli.main([*words, "--engine", "ray"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("journal", type=Path)
    sys.exit(main(parser.parse_args().journal))

"""Trivial baselines on the mini-lab's tasks: what an artefact would give away.

Run: python benchmarks/minilab_baselines.py > benchmarks/minilab_baselines.tsv
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from stiltgrid.data.sources.minilab import MiniLabSource  # noqa: E402
from stiltgrid.data.sources.minilab.baselines import all_baselines, retrieval_baseline  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402


def main() -> None:
    """Print one line a baseline, and character-trigram retrieval for every language."""
    source = MiniLabSource({"eval_examples": 1000})
    write = sys.stdout.write
    write("task\tbaseline\tscore\tchance\tn\n")
    for item in all_baselines(source, train_examples=6000):
        write(f"{item.task}\t{item.name}\t{item.score:.1f}\t{item.chance:.1f}\t{item.n}\n")
    card = TaskCard("tatoeba", "", "", "", (), "", 0)
    for code in source.settings.languages[1:]:
        rows = [row.values for row in MiniLabSource({}).read(card, "test", code)]
        score, chance = retrieval_baseline(rows), 100 / len(rows)
        write(f"tatoeba\tcharacter trigrams ({code})\t{score:.1f}\t{chance:.1f}\t{len(rows)}\n")


if __name__ == "__main__":
    main()

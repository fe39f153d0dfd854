"""How large is the results page of a large grid, and how long does a browser take to open it?

The grid of the tests' size check: 100 cells, 50 languages, 3 seeds, with made numbers. Time counts from the request to
the page's own mark that everything is drawn, in a fresh context of a headless Chromium each time.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests/support")]

from browser import chromium, opened  # noqa: E402
from large_page import write_large_grid  # noqa: E402
from stiltgrid.reporting.page.page import write_page  # noqa: E402

OPENINGS = 5


def main() -> None:
    """Print the size and the median time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index.html")
        grid, facts = write_large_grid(Path(folder))
        begun = time.perf_counter()
        write_page(grid.layout, grid.files, facts, path)
        made = time.perf_counter() - begun
        with chromium() as browser:
            seconds = []
            for _ in range(OPENINGS):
                begun = time.perf_counter()
                with opened(browser, path):
                    seconds.append(time.perf_counter() - begun)
        sys.stdout.write(
            f"{path.stat().st_size / 1e6:.2f} MB, made in {made:.1f} s, opened in {statistics.median(seconds):.2f} s "
            f"({min(seconds):.2f} to {max(seconds):.2f}, {OPENINGS} times)\n"
        )


if __name__ == "__main__":
    main()

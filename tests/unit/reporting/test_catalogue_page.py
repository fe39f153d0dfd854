"""The catalogue's page is what the cards say."""

from pathlib import Path

from stiltgrid.grid.benchmarks import ROOT, benchmark_files
from stiltgrid.reporting.catalogue import PAGE, page, write_catalogue
from stiltgrid.utils.strict_yaml import read_yaml


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make catalogue`"


def test_every_card_has_a_line_and_its_commits(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "page.md")
    lines = (tmp_path / "page.md").read_text(encoding="utf-8").splitlines()
    for path in (ROOT / "tasks").glob("*.yaml"):
        card = read_yaml(path)
        (line,) = [line for line in lines if line.startswith(f"| `{path.stem}` |")]
        assert f"| {len(card['languages'])} |" in line and card.get("licence", "*not read*") in line
        hub = card.get("hub")
        for part in (hub, *hub.get("overrides", ())) if hub else ():
            merged = {**hub, **part}
            assert merged["path"] in line and merged["revision"].replace("/", "%2F") in line
            assert merged["verified"] or "*(not read)*" in line
    assert all(any(line.startswith(f"| `{name}` (") for line in lines) for name in benchmark_files())

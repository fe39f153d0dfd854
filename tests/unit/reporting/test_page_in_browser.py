"""The results page in a real browser: no errors, the numbers of the tables, pointing, keys, filters, drilling down."""

import csv
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import page_grid
import pyarrow.parquet as pq
import pytest
from browser import Opened, chromium, opened
from large_page import write_large_grid
from page_grid import EVIL, EXAMPLES, FACTS, PageGrid
from stiltgrid.reporting.page.page import write_page

# As the browser shows EVIL: white space at its ends and the line separator aside.
VISIBLE = "</script><script>window.broken = true</script><!-- <b onclick=alert(1)>bold</b> &"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> PageGrid:
    return page_grid.write_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="module")
def path(grid: PageGrid, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "index.html"
    write_page(grid.layout, grid.files, FACTS, out)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def shown(browser: Any, path: Path) -> Iterator[Opened]:
    with opened(browser, path) as found:
        yield found
        assert found.errors == []


def lines(grid: PageGrid, name: str) -> list[dict[str, str]]:
    with (grid.files.tables / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def tenths(text: str, signed: bool = False) -> str:
    rounded = Decimal(text).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return (f"{rounded:+}" if signed and rounded else f"{abs(rounded) if not rounded else rounded}").replace(
        "-", "\u2212"
    )


def cell_text(page: Any, line: dict[str, str]) -> str:
    button = page.locator(f'button.value[data-cell="{line["model"]}\t{line["intermediate"]}\t{line["target"]}"]')
    return button.inner_text().split()[0]


def test_it_opens_without_errors_and_asks_for_nothing_else(shown: Opened, path: Path) -> None:
    shown.page.wait_for_selector("#rows-chart svg, #cell-chart svg")
    shown.page.wait_for_timeout(300)
    assert [url for url in shown.requests if not url.startswith(("data:", "blob:"))] == [f"file://{path}"]
    assert shown.page.evaluate("window.broken") is None
    assert shown.page.locator("#training-curves svg.marks").count() == 4


def test_the_page_of_a_large_grid_opens_without_errors(browser: Any, tmp_path: Path) -> None:
    """100 cells in 50 languages at 3 seeds; benchmarks/page_opening.py says how long it takes."""
    large, facts = write_large_grid(tmp_path)
    write_page(large.layout, large.files, facts, tmp_path / "index.html")
    with opened(browser, tmp_path / "index.html") as found:
        assert found.page.locator("button.value").count() == 100
        assert found.errors == []


def test_a_matrix_wider_than_the_window_says_so_and_is_scrolled_by_keys(browser: Any, path: Path) -> None:
    with opened(browser, path, viewport={"width": 320, "height": 900}) as found:
        page = found.page
        hint, figure = page.locator("p.wide").first, page.locator("figure.matrix").first
        assert hint.is_visible() and "scroll sideways" in hint.inner_text()
        assert "cut" in figure.get_attribute("class") and figure.get_attribute("role") == "region"
        figure.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('figure.matrix').scrollLeft > 0")
        page.locator("button.value").first.focus()
        page.keyboard.press("End")
        last = page.evaluate("(document.activeElement.getBoundingClientRect().right)")
        assert last <= figure.bounding_box()["x"] + figure.bounding_box()["width"] + 1, "the focused cell is in view"
        page.evaluate("document.querySelector('figure.matrix').scrollLeft = 9999")
        page.wait_for_function("!document.querySelector('figure.matrix').classList.contains('cut')")
        page.set_viewport_size({"width": 1400, "height": 900})
        page.wait_for_function("document.querySelector('p.wide').hidden")
        assert figure.get_attribute("tabindex") is None
        assert found.errors == []


def test_cells_have_the_numbers_of_the_tables(shown: Opened, grid: PageGrid) -> None:
    for line in lines(grid, "transfer.tsv"):
        none = line["intermediate"] == "none"
        assert cell_text(shown.page, line) == tenths(line["score"] if none else line["gain"], signed=not none), line
    shown.page.check('input[name="value"][value="score"]')
    for line in lines(grid, "transfer.tsv"):
        assert cell_text(shown.page, line) == tenths(line["score"]), line


def test_the_worst_language_a_family_a_script_and_one_language_are_those_of_the_tables(
    shown: Opened, grid: PageGrid
) -> None:
    page = shown.page
    page.check('input[name="value"][value="score"]')
    page.check('input[name="over"][value="worst"]')
    for line in lines(grid, "language_gaps.tsv"):
        assert cell_text(page, line) == tenths(line["worst"]), line
    page.check('input[name="over"][value="mean"]')
    for kind, group in (("family", "Indo-European"), ("script", "Latn"), ("script", "Hani")):
        page.select_option("#languages", f"{kind}:{group}")
        found = [line for line in lines(grid, "language_groups.tsv") if (line["kind"], line["group"]) == (kind, group)]
        assert found
        for line in found:
            assert cell_text(page, line) == tenths(line["score"]), line
    assert page.locator("button.value.lacking").count() == 6  # no target `words` in Chinese: two models, three rows
    page.select_option("#languages", "language:de")
    for line in lines(grid, "transfer_by_language.tsv"):
        if line["language"] == "de":
            assert cell_text(page, line) == tenths(line["score"]), line


def test_scores_of_every_seed_are_those_of_the_parquet_file(shown: Opened, grid: PageGrid) -> None:
    held = shown.page.evaluate('JSON.parse(document.getElementById("data").textContent).scores')
    rows = pq.read_table(grid.files.tables / "scores.parquet").to_pylist()
    assert len(rows) == 2 * 3 * (3 + 2) * 2
    for row in rows:
        assert held[row["model"]][row["intermediate"]][row["target"]][row["language"]][str(row["seed"])] == row["value"]
    shown.page.click('button.value[data-cell="small\tqqp\tpairs"]')
    for row in rows:
        if (row["model"], row["intermediate"], row["target"]) == ("small", "qqp", "pairs"):
            line = shown.page.locator(
                "#cell-languages tbody tr", has=shown.page.get_by_role("button", name=row["language"], exact=True)
            )
            head = shown.page.locator("#cell-languages thead tr:first-child th").all_inner_texts()
            assert line.locator("td").all_inner_texts()[head.index(f"seed {row['seed']}")] == f"{row['value']:.4f}"


def test_pointing_at_a_cell_shows_what_is_known_of_it(shown: Opened, grid: PageGrid) -> None:
    line = next(line for line in lines(grid, "significance.tsv") if line["low"] and line["model"] == "small")
    shown.page.hover(f'button.value[data-cell="{line["model"]}\t{line["intermediate"]}\t{line["target"]}"]')
    text = shown.page.inner_text("#panel-text")
    assert f"[{tenths(line['low'], True)}, {tenths(line['high'], True)}]" in text
    assert tenths(line["score"]) in text and tenths(line["gain"], True) in text
    assert "(Holm)" in text and "synthetic data" in text and f"{int(line['n'])} examples" in text
    shown.page.wait_for_selector("#panel-chart svg")
    shown.page.hover('button.value[data-cell="tiny\tnone\tpairs"]')
    assert "none made: none is what gains are measured against" in shown.page.inner_text("#panel-text")
    shown.page.select_option("#languages", "family:Indo-European")
    shown.page.hover('button.value[data-cell="tiny\tmnli\tpairs"]')
    assert "not for a family or a script" in shown.page.inner_text("#panel-text")


def test_the_keyboard_alone_reaches_cells_languages_and_examples(shown: Opened) -> None:
    page = shown.page
    page.locator('button.value[tabindex="0"]').focus()
    focused = "document.activeElement.dataset.cell"
    assert page.evaluate(focused) == "tiny\tnone\tpairs"
    for key in ("ArrowDown", "ArrowRight", "End", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert page.evaluate(focused) == "tiny\tqqp\twords"
    assert page.locator('button.value[tabindex="0"]').count() == 1
    page.keyboard.press("Enter")
    assert page.inner_text("#cell-title") == "Cell: qqp → words (tiny)"
    assert page.evaluate("document.activeElement.id") == "cell"
    page.get_by_role("button", name="de", exact=True).focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#examples-title") == "Examples: qqp → words, de (tiny)"
    assert page.evaluate("document.activeElement.id") == "examples"


def test_what_a_screen_reader_says_of_a_cell(shown: Opened) -> None:
    button = shown.page.get_by_role("button", name="mnli on pairs: score")
    assert button.count() == 2  # one a model
    label = button.first.get_attribute("aria-label")
    assert "gain" in label and "95 % interval" in label and "36 examples" in label
    shown.page.click("table.matrix thead th button >> nth=0")
    assert shown.page.locator("table.matrix thead th").first.get_attribute("aria-sort") == "descending"


def test_examples_show_texts_as_they_are_beside_those_of_none(shown: Opened) -> None:
    page = shown.page
    page.click('button.value[data-cell="tiny\tmnli\tpairs"]')
    page.get_by_role("button", name="zh", exact=True).click()
    articles = page.locator("#examples-list article")
    assert 4 <= articles.count() <= 8
    assert VISIBLE in articles.first.inner_text() and "text " in articles.first.inner_text()
    assert page.evaluate("window.broken") is None
    note = page.inner_text("#examples-note")
    assert f"from {EXAMPLES} examples; seed 1" in note and "estimate nothing" in note
    for which, mark in (("right", "✓ right"), ("wrong", "✗ wrong")):
        page.check(f'input[name="shown"][value="{which}"]')
        assert articles.count() >= 1
        for text in articles.all_inner_texts():
            own = next(line for line in text.replace("\n", " ").split("gold")[1].split("none")[0:1])
            assert mark in own
    page.check('input[name="shown"][value="all"]')
    page.click('button.value[data-cell="tiny\tmnli\twords"]')
    assert page.locator("#examples-list table.words").count() >= 4
    assert page.locator("#examples-list td.off").count() >= 2


def test_tables_sort_filter_and_download(shown: Opened, grid: PageGrid, tmp_path: Path) -> None:
    page = shown.page
    page.select_option("#table", "transfer.tsv")
    page.get_by_label("Filter by gain", exact=True).last.fill("> 0")
    page.get_by_label("Filter by model", exact=True).last.fill("small")
    wanted = [line for line in lines(grid, "transfer.tsv") if line["model"] == "small" and float(line["gain"]) > 0]
    rows = page.locator("#tables-table tbody tr")
    assert rows.count() == len(wanted) > 0
    page.locator("#tables-table thead").get_by_role("button", name="gain", exact=True).click()
    gains = [row.locator("td").all_inner_texts() for row in rows.all()]
    names = [text.split(" ")[0] for text in page.locator("#tables-table thead th").all_inner_texts()]
    found = [float(row[names.index("gain")]) for row in gains]
    assert found == sorted((float(line["gain"]) for line in wanted), reverse=True)
    with page.expect_download() as waiting:
        page.click("#tables-table .download")
    waiting.value.save_as(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        saved = list(csv.DictReader(file))
    assert waiting.value.suggested_filename == "transfer.csv"
    assert [float(line["gain"]) for line in saved] == found
    assert {line["synthetic"] for line in saved} == {"True"}
    assert "Unit: points" in page.locator("#tables-table details dl").text_content()


def test_models_are_side_by_side_and_rows_and_columns_sort(shown: Opened, grid: PageGrid) -> None:
    page = shown.page
    first, second = (page.locator("figure.matrix").nth(place).bounding_box() for place in (0, 1))
    assert first["y"] == second["y"] and first["x"] < second["x"]
    page.click('figure.matrix >> nth=0 >> thead th button:has-text("words")')
    gains = {
        line["intermediate"]: float(line["gain"])
        for line in lines(grid, "transfer.tsv")
        if (line["model"], line["target"]) == ("tiny", "words")
    }
    heads = page.locator("figure.matrix").first.locator("tbody th").all_inner_texts()
    expected = sorted((row for row in gains if row != "none"), key=gains.__getitem__, reverse=True)
    assert [head.strip() for head in heads] == ["none (score)", *expected]
    page.uncheck('input[name="model"][value="tiny"]')
    assert page.locator("figure.matrix figcaption").all_inner_texts() == ["small (synthetic data)"]


def test_every_section_says_that_the_data_is_synthetic(shown: Opened) -> None:
    for heading in shown.page.locator("main h2, footer h2").all():
        assert "synthetic data" in heading.inner_text()
    assert shown.page.locator(".banner").is_visible()
    shown.page.wait_for_selector("#cell-chart svg")
    assert "synthetic data" in shown.page.text_content("#cell-chart svg")


def test_an_address_leads_to_a_cell(browser: Any, path: Path) -> None:
    with opened(browser, path, "#at=small/qqp/pairs/zh") as found:
        assert found.page.inner_text("#examples-title") == "Examples: qqp → pairs, zh (small)"
        assert found.errors == []


def test_dark_mode_and_print_are_readable(browser: Any, path: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, path, color_scheme="dark") as found:
        assert found.page.evaluate(ground) == "rgb(21, 24, 29)"
        found.page.wait_for_selector("#cell-chart svg")
        fills = found.page.eval_on_selector_all(
            "#cell-chart svg text", "nodes => nodes.map(n => n.getAttribute('fill'))"
        )
        assert "#eef0f2" in fills
        found.page.emulate_media(media="print")
        assert found.page.evaluate(ground) == "rgb(255, 255, 255)"
        assert not found.page.locator("#controls").is_visible()
        assert found.page.locator("figure.matrix").first.is_visible() and found.page.locator(".banner").is_visible()
        assert found.errors == []


def test_a_page_without_predictions_and_logs_opens_and_says_so(browser: Any, grid: PageGrid, tmp_path: Path) -> None:
    out = tmp_path / "index.html"
    older = page_grid.without_predictions(grid)
    for name in ("significance.tsv", "significance_by_language.tsv", "best_rows.tsv"):
        assert (older.files.tables / name).is_file()
    write_page(older.layout, older.files, FACTS, out)
    with opened(browser, out) as found:
        assert "No examples: the predictions or the rows" in found.page.inner_text("#examples-note")
        assert "logs were not there" in found.page.inner_text("#training-curves")
        assert found.errors == []


assert VISIBLE in EVIL


def test_the_answer_of_a_selection_is_shown_and_leads_to_its_cells(
    browser: Any, grid: PageGrid, tmp_path: Path
) -> None:
    chosen = page_grid.with_selection(grid, tmp_path / "selection.tsv")
    write_page(chosen.layout, chosen.files, FACTS, tmp_path / "index.html")
    with opened(browser, tmp_path / "index.html") as shown:
        page = shown.page
        note = page.inner_text("#selection-note")
        # 14 % of two grids; expected losses 0.15625, 0.625, 0.25 and 0.75.
        assert "for 7.0 % of the grid's cost" in note and "2 of 4 rows are best" in note and "0.45 points" in note
        head = page.locator("#selection-table thead tr:first-child th").all_inner_texts()
        body = [row.locator("td").all_inner_texts() for row in page.locator("#selection-table tbody tr").all()]
        assert len(body) == 5
        first, last = (dict(zip(head, row, strict=True)) for row in (body[0], body[4]))
        assert (first["target"], first["model"], first["by"], first["chosen"]) == ("pairs", "tiny", "all", "mnli")
        assert (first["probability"], first["regret"], first["second"]) == ("0.88", "0.16", "qqp")
        assert (first["gain"], first["spent"], first["next"]) == ("2.13", "3.50", "qqp seed 1")
        assert (last["by"], last["group"], last["chosen"], last["score"]) == ("language", "de", "qqp", "")
        page.locator("#selection-table tbody tr").nth(2).locator("button").click()
        assert "none" in page.inner_text("#cell-title") and "pairs" in page.inner_text("#cell-title")
        assert page.url.endswith("#at=small/none/pairs/" + page.url.rpartition("/")[2])
        assert "(synthetic data)" in page.inner_text("#selection-table caption")
        assert shown.errors == []
    # Without groups their columns are left out; an answer for a grid that has changed since opens nothing.
    plain = page_grid.with_selection(grid, tmp_path / "plain.tsv", groups=False)
    text = (tmp_path / "plain.tsv").read_text(encoding="utf-8").replace("\tmnli\t", "\tgone\t")
    (tmp_path / "plain.tsv").write_text(text, encoding="utf-8")
    write_page(plain.layout, plain.files, FACTS, tmp_path / "plain.html")
    with opened(browser, tmp_path / "plain.html") as shown:
        head = shown.page.locator("#selection-table thead tr:first-child th").all_inner_texts()
        assert "by" not in head and "group" not in head and "model" in head
        before = shown.page.inner_text("#cell-title")
        shown.page.locator("#selection-table tbody tr").first.locator("button").click()
        assert shown.page.inner_text("#cell-title") == before
        assert shown.errors == []

"""Cards that cannot work are refused when the configuration is loaded."""

import shutil
from pathlib import Path

import pytest
from configurations import GOOD, ROOT, changed, load, on_the_hub, only, problems, with_tasks
from stiltgrid.config.loading import load_grid
from stiltgrid.utils.errors import ConfigError

pytestmark = pytest.mark.usefixtures("at_the_root")


def test_labels_and_values_of_different_length() -> None:
    found = problems(with_tasks(qqp={"label_values": [0, 1, 2]}))
    assert found == ("tasks/qqp.yaml: label_values: expected one for each of the 2 labels, found 3",)


def test_card_that_refers_to_an_unknown_card() -> None:
    found = problems(with_tasks(xnli={**GOOD["tasks"]["xnli"], "train": ["mnly"]}))
    assert "tasks/xnli.yaml: train: no such task 'mnly', did you mean 'mnli'?" in found
    found = problems(with_tasks(anli_plus={"rows": {"train": ["snly"]}}))
    assert "tasks/anli_plus.yaml: rows.train: no such task 'snly', did you mean 'snli'?" in found


def test_a_head_of_another_family_or_other_labels() -> None:
    found = problems(with_tasks(xnli={**GOOD["tasks"]["xnli"], "train": ["squad_v1"]}))
    assert any("'squad_v1' is of family span, so its head cannot score a sequence task" in item for item in found)
    found = problems(with_tasks(xnli={**GOOD["tasks"]["xnli"], "train": ["qqp"]}))
    assert any("the labels of 'qqp' (not_duplicate, duplicate) are not this card's" in item for item in found)


def test_unknown_adapter_and_label() -> None:
    assert (
        "no such module 'larega' in stiltgrid/data/adapters, did you mean 'lareqa'?"
        in problems(with_tasks(qqp={"adapter": "larega"}))[0]
    )
    assert "options.positive: no such label 'duplicates'" in only(
        with_tasks(qqp={"options": {"positive": "duplicates"}})
    )


def test_columns_of_conll_files_are_those_that_the_fields_read() -> None:
    """Refused when the configuration is read, and not by the first job that reads a file."""
    card = GOOD["tasks"].get("panx", {})
    found = problems(with_tasks(panx={**card, "local": {"conll": {"tokens": 1, "tags": 2}}}))
    sentence = "local.conll: expected a column 'ner_tags', which `fields.tags` reads, found tokens, tags"
    assert found == (f"tasks/panx.yaml: {sentence}",)
    for local in (
        {"conll": {"tokens": 1, "ner_tags": 2}},
        {"conll": {"tokens": 1, "x": 2}, "columns": {"x": "ner_tags"}},
    ):
        load(with_tasks(panx={**card, "local": local}))


def test_relabel_names_labels_and_nothing_twice() -> None:
    found = problems(with_tasks(panx={**GOOD["tasks"].get("panx", {}), "relabel": {"B-DATE": "OO", "B-PER": "O"}}))
    assert any("relabel.B-DATE: no such label 'OO'" in item for item in found)
    assert any("relabel: 'B-PER' is also one of labels" in item for item in found)


def test_configurations_by_split_cover_every_split() -> None:
    found = problems(on_the_hub(tasks={"xnli": {"hub": {"config": {"train": "{language}", "test": "{language}"}}}}))
    assert "tasks/xnli.yaml: hub.config: expected configurations for every split, found none for dev" in found


def test_an_invalid_card_is_reported_with_its_line(tmp_path: Path) -> None:
    for folder in ("tasks", "schemas"):
        (tmp_path / folder).mkdir()
        for file in (ROOT / folder).glob("*.yaml"):
            (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tasks/mine.yaml").write_text("family: sequencing\nabout: x\nabout: y\n", encoding="utf-8")
    (tmp_path / "tasks/other.yaml").write_text("family: sequencing\nabout: x\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_grid(changed(data_dir=str(ROOT / "tests/data/mirror"), targets=["mine"]), tmp_path)
    found = caught.value.problems
    assert "tasks/mine.yaml line 3: key 'about' is given twice (first in line 2)" in found
    assert "tasks/other.yaml: family: 'sequencing' is unknown; did you mean 'sequence'?" in found
    assert not any("no such task" in problem for problem in found), "a broken card is not an unknown one"


def test_hub_codes_and_prefixes_cover_every_language() -> None:
    added = {"languages": ["de", "ht"], "hub": {"path": "other/copy"}}
    found = problems(on_the_hub(tasks={"tatoeba": added, "tydiqa": added}))
    assert "tasks/tatoeba.yaml: hub: uses {code}, but hub.codes has none for ht" in found
    assert "tasks/tydiqa.yaml: hub.prefix.values: expected one for every language, found none for de, ht" in found


def own_folder(folder: Path) -> Path:
    """A copy of the catalogue and the schemas, for cards of one's own."""
    for name in ("tasks", "schemas"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def problems_in(folder: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_grid(changed(data_dir=str(ROOT / "tests/data/mirror")), folder)
    return caught.value.problems


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("none.yaml", "'none' is the row without an intermediate task"),
        ("my task.yaml", "'my task' cannot name a task; expected small letters"),
        ("Mine.yaml", "'Mine' cannot name a task"),
        ("a\n.yaml", "cannot name a task"),
        ("mix_v5_mnli.yaml", "names that begin with 'mix_' are those of the studies' mixtures"),
        ("x" * 101 + ".yaml", "cannot name a task"),
        ("mine.yml", "a card's file ends in .yaml; rename it to mine.yaml"),
    ],
)
def test_file_names_that_cannot_name_a_task(file: str, sentence: str, tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    (folder / "tasks" / file).write_bytes((ROOT / "tasks/qqp.yaml").read_bytes())
    (found,) = problems_in(folder)
    assert found.startswith(f"tasks/{file}: ") and sentence in found


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{premise:>9999}", "a template has columns alone; formats (`:`) and conversions (`!`) are not part of it"),
        ("{x!r}", "a template has columns alone; formats (`:`) and conversions (`!`) are not part of it"),
        ("{premise", "not a template (expected '}' before end of string)"),
        ("premise}", "not a template (single '}' encountered in format string)"),
        ("{}", "a template needs the name of a column in each pair of braces"),
        ("{0} {question}", "a template needs the name of a column in each pair of braces"),
        ("{{premise}}", "a template without a column gives every row the same text"),
        ("choices..text", "a step of the dotted path is empty"),
    ],
)
def test_templates_that_no_row_can_fill(template: str, sentence: str) -> None:
    found = problems(with_tasks(qqp={"fields": {"text_b": template}}))
    assert f"tasks/qqp.yaml: fields.text_b: '{template}': {sentence}" in "\n".join(found)
    found = problems(with_tasks(cosmos_qa={"fields": {"choices": ["{question} {answer0}", template]}}))
    assert f"fields.choices: '{template}': {sentence}" in "\n".join(found)


def test_templates_of_the_hub_know_language_and_code() -> None:
    found = problems(on_the_hub(tasks={"mlqa": {"hub": {"config": "MLQA.{lang}.{language}"}}}))
    assert "tasks/mlqa.yaml: hub: no such placeholder {lang}; expected {language} or {code}" in found
    found = problems(on_the_hub(tasks={"mlqa": {"hub": {"config": "MLQA.{language!r}"}}}))
    assert any("tasks/mlqa.yaml: hub: 'MLQA.{language!r}': a template has columns alone" in item for item in found)


def test_rows_of_cards_go_in_no_circle(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    card = (ROOT / "tasks/qqp.yaml").read_text(encoding="utf-8")
    for name, origin in (("first", "second"), ("second", "third"), ("third", "first"), ("own", "own")):
        text = card.replace("[qqp]", f"[{name}]") + f"rows: {{train: [{origin}]}}\n"
        (folder / f"tasks/{name}.yaml").write_text(text, encoding="utf-8")
    found = problems_in(folder)
    end = "; name cards that have rows of their own"
    assert f"tasks/first.yaml: rows.train: goes in a circle: first -> second -> third -> first{end}" in found
    assert f"tasks/own.yaml: rows.train: goes in a circle: own -> own{end}" in found
    found = problems(with_tasks(qqp={"rows": {"train": ["anli_plus"]}}))
    assert "tasks/qqp.yaml: rows.train: 'anli_plus' is itself made of snli, mnli, anli; name those instead" in found


def test_labels_of_the_scheme_may_hold_any_character() -> None:
    changes = {"labels": ["O", "B-Legal Entity", "I-Legal Entity"], "label_values": None}
    load(with_tasks(panx=changes, masakhaner2=changes))


def test_benchmarks_and_cards_name_each_other(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    file = folder / "tasks/benchmarks/xtreme.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("[pawsx, xnli]", "[pawsy, xnli, copa]").replace("xquad:", "xqaud:"), encoding="utf-8")
    (folder / "tasks/benchmarks/low_resource.yaml").unlink()
    (folder / "tasks/benchmarks/own.yaml").write_text("title: Own\naverage: mean\n", encoding="utf-8")
    found = "\n".join(problems_in(folder))
    for sentence in (
        "tasks/benchmarks/xtreme.yaml: groups: no such task 'pawsy', did you mean 'pawsx'?",
        "groups: 'copa' has no languages for it; list them in tasks/copa.yaml, benchmarks.xtreme",
        "tasks/benchmarks/xtreme.yaml: tasks: 'xqaud' is in no group, did you mean 'xquad'?",
        "tasks/sib200.yaml: benchmarks: no file tasks/benchmarks/low_resource.yaml",
        "tasks/benchmarks/own.yaml: keys preset, overall, groups are missing",
        "tasks/benchmarks/own.yaml: average: 'mean' is unknown; valid: official, own",
    ):
        assert sentence in found, found

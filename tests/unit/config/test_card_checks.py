"""Cards that cannot work are refused when the configuration is loaded."""

from pathlib import Path

import pytest
from configurations import GOOD, ROOT, changed, on_the_hub, only, problems, with_tasks
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


def test_an_invalid_card_is_reported_with_its_line(tmp_path: Path) -> None:
    for folder in ("tasks", "schemas"):
        (tmp_path / folder).mkdir()
        for file in (ROOT / folder).iterdir():
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

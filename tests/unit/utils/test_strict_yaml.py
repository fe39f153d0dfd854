"""Values that YAML silently misreads are reported with their lines."""

from pathlib import Path

import pytest
import yaml
from configurations import GOOD, changed, only, problems, with_tasks
from stiltgrid.config.loading import read_yaml
from stiltgrid.utils.errors import ConfigError

pytestmark = pytest.mark.usefixtures("at_the_root")


def test_a_number_without_a_dot_is_text() -> None:
    found = only(changed(training={"all": yaml.safe_load("learning_rate: 1e-5")}))
    assert found == "config: training.all.learning_rate: 1e-5 is read as text, not as a number; write 1.0e-5"


def test_no_is_a_language() -> None:
    found = problems(with_tasks(xnli={"languages": yaml.safe_load("[en, no]")}))
    assert any(
        'languages[1]: expected text, found False; YAML reads an unquoted no as False: write "no"' in item
        for item in found
    )
    found = problems(changed(intermediates=yaml.safe_load("[none, on]")))
    assert any("intermediates[1]: expected text, found True" in item for item in found)


def test_no_as_a_key() -> None:
    found = problems(with_tasks(tatoeba=yaml.safe_load("hub: {codes: {no: nor}}")))
    assert 'config: tasks.tatoeba.hub.codes: a key is False, not text; write "no" in quotes' in found


def test_files_are_read_strictly_with_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("a: 1\nb:\n  c: 1e-5\n  d: [en, no]\na: 2\nno: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(file, "my.yaml")
    assert caught.value.problems == (
        "my.yaml line 3: 1e-5 is read as text, not as a number; write 1.0e-5",
        'my.yaml line 4: no is read as False; write "no" for the word or false for the truth value',
        "my.yaml line 5: key 'a' is given twice (first in line 1)",
        'my.yaml line 6: no is read as False; write "no" for the word or false for the truth value',
    )


def test_quoted_words_and_plain_truth_values_pass(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("a: [\"no\", '1e-5', true, False]\nb: 1.0e-5\nc: 2\n", encoding="utf-8")
    assert read_yaml(file) == {"a": ["no", "1e-5", True, False], "b": 1e-5, "c": 2}


def test_broken_yaml_says_where(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("a: [1, 2\nb: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2: not YAML"):
        read_yaml(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "absent.yaml")


def test_a_key_given_twice_in_the_configuration_file(tmp_path: Path) -> None:
    """Snakemake's own reader keeps the last of two equal keys in silence."""
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(GOOD) + "seeds: [3]\n", encoding="utf-8")
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = problems(config, (file,))
    assert len(found) == 1 and "key 'seeds' is given twice (first in line" in found[0]


def test_a_misread_value_in_a_file_is_reported_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    config = changed(training={"all": {"learning_rate": "1e-5"}})
    file.write_text(yaml.safe_dump(config).replace("'1e-5'", "1e-5"), encoding="utf-8")
    (found,) = problems(config, (file,))
    assert "config.yaml line " in found and "1e-5 is read as text" in found

"""Values that YAML silently misreads are reported with their lines."""

from pathlib import Path

import pytest
import yaml
from configurations import GOOD, changed, only, problems, with_tasks
from stiltgrid.utils.errors import ConfigError
from stiltgrid.utils.strict_yaml import read_yaml, scan_yaml

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


def scanned(tmp_path: Path, text: str) -> tuple[object, list[str]]:
    file = tmp_path / "my.yaml"
    file.write_text(text, encoding="utf-8")
    return scan_yaml(file, "my.yaml")


def test_merge_keys_work_in_any_order_of_nesting(tmp_path: Path) -> None:
    text = "a: {deep: {b: &b {<<: &c {x: 1}, x: 2}}}\nd: {<<: *b, y: 3}\ne: {<<: [*b, *c], z: 4}\n"
    content, found = scanned(tmp_path, text)
    assert found == []
    assert content == {"a": {"deep": {"b": {"x": 2}}}, "d": {"x": 2, "y": 3}, "e": {"x": 2, "z": 4}}
    assert scanned(tmp_path, "a: {<<: 3}\n")[1][0].startswith("my.yaml line 1: expected a mapping")
    assert "key '<<' is given twice" in scanned(tmp_path, "b: &b {x: 1}\na:\n  <<: *b\n  <<: *b\n")[1][0]


@pytest.mark.parametrize("text", ["a: &a [1, *a]\n", "a: &a {b: {c: [*a]}}\n", "&a a: *a\nb: &b\n  c: *b\n"])
def test_an_alias_of_itself_is_refused(text: str, tmp_path: Path) -> None:
    assert "an alias stands inside the value that it names" in scanned(tmp_path, text)[1][0]


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_nested_aliases_are_bounded(brackets: str, tmp_path: Path) -> None:
    """Thirty lines that would become 10 ** 29 values."""
    opening, closing = brackets
    lines = ["a0: &a0 x"]
    for number in range(1, 30):
        items = [f"*a{number - 1}" if opening == "[" else f"k{key}: *a{number - 1}" for key in range(10)]
        lines.append(f"a{number}: &a{number} {opening}{', '.join(items)}{closing}")
    (found,) = scanned(tmp_path, "\n".join(lines))[1]
    assert "with its aliases written out this has more than 100,000 values" in found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: .nan", ".nan is read as nan; expected a finite number"),
        ("a: -.inf", "-.inf is read as -inf; expected a finite number"),
        ("a: 1:30", '1:30 is read as 90; write "1:30" for text, or 90'),
        ("a: 010", '010 is read as 8; write "010" for text, or 8'),
        ("a: 2020-01-31", '2020-01-31 is read as a date; write "2020-01-31" for text'),
        ("a: 2020-13-45", "2020-13-45 is read as a date"),
        ("a: " + "1" * 5000, "a number of 5,000 digits cannot be read"),
        ("? [1, 2]\n: 3", "a key is a list or a mapping; expected text"),
        ("1: 2", 'key 1 is read as 1; write "1"'),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: !!python/object:os.system x", "could not determine a constructor for the tag"),
    ],
)
def test_values_that_yaml_misreads_or_cannot_read(text: str, sentence: str, tmp_path: Path) -> None:
    assert any(sentence in problem for problem in scanned(tmp_path, text)[1]), scanned(tmp_path, text)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert scanned(tmp_path, "\ufeffa: 1\n") == ({"a": 1}, [])


def test_a_file_that_cannot_be_read_is_reported_alone(tmp_path: Path) -> None:
    """Snakemake has merged the file already; nothing of it is looked at."""
    file = tmp_path / "config.yaml"
    file.write_text("targets: &a [xnli, *a]\n", encoding="utf-8")
    endless: list[object] = ["xnli"]
    endless.append(endless)
    (found,) = problems(changed(targets=endless), (file,))
    assert "an alias stands inside the value that it names" in found

"""Numbers, names and texts of the configuration have limits, whatever their key."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from configurations import PRETRAIN, ROOT, changed, load, only, problems, with_tasks
from stiltgrid.utils.errors import nearest

pytestmark = pytest.mark.usefixtures("at_the_root")

SCHEMAS = sorted((ROOT / "schemas").glob("*.yaml"))


def numbers(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema that describes a number."""
    if isinstance(schema, dict):
        kinds = schema.get("type", ())
        if {"integer", "number"} & set([kinds] if isinstance(kinds, str) else kinds):
            yield place, schema
        for key, part in schema.items():
            yield from numbers(part, f"{place}/{key}")
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from numbers(part, f"{place}/{number}")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_every_number_of_the_schemas_has_both_limits(path: Any) -> None:
    """Except where a number stands for a label or a score, which may be any."""
    free = ("/label_values/", "/drop_labels/", "/null_threshold")
    for place, part in numbers(yaml.safe_load(path.read_text(encoding="utf-8"))):
        if not any(name in f"{place}/" for name in free) and not place.endswith(free):
            assert {"maximum", "exclusiveMaximum"} & part.keys(), f"{path.name}{place} has no maximum"
            assert {"minimum", "exclusiveMinimum"} & part.keys(), f"{path.name}{place} has no minimum"


WHOLE, FINITE = "expected a whole number", "expected a finite number"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("batch_size", 1e30, f"{WHOLE}, found 1e+30"),
        ("batch_size", 10**30, "expected at most 65536, found 1000000000000000000000000000000"),
        ("batch_size", 32.0, f"{WHOLE}, found 32.0"),
        ("batch_size", True, f"{WHOLE}, found True"),
        ("max_steps", 3.0, f"{WHOLE} or null, found 3.0"),
        ("epochs", float("nan"), f"{FINITE}, found nan"),
        ("epochs", float("inf"), f"{FINITE}, found inf"),
        ("epochs", 1e9, "expected at most 10000, found 1000000000.0"),
        ("learning_rate", float("-inf"), f"{FINITE}, found -inf"),
        ("warmup_share", float("nan"), f"{FINITE}, found nan"),
        ("dev_share", 1.5, "expected at most 1, found 1.5"),
        pytest.param(
            "examples", 10**5000, "expected a number that can be used, found one of about 5,000 digits", id="huge"
        ),
    ],
)
def test_numbers_that_no_stage_can_use(key: str, value: Any, sentence: str) -> None:
    found = problems(changed(training={"all": {key: value}}))
    assert any(problem.startswith(f"config: training.all.{key}: {sentence}") for problem in found), found


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ([18446744073709551616], "config: seeds[0]: expected at most 9223372036854775807, found 18446744073709551616"),
        ([9223372036854775808], "config: seeds[0]: expected at most 9223372036854775807, found 9223372036854775808"),
        ([1.0], "config: seeds[0]: expected a whole number, found 1.0"),
        (["1.0"], "config: seeds[0]: expected a whole number, found the text '1.0'"),
        (["1" * 5000], "config: seeds[0]: expected a whole number, found the text '11111"),
        ([-1], "config: seeds[0]: expected at least 0, found -1"),
    ],
)
def test_seeds_are_whole_numbers_below_two_to_the_63(seeds: list[Any], sentence: str) -> None:
    assert only(changed(seeds=seeds)).startswith(sentence)


def test_the_largest_seed_is_valid() -> None:
    assert load(changed(seeds=[2**63 - 1])).seeds == (9223372036854775807,)


def test_numbers_must_be_finite_where_a_schema_leaves_the_type_open() -> None:
    pretrain = copy.deepcopy(PRETRAIN)
    pretrain["architecture"]["hidden_dropout_prob"] = float("nan")
    found = problems(changed(models={"m": {"pretrain": pretrain}}))
    assert "config: models.m.pretrain.architecture.hidden_dropout_prob: expected a finite number, found nan" in found
    found = problems(with_tasks(squad_v1={"options": {"null_threshold": float("inf")}}))
    assert any("options.null_threshold: expected a finite number, found inf" in problem for problem in found)


@pytest.mark.parametrize("name", ["tiny\n", "ti/ny", "..", ".hidden", "ti ny", "", "tïny", "x" * 101])
def test_names_of_models_become_folders(name: str) -> None:
    found = str(problems(changed(models={name: {"pretrain": PRETRAIN}})))
    assert "a name of at most 100 letters, digits" in found or "expected at most 100 characters, found 101" in found


@pytest.mark.parametrize("name", ["mixed\n", "Mixed", "mi-xed", "none", "mixed+", "{row}", "x" * 101])
def test_names_of_recipes_become_folders(name: str) -> None:
    found = problems(changed(recipes={name: {"tasks": ["mnli"]}}))
    assert "a name of small letters, digits, underscores" in str(found) or "at most 100 characters" in str(found)


def test_a_line_break_does_not_pass_a_pattern() -> None:
    for value in ("de\n", "DE", "d"):
        found = problems(with_tasks(xnli={"languages": ["en", value]}))
        assert any("is not A language code" in problem for problem in found), found
    model = {"hub": "owner/name\n", "revision": "0" * 40}
    assert "is not a model id of the Hugging Face hub" in str(problems(changed(models={"m": model})))
    folder = {"local": {"folder": "a\n/../..", "splits": {"dev": "dev"}}}
    assert "a name inside the data folder" in str(problems(with_tasks(qqp=folder)))


@pytest.mark.parametrize("text", ["data\0", "a\x1bb", "half\ud83d"])
def test_text_that_no_file_name_can_hold(text: str) -> None:
    found = problems(changed(data_dir=text))
    assert any("data_dir: expected text without control characters" in problem for problem in found)


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("XNLI", ["xnli", "mnli"]) == "did you mean 'xnli'?"
    assert nearest("squad_V1", ["SQuAD_v1", "xnli"]) == "did you mean 'SQuAD_v1'?"
    assert "no such task 'XNLI', did you mean 'xnli'?" in only(changed(targets=["XNLI"]))


def test_names_that_are_made_of_names_stay_within_what_file_systems_hold() -> None:
    recipes = {f"{'x' * 90}{number}": {"tasks": ["mnli"]} for number in range(3)}
    found = problems(changed(recipes={**recipes, "chain": {"sequence": [*recipes, "qqp"]}}, intermediates=["chain"]))
    assert any("has 285 bytes; expected at most 200" in problem for problem in found), found

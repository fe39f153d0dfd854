"""Results are computed once, and functions carry the signature that Snakemake inspects."""

import inspect
from types import SimpleNamespace

from stiltgrid.utils.memoize import memoize
from stiltgrid.workflow.snakemake_patches import sign_functions


def test_a_result_is_computed_once_for_each_arguments() -> None:
    calls: list[object] = []

    @memoize
    def files(model: str, tasks: list[str], training: bool = True) -> list[str]:
        calls.append((model, tuple(tasks), training))
        return [f"{model}/{task}" for task in tasks]

    assert files("tiny", ["mnli", "qqp"]) == ["tiny/mnli", "tiny/qqp"] == files("tiny", ["mnli", "qqp"])
    assert files("tiny", ["qqp", "mnli"]) == ["tiny/qqp", "tiny/mnli"]
    files("tiny", ["mnli"], training=False)
    files("tiny", ["mnli"])
    assert len(calls) == 4
    assert files.__name__ == "files"


def test_functions_of_a_rule_carry_their_signatures() -> None:
    def parameter(wildcards: object) -> int:
        return 1

    def files(wildcards: object, attempt: int) -> str:
        return ""

    wrapped = SimpleNamespace(_file=SimpleNamespace(callable=files))
    sign_functions([SimpleNamespace(input=["a.txt", wrapped], params=[parameter, {"a": 1}])])
    assert list(parameter.__signature__.parameters) == ["wildcards"]  # type: ignore[attr-defined]
    assert inspect.signature(files) is files.__signature__  # type: ignore[attr-defined]
    assert list(inspect.signature(files).parameters) == ["wildcards", "attempt"]


def test_resources_and_what_evaluates_them_carry_their_parameters() -> None:
    from snakemake.common import get_function_params, get_input_function_aux_params
    from snakemake.resources import Resource, Resources

    def memory(wildcards: object, input: object, attempt: int) -> int:
        return 100 * attempt

    asked_for = {"mem_mb": memory, "gpu": 1, "runtime": lambda wildcards: 30}
    made = Resources({name: Resource(name, value) for name, value in asked_for.items()})
    rule = SimpleNamespace(input=[], params=[], resources=made)
    before = {name: dict(get_function_params(made[name].evaluate)) for name in made}
    sign_functions([rule])
    sign_functions([rule])
    for name in made:
        assert dict(get_function_params(made[name].evaluate)) == before[name], "`self` is not among them"
    asked = get_function_params(made["mem_mb"]._evaluator)
    assert list(asked) == ["wildcards", "input", "attempt"] and asked is get_function_params(made["mem_mb"]._evaluator)
    given = {"input": ["a"], "attempt": 2, "threads": 1}
    assert get_input_function_aux_params(memory, given) == {"input": ["a"], "attempt": 2}
    assert made["mem_mb"].evaluate({}, **given).value == 200 and made["runtime"].evaluate({}, **given).value == 30

"""A memoized function is computed once for each set of arguments."""

from stiltgrid.utils.memoize import memoize


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

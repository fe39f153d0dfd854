"""Answers about study 2 for its rules: how targets are counted, and the families of rows and targets."""


def counted(view):
    """How the examples of a view's targets are counted: family, and the options that metrics read."""
    return {
        name: {
            "family": view.cards[name].family,
            "options": {
                **as_params(view.cards[name].options),
                "labels": list(view.cards[name].labels),
            },
        }
        for name in view.targets
    }


def task_families(view):
    """Name of a row or target -> its family; of a row that mixes families, `mixed`."""
    found = {name: view.cards[name].family for name in view.targets}
    for row in view.intermediates:
        kinds = {view.cards[task].family for task in view.recipe(row).tasks}
        found[row] = kinds.pop() if len(kinds) == 1 else "mixed"
    return found

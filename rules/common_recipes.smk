"""Answers about recipes for the rules that prepare and train; `common.smk` holds those of every rule."""

@memoize
def row_sources(row):
    """The names of the prepared rows that a row trains on, in the order of its tasks."""
    tasks = GRID.recipe(row).tasks
    return tuple(recipes.variant_of(GRID, row, task).name for task in tasks)


@memoize
def row_params(model, row):
    """Cards, settings and files of a row's tasks."""
    return [
        {
            **files,
            "settings": as_params(recipes.task_settings(GRID, row, task)),
        }
        for task, files in zip(
            GRID.recipe(row).tasks,
            training_params("intermediate", model, row_sources(row)),
        )
    ]


@memoize
def recipe_settings(intermediate):
    """Settings of a row that mixes tasks are its own; a single task's come with the task."""
    single = len(GRID.recipe(intermediate).tasks) == 1
    if single and not recipes.row_layers(GRID, intermediate):
        return None
    return as_params(recipes.row_settings(GRID, intermediate))


@memoize
def recipe_params(model, row):
    """A row's recipe, with the files that its language modelling reads."""
    recipe = GRID.recipe(row)
    return {
        **as_params(recipe),
        **({} if recipe.mlm is None else language_files(model, recipe.mlm)),
    }


def language_files(model, mlm):
    """Encoded raw text, and what the checkpoint has of a language model's head."""
    length = paths.text_length(GRID.models[model], mlm)
    folder = f"results/models/{model}"
    pretrained = GRID.models[model].pretrain
    return {
        "text": f"results/encoded/{model}/{recipes.text_name(mlm)}/{length}.arrow",
        "head": (
            f"{folder}/backbone/lm_head.safetensors"
            if pretrained
            else f"{folder}/language_head.safetensors"
        ),
    }


@memoize
def recipe_files(model, row):
    """What a row's training reads beside its tasks: raw text, and the word that there are examples enough."""
    recipe = GRID.recipe(row)
    counted = recipe.examples is not None and recipe.upsample is False
    return [
        *([] if recipe.mlm is None else language_files(model, recipe.mlm).values()),
        *([f"results/budgets/{row}.json"] if counted else []),
    ]


@memoize
def variant_parts(name):
    """What prepares a variant: by version the card, its origins, and the languages; the original first."""
    item = VARIANTS[name]
    card, origins = GRID.cards[item.task], GRID.origin_cards(item.task)
    found = recipes.by_version(card, item, GRID.source)
    return [
        {
            "card": version_part(card, version),
            "origins": {
                name: version_part(each, version) for name, each in origins.items()
            },
            "languages": list(found.get(version, ())),
        }
        for version in dict.fromkeys((recipes.ORIGINAL, *found))
    ]


def version_part(card, version):
    """Part of a card with its rows where a version's are; under `hub` also those of one's own."""
    found = recipes.of_version(card, version)
    part = card_view(found, "prepare", GRID.source)
    own = GRID.source == "hub" and found.hub is None and found.local is not None
    return {**part, "local": as_params(found.local)} if own else part


@memoize
def variant_files(name):
    """Files of a mirror whose change must prepare a variant again."""
    item = VARIANTS[name]
    card, origins = GRID.cards[item.task], GRID.origin_cards(item.task)
    found = {
        file
        for version, codes in recipes.by_version(card, item, GRID.source).items()
        for code in codes
        for file in adapters.row_files(
            recipes.of_version(card, version),
            "train",
            code,
            SOURCE,
            True,
            {key: recipes.of_version(each, version) for key, each in origins.items()},
        )
    }
    return sorted({*found, *row_files(item.task, training=True)})

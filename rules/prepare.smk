"""From a source's rows to token ids, and from nothing or the hub to backbones."""


# On a cluster these run on the login node: only they may reach the network, and they compute little.
localrules:
    prepare_train,
    prepare_variant,
    prepare_eval,
    prepare_text,
    convert_model,
    convert_weights,
    fetch_model,
    fetch_language_head,
    count_examples,
    mirror,


rule prepare_train:
    input:
        lambda wildcards: INPUTS.rows(wildcards.task, training=True),
    output:
        train="results/data/{task}/train.parquet",
        dev="results/data/{task}/dev.parquet",
    log:
        "logs/data/{task}/train.log",
    conda:
        "../envs/data.yaml"
    params:
        card=lambda wildcards: PARAMS.prepared_card(wildcards.task),
        origins=lambda wildcards: PARAMS.origins(wildcards.task),
        languages=lambda wildcards: list(GRID.cards[wildcards.task].train_languages),
        source=PARAMS.source(),
        code=lambda wildcards: CODE.prepare("prepare_train", wildcards.task),
    script:
        "../workflow_scripts/prepare_train.py"


rule prepare_variant:
    # A task's training rows in other languages or of another version; its development rows stay English.
    input:
        lambda wildcards: INPUTS.variant(wildcards.variant),
    output:
        train="results/data/{variant}/train.parquet",
        dev="results/data/{variant}/dev.parquet",
    log:
        "logs/data/{variant}/train.log",
    conda:
        "../envs/data.yaml"
    params:
        parts=lambda wildcards: PARAMS.variant(wildcards.variant),
        dev_languages=lambda wildcards: list(
            GRID.cards[INPUTS.plain_task(wildcards.variant)].train_languages
        ),
        source=PARAMS.source(),
        code=lambda wildcards: CODE.prepare(
            "prepare_variant", INPUTS.plain_task(wildcards.variant)
        ),
    script:
        "../workflow_scripts/prepare_variant.py"


rule count_examples:
    # Whether there are the examples that a recipe asks for, before anything is trained.
    input:
        lambda wildcards: [
            f"results/data/{name}/train.parquet"
            for name in INPUTS.row_data(wildcards.intermediate)
        ],
    output:
        "results/budgets/{intermediate}.json",
    log:
        "logs/budgets/{intermediate}.log",
    priority: 200
    conda:
        "../envs/data.yaml"
    params:
        recipe=lambda wildcards: as_params(GRID.recipe(wildcards.intermediate)),
        code=lambda wildcards: CODE.plain("count_examples"),
    script:
        "../workflow_scripts/count_examples.py"


rule prepare_eval:
    input:
        lambda wildcards: INPUTS.rows(wildcards.target, training=False),
    output:
        "results/data/{target}/eval.parquet",
    log:
        "logs/data/{target}/eval.log",
    conda:
        "../envs/data.yaml"
    params:
        card=lambda wildcards: PARAMS.prepared_card(wildcards.target),
        origins=lambda wildcards: PARAMS.origins(wildcards.target),
        languages=lambda wildcards: list(GRID.languages(wildcards.target)),
        splits=lambda wildcards: list(GRID.eval_splits(wildcards.target)),
        examples=lambda wildcards: GRID.evaluation_for(wildcards.target).examples,
        source=PARAMS.source(),
        code=lambda wildcards: CODE.prepare("prepare_eval", wildcards.target),
    script:
        "../workflow_scripts/prepare_eval.py"


rule prepare_text:
    input:
        lambda wildcards: INPUTS.text(wildcards.text),
    output:
        "results/text/{text}.parquet",
    log:
        "logs/text/{text}.log",
    wildcard_constraints:
        text=paths.pattern([*PRETRAINED, *INPUTS.texts]),
    # Pretraining, the longest job, waits for these two.
    priority: 100
    conda:
        "../envs/data.yaml"
    params:
        languages=lambda wildcards: list(
            INPUTS.text_request(wildcards.text)["languages"]
        ),
        characters=lambda wildcards: INPUTS.text_request(wildcards.text).get(
            "characters"
        ),
        source=PARAMS.source(),
        code=lambda wildcards: CODE.text("prepare_text"),
    script:
        "../workflow_scripts/prepare_text.py"


rule convert_model:
    input:
        lambda wildcards: INPUTS.converted(),


rule convert_weights:
    # The only job that reads a pickle, with the restricted unpickler.
    output:
        directory("results/models/{model}/converted"),
    log:
        "logs/models/{model}/convert.log",
    wildcard_constraints:
        model=paths.pattern(CONVERTED),
    conda:
        "../envs/data.yaml"
    params:
        model=lambda wildcards: PARAMS.pickled_origin(wildcards.model),
        code=lambda wildcards: CODE.plain("convert_model"),
    script:
        "../workflow_scripts/convert_model.py"


rule fetch_model:
    input:
        lambda wildcards: INPUTS.origin(wildcards.model),
    output:
        tokenizer=TOKENIZER,
        backbone=multiext("results/models/{model}/backbone/", *paths.CHECKPOINT),
    log:
        "logs/models/{model}/fetch.log",
    wildcard_constraints:
        model=paths.pattern(FETCHED),
    conda:
        "../envs/data.yaml"
    params:
        model=lambda wildcards: PARAMS.model_origin(wildcards.model),
        mirror=lambda wildcards: PARAMS.model_mirror(wildcards.model),
        code=lambda wildcards: CODE.plain("fetch_model"),
    script:
        "../workflow_scripts/fetch_model.py"


rule fetch_language_head:
    # Not part of fetch_model, because only rows with language modelling need it.
    input:
        lambda wildcards: INPUTS.origin(wildcards.model),
    output:
        "results/models/{model}/language_head.safetensors",
    log:
        "logs/models/{model}/language_head.log",
    wildcard_constraints:
        model=paths.pattern(FETCHED),
    conda:
        "../envs/data.yaml"
    params:
        model=lambda wildcards: PARAMS.model_origin(wildcards.model),
        mirror=lambda wildcards: PARAMS.model_mirror(wildcards.model),
        code=lambda wildcards: CODE.plain("fetch_language_head"),
    script:
        "../workflow_scripts/fetch_language_head.py"


rule train_tokenizer:
    input:
        "results/text/{model}.parquet",
    output:
        TOKENIZER,
    log:
        "logs/models/{model}/tokenizer.log",
    wildcard_constraints:
        model=paths.pattern(PRETRAINED),
    priority: 100
    conda:
        "../envs/data.yaml"
    params:
        tokenizer=lambda wildcards: PARAMS.tokenizer(wildcards.model),
        code=lambda wildcards: CODE.plain("train_tokenizer"),
    script:
        "../workflow_scripts/train_tokenizer.py"


rule pretrain_backbone:
    input:
        text=["results/text/{model}.parquet"],
        tokenizer=TOKENIZER,
    output:
        multiext("results/models/{model}/backbone/", *paths.CHECKPOINT),
        lm_head="results/models/{model}/backbone/lm_head.safetensors",
        record=multiext(
            "results/models/{model}/backbone/", "pretraining.json", "log.jsonl"
        ),
    log:
        "logs/models/{model}/backbone.log",
    benchmark:
        "results/benchmarks/pretrain_backbone/{model}.tsv"
    wildcard_constraints:
        model=paths.pattern(PRETRAINED),
    priority: 100
    conda:
        "../envs/training.yaml"
    # The mini-lab's rows and token ids are made beside it. A second thread saves a fifth to a third of the time and takes
    # 1.4 times the CPU.
    threads: 1
    resources:
        **TRACKED,
        gpu=1,
        save_seconds=600,
    params:
        pretrain=lambda wildcards: PARAMS.pretraining(wildcards.model),
        code=lambda wildcards: CODE.plain("pretrain_backbone"),
    script:
        "../workflow_scripts/pretrain_backbone.py"


rule encode_train:
    input:
        train="results/data/{task}/train.parquet",
        dev="results/data/{task}/dev.parquet",
        model=lambda wildcards: INPUTS.encoding(wildcards.model),
    output:
        train="results/encoded/{model}/{task}/train.arrow",
        dev="results/encoded/{model}/{task}/dev.arrow",
    log:
        "logs/encoded/{model}/{task}/train.log",
    wildcard_constraints:
        task=f"[a-z0-9_]+|{paths.pattern(INPUTS.variants)}",
    conda:
        "../envs/data.yaml"
    params:
        card=lambda wildcards: PARAMS.encoded_card(wildcards.task),
        max_length=lambda wildcards: PARAMS.sequence_length(
            wildcards.model, wildcards.task
        ),
        code=lambda wildcards: CODE.families(
            "encode_train", [INPUTS.plain_task(wildcards.task)]
        ),
    script:
        "../workflow_scripts/encode_train.py"


rule encode_text:
    input:
        text="results/text/{text}.parquet",
        model=lambda wildcards: INPUTS.encoding(wildcards.model),
    output:
        "results/encoded/{model}/{text}/{length}.arrow",
    log:
        "logs/encoded/{model}/{text}/{length}.log",
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: resources.text_memory_mb(
            input.text, attempt
        ),
    params:
        length=lambda wildcards: int(wildcards.length),
        code=lambda wildcards: CODE.plain("encode_text"),
    script:
        "../workflow_scripts/encode_text.py"


rule encode_eval:
    input:
        rows="results/data/{target}/eval.parquet",
        model=lambda wildcards: INPUTS.encoding(wildcards.model),
    output:
        "results/encoded/{model}/{target}/eval.arrow",
    log:
        "logs/encoded/{model}/{target}/eval.log",
    conda:
        "../envs/data.yaml"
    params:
        card=lambda wildcards: PARAMS.encoded_card(wildcards.target),
        max_length=lambda wildcards: PARAMS.sequence_length(
            wildcards.model, wildcards.target
        ),
        code=lambda wildcards: CODE.families("encode_eval", [wildcards.target]),
    script:
        "../workflow_scripts/encode_eval.py"


rule mirror:
    # Requested by name (`make mirror`), on a machine with internet; keeps what is there already.
    log:
        "logs/mirror.log",
    conda:
        "../envs/data.yaml"
    params:
        folder=DATA_DIR,
    script:
        "../workflow_scripts/mirror.py"

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.preparation import encode
from stiltgrid.preparation.encode import encode_file, usable_length
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.common import put_labels
from stiltgrid.tasks.families.sequence import SequenceClassification
from stiltgrid.utils.errors import SourceError
from tiny_models import sequence_card, sequence_rows


@pytest.fixture()
def rows(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(sequence_rows(11, "en", "train", 1), schema=family("sequence").schema), path)
    return path


def test_reading_in_slices_changes_nothing(rows, tiny_tokenizer_folder, tmp_path, monkeypatch):
    encode_file(sequence_card(), rows, tiny_tokenizer_folder, tmp_path / "whole.arrow", 64, True)
    monkeypatch.setattr(encode, "ROWS_AT_ONCE", 3)
    encode_file(sequence_card(), rows, tiny_tokenizer_folder, tmp_path / "slices.arrow", 64, True)
    whole, slices = read_encoded(tmp_path / "whole.arrow"), read_encoded(tmp_path / "slices.arrow")
    assert whole.table.equals(slices.table)
    assert whole.examples.tolist() == list(range(11))


def test_sequences_are_laid_out_and_cut_as_the_tokenizer_says(rows, tiny_tokenizer, tiny_tokenizer_folder, tmp_path):
    encode_file(sequence_card(), rows, tiny_tokenizer_folder, tmp_path / "a.arrow", 10, True)
    data = read_encoded(tmp_path / "a.arrow")
    first = data.tokens["input_ids"][: data.lengths[0]].tolist()
    row = sequence_rows(11, "en", "train", 1)[0]
    ids = tiny_tokenizer.ids([row["text_a"], row["text_b"]])
    assert first == tiny_tokenizer.join_truncated(*ids, 10)
    assert data.lengths.max() == 10


def test_length_follows_the_backbone(tmp_path, caplog):
    config = {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert usable_length(512, tmp_path) == 512
    assert usable_length(600, tmp_path) == 512
    assert "512 tokens" in caplog.text
    assert usable_length(600, None) == 600
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mt5"}))
    assert usable_length(2048, tmp_path) == 2048


def test_rows_without_sequences_are_refused_in_scoring_and_told_in_training(
    rows, tiny_tokenizer_folder, tmp_path, monkeypatch, caplog
):
    def lossy(self, card, table, tokenizer, max_length, training):
        return {"input_ids": [[0, 2]] * (table.num_rows - 1), "example": list(range(1, table.num_rows))}

    monkeypatch.setattr(SequenceClassification, "encode", lossy)
    with pytest.raises(SourceError, match=r"rows.parquet: 1 rows yield no sequence, the first is row 1"):
        encode_file(sequence_card(), rows, tiny_tokenizer_folder, tmp_path / "a.arrow", 64, False)
    assert not (tmp_path / "a.arrow").exists()
    encode_file(sequence_card(), rows, tiny_tokenizer_folder, tmp_path / "a.arrow", 64, True)
    assert "1 of 11 rows yield no training sequence" in caplog.text


def test_labels_collected_from_data_travel_with_the_encoded_file(rows, tiny_tokenizer_folder, tmp_path):
    table = pq.read_table(rows)
    pq.write_table(table.cast(put_labels(table.schema, ["yes", "no"])), rows)
    encode_file(sequence_card(), rows, tiny_tokenizer_folder, tmp_path / "a.arrow", 64, True)
    assert read_encoded(tmp_path / "a.arrow").table.schema.metadata[b"labels"] == b'["yes", "no"]'

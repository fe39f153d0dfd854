import pytest
from stiltgrid.modeling.tokenization import SubwordTokenizer, read_special_tokens
from stiltgrid.utils.errors import SourceError


def test_pairs_stand_as_xlm_r_wants_them(tiny_tokenizer):
    assert tiny_tokenizer.join([7, 8]) == [0, 7, 8, 2]
    assert tiny_tokenizer.join([7], [8]) == [0, 7, 2, 2, 8, 2]
    assert tiny_tokenizer.special_count(1) == 2 and tiny_tokenizer.special_count(2) == 4


@pytest.mark.parametrize(
    ("first", "second", "room", "kept"),
    [
        (6, 2, 6, (4, 2)),
        (2, 6, 6, (2, 4)),
        (6, 6, 6, (3, 3)),
        (7, 4, 5, (3, 2)),
        (3, 3, 6, (3, 3)),
        (5, None, 3, (3, 0)),
    ],
)
def test_the_longer_segment_is_cut_first(tiny_tokenizer, first, second, room, kept):
    a, b = list(range(100, 100 + first)), None if second is None else list(range(200, 200 + second))
    length = room + tiny_tokenizer.special_count(1 if b is None else 2)
    found = tiny_tokenizer.join_truncated(a, b, length)
    assert len(found) == min(length, first + (second or 0) + tiny_tokenizer.special_count(1 if b is None else 2))
    ours = ([item for item in found if 100 <= item < 200], [item for item in found if item >= 200])
    assert (len(ours[0]), len(ours[1])) == kept
    assert ours[0] == a[: kept[0]]


def test_offsets_are_characters_of_the_text_as_given(tiny_tokenizer):
    text = "老灯塔 ﬁne ประภาคาร"
    pieces = tiny_tokenizer.pieces([text])[0]
    assert pieces.ends[-1] == len(text)
    assert all(0 <= start <= end <= len(text) for start, end in zip(pieces.starts, pieces.ends, strict=True))


def test_word_ids_point_at_words(tiny_tokenizer):
    ids, words = tiny_tokenizer.word_ids([["lighthouse", "on", "老灯塔"]])[0]
    assert len(ids) == len(words) and sorted(set(words)) == [0, 1, 2] and words == sorted(words)


def test_special_tokens_are_read_without_the_vocabulary(tiny_tokenizer_folder, tmp_path):
    special = read_special_tokens(tiny_tokenizer_folder)
    assert (special.pad, special.mask, special.around) == (1, 4, (0, 2))
    with pytest.raises(SourceError, match="special_tokens.json"):
        read_special_tokens(tmp_path)


def test_a_broken_tokenizer_names_its_folder(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(SourceError, match=tmp_path.name):
        SubwordTokenizer(tmp_path)

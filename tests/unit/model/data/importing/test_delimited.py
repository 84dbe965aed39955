"""Text files with values between separators, as spreadsheets, scripts and editors write them."""

import codecs

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.data.importing.delimited import read_rows
from model.errors import InvalidInput

HEADER, ROW = ["file", "label"], ["Käse/1.jpg", "Käse, alt"]


def recognised(names):
    return sum(name in {"file", "label", "path"} for name in names)


def rows(path, data):
    path = path / "table.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_rows(path, recognised))


def refusal(path, data):
    with pytest.raises(InvalidInput) as caught:
        rows(path, data)
    assert "table.csv" in caught.value.headline
    return caught.value


TEXT = 'file,label\r\nKäse/1.jpg,"Käse, alt"\r\n'


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.replace("\r\n", "\n").encode(),
        TEXT.replace("\r\n", "\r").encode(),
        TEXT.replace(",", ";").replace("; alt", ", alt").encode(),
        TEXT.replace(",", "\t").replace("\t alt", ", alt").encode(),
        TEXT.replace(",", "|").replace("| alt", ", alt").encode(),
        ("sep=;\r\n" + TEXT.replace(",", ";").replace("; alt", ", alt")).encode(),
        codecs.BOM_UTF8 + ('"sep=,"\r\n' + TEXT).encode(),
        TEXT.rstrip().encode(),
        TEXT.encode() + b"\r\n\r\n   \r\n , \r\n",
    ],
    ids=[
        *("utf-8", "utf-8 mark", "utf-16", "utf-16 be", "utf-32", "lf", "cr", "semicolon", "tab", "bar", "sep line"),
        *("sep line and mark", "no last line end", "blank lines"),
    ],
)
def test_every_usual_way_to_write_a_table_gives_the_same_rows(tmp_path, data):
    assert [values for _, values in rows(tmp_path, data)] == [HEADER, ROW]


def test_rows_have_the_number_of_the_line_they_start_on(tmp_path):
    text = 'file,label\n\na,"two\nlines"\n\n\nb,c\n,\nd,e\n'
    assert rows(tmp_path, text) == [
        (1, HEADER),
        (3, ["a", "two\nlines"]),
        (7, ["b", "c"]),
        (9, ["d", "e"]),
    ]


@settings(max_examples=60, deadline=None)
@example(table=[[" ", " "], ["a", " "]], separator=",", encoding="utf-8")
@given(
    table=st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9), min_size=2, max_size=2),
        max_size=5,
    ),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_writer_of_tables_writes_is_read_again(table, separator, encoding, tmp_path_factory):
    import csv

    path = tmp_path_factory.mktemp("tables") / "table.csv"
    with path.open("w", newline="", encoding=encoding) as stream:
        csv.writer(stream, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([HEADER, *table])
    filled = [row for row in table if any(value.strip() for value in row)]  # rows that hold nothing are passed over
    assert [values for _, values in read_rows(path, recognised)] == [HEADER, *filled]


def test_latin_1_is_refused_by_line_and_column_with_the_command_that_helps(tmp_path):
    error = refusal(tmp_path, "file,label\na.jpg,ok\nb.jpg,Käse\n".encode("latin-1"))
    assert "line 3, column 2" in error.headline
    assert "K\\xe4se" in error.headline
    assert "iconv" in error.hint


def test_utf_16_without_its_mark_is_refused(tmp_path):
    error = refusal(tmp_path, TEXT.encode("utf-16-le"))
    assert "NUL" in error.headline
    assert "UTF-16" in error.hint


def test_a_nul_byte_is_refused_by_line_and_column(tmp_path):
    assert "line 2, column 1" in refusal(tmp_path, "file,label\na\0.jpg,x\n").headline


def test_half_a_utf_16_file_is_refused(tmp_path):
    assert "ends early" in refusal(tmp_path, TEXT.encode("utf-16")[:-1]).headline


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('file,label\na,b\nc,"d\ne,f\n', "line 3: a quote is opened and never closed"),
        ('file,label\na,"b" c\n', "line 2: text stands behind a closing quote"),
    ],
)
def test_broken_quotes_are_refused_by_their_line(tmp_path, text, said):
    error = refusal(tmp_path, text)
    assert said in error.headline
    assert "quote" in error.hint


def test_a_long_value_is_read_and_one_without_end_is_refused(tmp_path):
    _, (_, value) = rows(tmp_path, "file,label\na," + "x" * 2_000_000)[1]
    assert len(value) == 2_000_000
    assert "16,777,216 characters" in refusal(tmp_path, "file,label\na," + "x" * (2**24 + 1)).headline


def test_an_empty_file_has_no_rows(tmp_path):
    assert rows(tmp_path, "") == rows(tmp_path, "\n\n") == rows(tmp_path, codecs.BOM_UTF8) == []

"""What a template puts into a text is quoted by its language, or a word of it."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from hubgw.profiles import templates
from hubgw.profiles.templates import Word, fill


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(templates, "_PLACES", (tmp_path,))
    return tmp_path


def test_every_value_is_quoted_and_a_word_is_not(folder: Path) -> None:
    (folder / "t").write_text("{{ word }} = {{ value }}{% for one in many %} {{ one }}{% endfor %}.\n")
    text = fill("t", lambda value: f"<{value}>", word=Word("a-b_1"), value="x", many=[1, "y"])
    assert text == "a-b_1 = <x> <1> <y>.\n"


def test_what_is_made_of_a_word_is_quoted(folder: Path) -> None:
    (folder / "t").write_text("{{ word + '}' }}")
    assert fill("t", lambda value: f"<{value}>", word=Word("a")) == "<a}>"


def test_a_value_that_is_not_there_is_an_error(folder: Path) -> None:
    (folder / "t").write_text("{{ value }}")
    with pytest.raises(UndefinedError):
        fill("t", str)


@pytest.mark.parametrize("text", ["", "a b", "a.b", "a{", "a\n", "\u00e4"])
def test_what_is_no_word(text: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        Word(text)

"""Whatever value a text has, its language reads it as it was."""

import shlex
import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hubgw.profiles import networkmanager, strongswan, windows
from hubgw.profiles.templates import fill
from tests.lab.platforms import keyfile
from tests.powershell import lines
from tests.settings_language import parse

PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=60)
LANGUAGE = st.text("'\"\\`$(){}#;= \u2018\u2019\u201a\u201bna0s", max_size=30)


@given(PRINTABLE | LANGUAGE)
def test_powershell(value: str) -> None:
    assert [*lines(f"Name = {windows.quoted(value)}")] == [["Name", value]]


@given(PRINTABLE | LANGUAGE)
def test_settings(value: str) -> None:
    assert parse(f"a {{\n  b = {strongswan.quoted(value)}\n}}\n") == {"a": {"b": value}}


@given((PRINTABLE | LANGUAGE).map(str.strip))
def test_key_files(value: str) -> None:
    assert keyfile(f"[vpn]\nuser={networkmanager.escaped(value)}\n")["vpn"]["user"].replace("\\\\", "\\") == value


@settings(max_examples=25)
@given(st.text("'\"\\`$(){}#;=% \u2019na0s", max_size=20))
def test_a_users_name_in_the_script_that_asks(value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script"
        text = fill(
            "strongswan/linux/password.j2",
            shlex.quote,
            name="eap-x",
            key="id",
            value=strongswan.quoted(value),
            path="out",
            of_key=False,
        )
        script.write_text(text)
        subprocess.run(["sh", str(script)], input="x\n", text=True, check=True, capture_output=True)
        assert parse((Path(folder) / "out").read_text())["secrets"]["eap-x"]["id"] == value

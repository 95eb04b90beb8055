"""The server of ``mixvae explore`` over HTTP, and the command."""

import socket
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mixvae
from mixvae import data
from mixvae.app import Explorer, server
from mixvae.cli import main
from mixvae.run import save_recipe, save_weights, write_json
from pages import explorer_of, post, serving

pytestmark = pytest.mark.usefixtures("unchecked")
SMALL: dict[str, Any] = {"hidden": [8], "n_latent": 2}
ROW = {"example": {"split": "test", "row": 1}}


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    digits = data.load("digits").subset(80)
    return explorer_of(digits, "mixture-vae", n_components=3, start="random", **SMALL)


@pytest.fixture(scope="module")
def url(explorer: Explorer) -> Any:
    with serving(explorer) as address:
        yield address


def test_the_page_comes_with_headers_that_keep_others_out(url: str) -> None:
    for path in ("", "script.js", "style.css"):
        with urllib.request.urlopen(url + path) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
            assert b"http://" not in answer.read()  # no external resources


def test_several_requests_at_a_time_have_their_own_answers(url: str, explorer: Explorer) -> None:
    asked = [{"example": {"split": "test", "row": row}} for row in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: post(url + "api/decode", one)[1], asked))
    assert found == [explorer.decode(one) for one in asked]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example:1"])
def test_another_host_is_refused(url: str, host: str) -> None:
    status, answer = post(url + "api/about", Host=host)
    assert status == 403
    assert "use 127.0.0.1" in answer["error"]


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.2:80", "[::1]:80"])
def test_this_machine_s_own_names_are_accepted(url: str, host: str) -> None:
    assert post(url + "api/about", Host=host)[0] == 200


def test_another_web_site_is_refused(url: str) -> None:
    assert post(url + "api/about", Origin="http://evil.example")[0] == 403
    assert post(url + "api/about", Origin=url.rstrip("/"))[0] == 200


@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        ("decode", b"{", 400, "not JSON"),
        ("decode", b"[" * 100_000, 400, "not JSON"),
        ("decode", b"[]", 400, "JSON object"),
        ("decode", b"1" * (server.MAX_JSON + 1), 413, "at most 1 MiB"),
        ("decode", ROW | {"weights": [0, 0, 0]}, 422, "all weights are 0"),
        ("image", b"\x89PNG", 422, "cannot be read as an image"),
        ("csv", b"a\n1", 422, "this run is of images"),
    ],
)
def test_a_bad_request_has_an_error_of_one_line(
    url: str, path: str, content: Any, status: int, message: str
) -> None:
    found, answer = post(f"{url}api/{path}", content)
    assert found == status
    assert message in answer["error"]
    assert "\n" not in answer["error"]


def test_an_upload_that_is_too_large_is_not_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_FILE", 2**20)
    assert post(url + "api/image", b"0" * (2**20 + 1)) == (
        413,
        {"error": "at most 1 MiB are read; give a smaller file."},
    )


def test_an_upload_of_another_shape_can_be_converted(url: str) -> None:
    content = BytesIO()
    Image.new("L", (16, 16)).save(content, "PNG")
    status, answer = post(url + "api/image?resize=0", content.getvalue())
    assert (status, answer["can_convert"]) == (422, True)
    status, answer = post(url + "api/image?resize=1", content.getvalue())
    assert "resized from 16 x 16 to 8 x 8" in answer["notes"][0]
    assert post(url + "api/decode", {"example": answer})[1]["name"].startswith("uploaded image")


def test_a_fault_of_the_program_is_one_line_too(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(asked: Any) -> Any:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(explorer, "sample", broken)
    with serving(explorer) as address:
        assert post(address + "api/sample") == (500, {"error": "ZeroDivisionError: a b"})
    assert "Traceback" in capsys.readouterr().err


# ---- the command ----


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run folder as training leaves it, but for figures and pictures."""
    out, digits = tmp_path_factory.mktemp("one"), data.load("digits")
    recipe = mixvae.build("vae", digits, **SMALL)
    save_recipe(recipe, out)
    save_weights(recipe, out)
    write_json(out / "data.json", digits.describe())
    (out / "config.yaml").write_text("data: digits\n")
    return str(out)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is stopped by Ctrl-C as soon as it starts."""

    def stop(self: Any, sockets: Any = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("uvicorn.Server.run", stop)


@pytest.mark.usefixtures("stopped")
def test_the_command_serves_until_ctrl_c(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(server.sys, "platform", "linux")
    assert main(["explore", folder, "--port", "0"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("http://127.0.0.1:")
    assert "No browser could be opened" in said.err
    assert main(["explore", folder, "--port", "0", "--no-browser", "--host", "0.0.0.0"]) == 0
    assert "it has no password" in capsys.readouterr().err


def test_commands_that_cannot_serve(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["explore", folder, "--port", port]) == 2
        assert f"port {port} of 127.0.0.1 is in use; give another" in capsys.readouterr().err
    for words, message in [
        ([str(tmp_path)], "is not a run folder"),
        ([], "name a run folder"),
        ([folder, "--port", "70000"], "port must be at most 65535"),
        ([folder, "--host", "256.1.1.1"], "no address of this machine"),
    ]:
        assert main(["explore", *words]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["explore", folder]) == 2
    assert "pip install 'mixvae[app]'" in capsys.readouterr().err


def test_an_unfinished_run_is_refused_in_one_line(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("recipe.json", "data.json", "config.yaml"):
        (tmp_path / name).write_bytes((Path(folder) / name).read_bytes())
    assert main(["explore", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "the run was not finished" in error
    assert error.count("\n") == 1

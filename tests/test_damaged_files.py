"""Files of a run that were damaged, or made by somebody else: one error that names them, soon."""

import json
import os
import random
import shutil
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import mixvae
from cases import saying
from mixvae import data
from mixvae.cli import main
from mixvae.errors import MixvaeError
from mixvae.run import save_recipe, save_weights

QUICK = ("--accelerator", "cpu", "--progress=false", "--pictures=false", "--batch-size=128")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of two epochs, from the command line."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    line = "train m-vae --data digits --subset 256 --n-components 2 --n-latent 2 --hidden 4"
    line += f" --max-epochs 2 --out {folder}"
    assert main([*line.split(), *QUICK]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def flipped(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ rng.randrange(1, 256)]) + content[place + 1 :]


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# -- weights


def test_one_altered_byte_anywhere_in_the_weights_is_noticed(run):
    path, rng = run / "model.safetensors", random.Random(0)
    whole = path.read_bytes()
    for _ in range(60):
        path.write_bytes(flipped(whole, rng))
        with pytest.raises(MixvaeError, match=r"model\.safetensors"):
            mixvae.load(run)
    header = whole[: 8 + int.from_bytes(whole[:8], "little")]
    blank = header.rindex(b" ") if header.endswith(b" ") else header.index(b"sha256")
    path.write_bytes(whole[:blank] + b"\t" + whole[blank + 1 :])
    with pytest.raises(MixvaeError, match=r"model\.safetensors"):
        mixvae.load(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_never_written(run, value):
    recipe = mixvae.load(run).recipe
    before = (run / "model.safetensors").read_bytes()
    with torch.no_grad():
        next(recipe.model.parameters()).view(-1)[0] = value
    with pytest.raises(MixvaeError, match="NaN or infinite weights"):
        save_weights(recipe, run)
    assert (run / "model.safetensors").read_bytes() == before
    assert not list(run.glob(".model*"))


def test_weights_without_our_checksum_are_refused(run):
    path = run / "model.safetensors"
    weights = load_file(path)
    save_file(weights, path, {"recipe": json.dumps(mixvae.load(run).recipe.to_dict())})
    with pytest.raises(MixvaeError, match="no checksum"):
        mixvae.load(run)


def test_whole_numbers_in_place_of_weights_are_refused(run):
    recipe = mixvae.load(run).recipe
    recipe.model.to(torch.float64)
    save_weights(recipe, run)
    with pytest.raises(MixvaeError, match="the weights of another recipe"):
        mixvae.load(run)


def spoil_checkpoint(path: Path, value: float) -> None:
    content = torch.load(path, weights_only=True)
    next(iter(content["model"].values())).view(-1)[0] = value
    torch.save(content, path)


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_resuming_refuses_a_checkpoint_whose_weights_are_not_finite(run, name, value):
    spoil_checkpoint(run / "checkpoints" / name, value)
    before = (run / "model.safetensors").read_bytes()
    dataset = data.load("digits").subset(256)
    with pytest.raises(MixvaeError, match=rf"{name} has NaN or infinite weights"):
        mixvae.resume(run, dataset, max_epochs=3, progress=False, pictures=False)
    assert (run / "model.safetensors").read_bytes() == before


def test_an_altered_number_in_a_checkpoint_is_noticed(run, capsys):
    path = run / "checkpoints" / "last.ckpt"
    content = path.read_bytes()
    number = next(iter(torch.load(path, weights_only=True)["model"].values()))
    place = content.index(number.numpy().tobytes())
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert main(["train", "--resume", str(run), "--max-epochs", "3", *QUICK[:4]]) == 2
    assert "was altered" in capsys.readouterr().err


# -- sizes in recipe.json


@pytest.mark.parametrize(
    "options",
    [
        {"n_latent": 10**9},
        {"n_components": 10**9},
        {"hidden": [10**6, 10**6]},
        {"hidden": [2] * 10**4},
    ],
)
@pytest.mark.parametrize("consistent", [False, True])
def test_a_recipe_larger_than_its_weights_is_refused_at_once(run, options, consistent):
    """Also where the weights' file names the same recipe."""
    recipe = mixvae.load(run).recipe
    huge = saying(recipe, recipe.options | options)
    save_recipe(huge, run)
    if consistent:
        save_weights(huge, run)
    started = time.perf_counter()
    with pytest.raises(MixvaeError, match="the weights of another recipe"):
        mixvae.load(run)
    with pytest.raises(MixvaeError, match="the weights of another recipe"):
        mixvae.resume(run, data.load("digits").subset(256), max_epochs=3)
    assert time.perf_counter() - started < 5


# -- JSON and CSV

MALFORMED = {
    "deep": "[" * 100_000,
    "nested": '{"a": ' * 50 + "1" + "}" * 50,
    "a list": "[]",
    "null": "null",
    "empty": "",
    "NaN": '{"format": NaN}',
    "infinite": '{"format": 1e999}',
    "huge": '{"format": 1' + "0" * 5000 + "}",
    "no text": b"\xff\xfe\x00",
    "too large": " " * (1 << 24) + "{}",
    "nothing in it": "{}",
    "other types": '{"format": 2, "recipe": ["vae"], "x_shape": 3, "options": []}',
    "other options": '{"format": 2, "recipe": "vae", "x_shape": ["a"], "options": {"hidden": 1}}',
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("name", ["recipe.json", "training.json", "data.json"])
def test_malformed_json_is_one_error_that_names_the_file(run, capsys, name, content):
    if isinstance(content, str):
        content = content.encode()
    (run / name).write_bytes(content)
    assert main(["train", "--resume", str(run), "--max-epochs", "3", *QUICK[:4]]) == 2
    said = capsys.readouterr().err
    assert name in said or "other data" in said or "holds the weights of" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("max_epochs", v) for v in ("4", 4.5, None, True, [4])],
        *[("lr", v) for v in ("1", None, True, {})],
        *[("precision", v) for v in (32, None, "64")],
        *[("patience", v) for v in ("2", 2.5, False)],
        ("seed", 1.5),
    ],
)
def test_settings_of_another_type_are_refused(run, name, value):
    edit(run / "training.json", **{name: value})
    with pytest.raises(MixvaeError, match=rf"training\.json.*{name}|precision"):
        mixvae.resume(run, data.load("digits").subset(256))


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_damaged_figures_do_not_cost_the_model(run, content):
    content = content.encode() if isinstance(content, str) else content
    path = run / "metrics.json"
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metrics = mixvae.load(run).metrics
    assert not metrics or metrics.keys() == {"format", "recipe", "x_shape", "options"}
    assert caught or content.startswith(b'{"format": 2,') or content == b"{}"


def test_rows_of_the_log_that_are_damaged_are_counted_and_left_out(run):
    path = run / "log.csv"
    head, _, first, second = path.read_text().splitlines()
    path.write_text("\n".join([head, first, second.replace(".", "x", 1), '"', "1,2", first]))
    with pytest.warns(UserWarning, match=r"log\.csv is damaged: 3 of its 5 rows"):
        history = mixvae.load(run).history
    assert [row["epoch"] for row in history] == [1, 1]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xff", b"\0" * 1000, b"a,b\n1,2", b'"epoch\n1', b"\n" * 9]
)
def test_a_log_without_its_columns_does_not_cost_the_model(run, content):
    (run / "log.csv").write_bytes(content)
    with pytest.warns(UserWarning, match="history is left out"):
        assert mixvae.load(run).history == []


# -- YAML

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "aliases are not read"),
        ("a: " + "[" * 10_000, "nested too deeply"),
        ("a: 1\n" * (1 << 17), "larger than"),
        ("when: 2024-99-99", "cannot be read as YAML"),
        ("a: 1" + "0" * 5000, "cannot be read as YAML"),
        ("? [a]\n: 1", "cannot be read as YAML"),
        ("!!python/object/apply:os.system ['touch exploited']", "cannot be read as YAML"),
        ("a: \x07", "cannot be read as YAML"),
        ("[a]", "must hold options"),
        ("1: 2", "must hold options"),
        ("n_components: [[4]]", "--n-components takes int"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_at_once(
    tmp_path, capsys, monkeypatch, content, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(content)
    started = time.perf_counter()
    assert main(["train", "m-vae", "--data=digits", "--config", "c.yaml"]) == 2
    assert said in capsys.readouterr().err
    assert time.perf_counter() - started < 5
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("path", ["/dev/zero", "/dev", "pipe", "/dev/null"])
def test_only_plain_files_are_read_as_a_config(tmp_path, capsys, path):
    if path == "pipe":
        os.mkfifo(path := str(tmp_path / "pipe"))
    assert main(["train", "m-vae", "--data=digits", "--config", path]) == 2
    assert "must be a plain file" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no /dev/fd here")
def test_a_config_may_come_from_a_command(capsys):
    """As in bash: --config <(command)."""
    out, into = os.pipe()
    threading.Thread(target=lambda: (os.write(into, b"no_option: 1"), os.close(into))).start()
    assert main(["train", "m-vae", "--data=digits", "--config", f"/dev/fd/{out}"]) == 2
    os.close(out)
    assert "unknown key 'no_option'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("subset: {a: 1}", "--subset takes int"),
        ("n_val: many", "--n-val takes int"),
        ("data_seed: 1.5", "--data-seed takes int"),
        ("binarize: never", "--binarize takes"),
        ("image_size: 3", "--image-size takes"),
    ],
)
def test_what_a_runs_config_says_of_its_data_is_checked(run, capsys, line, said):
    path = run / "config.yaml"
    name = line.split(":")[0]
    rest = [old for old in path.read_text().splitlines() if not old.startswith(f"{name}:")]
    path.write_text("\n".join([*rest, line]))
    assert main(["evaluate", str(run), "--n-test", "10"]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "config.yaml" in shown


def test_what_a_runs_config_says_of_training_is_checked_when_it_goes_on(run, capsys):
    path = run / "config.yaml"
    rest = [old for old in path.read_text().splitlines() if not old.startswith("pictures:")]
    path.write_text("\n".join([*rest, "pictures: perhaps"]))
    assert main(["train", "--resume", str(run), "--max-epochs", "3"]) == 2
    assert "--pictures takes true|false" in capsys.readouterr().err


# -- anything


@pytest.mark.parametrize(
    "name",
    [
        *["recipe.json", "data.json", "training.json", "metrics.json"],
        *["config.yaml", "log.csv", "model.safetensors"],
        *["checkpoints/last.ckpt", "checkpoints/best.ckpt"],
    ],
)
def test_damage_to_any_file_of_a_run_is_an_error_of_one_line_or_does_no_harm(run, capsys, name):
    path, rng = run / name, random.Random(name)
    whole = path.read_bytes()
    for _ in range(8):
        damaged = flipped(whole, rng) if rng.random() < 0.8 else whole[: rng.randrange(len(whole))]
        path.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name.startswith(("check", "train", "data")):
                code = main(["train", "--resume", str(run), "--max-epochs", "1", *QUICK[:4]])
                assert code == 2  # it has had two: there is nothing to train
            else:
                code = main(["evaluate", str(run), "--n-test", "5", "--progress=false"])
                assert code in (0, 2)
        said = capsys.readouterr().err
        assert code == 0 or said.count("mixvae: error:") == 1

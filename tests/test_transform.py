"""What is done to stored values is decided once, on the training data, and kept with the run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mixvae
from mixvae import DeepMixture, MixvaeError, MixvaeWarning, data
from mixvae.cli import main

DARK = np.array([[0, 1, 1, 0]], np.uint8)
SMALL = {"max_epochs": 1, "recipe_options": {"hidden": [8], "n_latent": 2}, "random_state": 0}
TRAIN = ["--hidden", "8", "--n-latent", "2", "--batch-size", "8", "--max-epochs", "1"]
QUIET = ["--progress", "false", "--pictures", "false"]


def levels(largest: int = 255, n: int = 60) -> np.ndarray:
    x = np.random.default_rng(0).integers(0, largest + 1, (n, 4), dtype=np.uint8)
    x[0] = DARK
    x[1] = largest
    return x


def test_a_dark_row_is_divided_as_the_training_data_are() -> None:
    dataset = data.from_arrays(levels(), val=levels(), test=DARK)
    assert torch.equal(dataset.test.x, torch.tensor(DARK) / 255)
    assert dataset.transform == data.Transform(255)
    assert torch.equal(dataset.val.x[:1], dataset.test.x)


def test_a_bright_row_is_refused_where_the_training_data_are_0_and_1() -> None:
    binary = levels() % 2
    assert torch.equal(data.from_arrays(binary, test=DARK).test.x, torch.tensor(DARK).float())
    with pytest.raises(MixvaeError, match=r"test: values must lie in \[0, 1\].*max 255"):
        data.from_arrays(binary, test=levels())


def test_floats_are_in_the_unit_interval_whatever_the_training_data_were() -> None:
    x = np.array([[0, 0.5, 1, 1]], np.float32)
    assert torch.equal(data.from_arrays(levels(), test=x).test.x, torch.tensor(x))


def test_integers_of_any_width_are_read_alike() -> None:
    wide = levels().astype(np.int64)
    a, b = (data.from_arrays(levels(), test=x).test.x for x in (levels(), wide))
    assert torch.equal(a, b)
    with pytest.raises(MixvaeError, match=r"integers divided by 255.*as those of the training"):
        data.from_arrays(levels(), test=wide * 2)


def test_levels_far_below_255_are_warned_of() -> None:
    with pytest.warns(MixvaeWarning, match=r"divided by 255.*largest is 16.*x / 16"):
        dataset = data.from_arrays(levels(16))
    assert dataset.train.x.max() == torch.tensor(16) / 255
    data.from_arrays(levels() % 2)  # 0 and 1 are no such levels


@pytest.mark.parametrize("given", [None, data.Transform(1), data.Transform(255)])
def test_a_dark_test_picture_in_a_folder_is_divided_as_the_training_pictures_are(
    tmp_path: Path, given: data.Transform | None
) -> None:
    image = pytest.importorskip("PIL.Image")
    for part, values in (("train", levels()), ("test", DARK)):
        (tmp_path / part).mkdir()
        for i, row in enumerate(values):
            image.fromarray(row.reshape(2, 2)).save(tmp_path / part / f"{i:02d}.png")
    test = data.load(tmp_path, transform=given).test.x
    assert torch.equal(test, torch.tensor(DARK).reshape(1, 1, 2, 2) / 255)


def test_named_sets_keep_their_scale() -> None:
    assert data.load("digits", transform=data.Transform(255)).train.x.max() == 1


def test_a_transform_survives_json_and_a_damaged_one_is_refused(unchecked: None) -> None:
    one = data.Transform(16)
    assert data.Transform.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    damaged = [None, {}, {"scale": "1"}, {"scale": 0}, {"scale": float("nan")}, {"scale": True}]
    for values in [*damaged, {"scale": 1, "shift": 2}, {"scale": float("inf")}, [1]]:
        with pytest.raises(MixvaeError, match="transform"):
            data.Transform.from_dict(values)


@pytest.mark.filterwarnings("ignore:.*dead:mixvae.MixvaeWarning")
def test_the_estimator_divides_new_data_as_it_did_in_fit() -> None:
    x = levels()
    model = DeepMixture(recipe="vae", **SMALL).fit(x)
    assert model.data_transform_ == data.Transform(255)
    for method in (model.transform, model.reconstruct):
        np.testing.assert_allclose(method(DARK), method(x)[:1], atol=1e-6)
        np.testing.assert_allclose(method(DARK), method(DARK / 255), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*dead:mixvae.MixvaeWarning")
def test_the_estimator_warns_of_dark_training_data() -> None:
    with pytest.warns(MixvaeWarning, match="X: integers were divided by 255"):
        DeepMixture(recipe="vae", **SMALL).fit(levels(16))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder on 8-bit levels, made by the command line."""
    folder = tmp_path_factory.mktemp("transform")
    np.save(folder / "x.npy", levels())
    argv = ["train", "vae", "--data", str(folder / "x.npy"), *TRAIN, *QUIET]
    assert main([*argv, "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_a_run_remembers_how_its_data_were_read(run: Path) -> None:
    assert json.loads((run / "data.json").read_text())["transform"] == {"scale": 255}
    assert mixvae.load(run).transform == data.Transform(255)


def test_other_data_are_read_as_the_runs_own(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "dark.npz", x=np.repeat(DARK, 20, 0), x_test=DARK)
    np.savez(tmp_path / "same.npz", x=np.repeat(DARK, 20, 0) / 255, x_test=DARK / 255)
    figures = []
    for name in ("dark", "same"):
        out = tmp_path / f"{name}.json"
        argv = ["evaluate", str(run), "--data", str(tmp_path / f"{name}.npz"), "--out", str(out)]
        assert main(argv) == 0
        figures.append(json.loads(out.read_text())["bounds"])
    assert figures[0] == figures[1]
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "warning" in line] == [
        "mixvae: warning: dark.npz, train: integers were divided by 255, but the largest is 1, so "
        "that no value is above 0.0039; if they go from 0 to 1, give an array of floats instead: "
        "x / 1."
    ]


def test_training_shows_the_transform_in_its_first_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for largest, shown in ((255, "integers divided by 255"), (1, "values as stored")):
        np.save(tmp_path / "x.npy", levels(largest))
        argv = ["train", "vae", "--data", str(tmp_path / "x.npy"), *TRAIN, "--pictures", "false"]
        assert main([*argv, "--out", str(tmp_path / str(largest))]) == 0
        first = next(line for line in capsys.readouterr().err.splitlines() if "vae on" in line)
        assert f"test examples; {shown})" in first


@pytest.mark.parametrize(
    ("n_levels", "shown"), [(17, "binomial of 16 trials"), (2, "bernoulli"), (256, "gaussian")]
)
def test_training_shows_the_likelihood_in_its_first_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n_levels: int, shown: str
) -> None:
    x = np.arange(1200).reshape(300, 4) % n_levels / (n_levels - 1)
    np.save(tmp_path / "x.npy", x)
    argv = ["train", "vae", "--data", str(tmp_path / "x.npy"), *TRAIN, "--pictures", "false"]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 0
    first = next(line for line in capsys.readouterr().err.splitlines() if "vae on" in line)
    assert f", likelihood {shown}, into " in first


def test_training_on_dark_data_says_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", levels(16))
    argv = ["train", "vae", "--data", str(tmp_path / "x.npy"), *TRAIN, *QUIET]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 0
    assert "mixvae: warning: x.npy, train: integers were divided by 255" in capsys.readouterr().err

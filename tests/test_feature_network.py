"""The classifier of a data set: what it learns, and its file in the cache."""

import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

from mixvae.cli import main
from mixvae.data.dataset import Dataset, Split
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.evaluation import classifier as recipe
from mixvae.evaluation import feature_network

module = import_module("mixvae.evaluation.feature_network")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EPOCHS": 2, "STEPS": 80, "WIDTHS": (8,) * 3, "HIDDEN": (32, 16)}.items():
        monkeypatch.setattr(recipe, name, value)


def stripes(n: int, seed: int, shape: tuple[int, ...] = (1, 6, 5)) -> Split:
    """Images of noise whose class is how bright their first row is."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=generator)
    x = 0.3 * torch.rand(n, *shape, generator=generator)
    first = x if len(shape) == 1 else x[:, :, 0]
    first += 0.35 * y.view(-1, *[1] * (first.ndim - 1))
    return Split(x, y)


def dataset(shape: tuple[int, ...] = (1, 6, 5), n: int = 300) -> Dataset:
    return Dataset("stripes", *(stripes(k, i, shape) for i, k in enumerate((n, 20, 100))))


DATA = dataset()


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 1, 2), (12,)], ids=str)
def test_it_learns_the_classes_of_images_and_of_vectors(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    data = dataset(shape)
    network = feature_network(data, tmp_path)
    features, logits = network(data.test.x)
    assert features.shape == (100, 128)
    assert logits.shape == (100, 3)
    accuracy = 100 * (logits.argmax(1) == data.test.y).double().mean().item()
    assert network.accuracy_percent == pytest.approx(accuracy)
    assert accuracy > 80
    assert network.name == "classifier of stripes"


def test_it_is_trained_once_for_each_data_set_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    train = recipe.train_classifier

    def count(classifier: recipe.Classifier, data: Dataset, **how: bool) -> None:
        trained.append(data.name)
        train(classifier, data, **how)

    monkeypatch.setattr(module, "train_classifier", count)
    first = feature_network(DATA, tmp_path)
    again = feature_network(replace(DATA, name="moved"), tmp_path)
    assert trained == ["stripes"]
    assert again.accuracy_percent == first.accuracy_percent
    assert (again(DATA.test.x)[1] == first(DATA.test.x)[1]).all()
    feature_network(DATA, tmp_path, seed=1)
    feature_network(DATA.subset(200), tmp_path)
    monkeypatch.setattr(module, "VERSION", recipe.VERSION + 1)
    feature_network(DATA, tmp_path)
    assert len(trained) == 4
    assert len(list(tmp_path.glob("*.safetensors"))) == 4


def test_a_seed_decides_the_weights_and_no_other_random_numbers(tmp_path: Path) -> None:
    torch.manual_seed(7)
    one = feature_network(DATA, tmp_path / "a")(DATA.test.x)[1]
    after = torch.rand(1)
    torch.manual_seed(7)
    assert torch.rand(1) == after
    two = feature_network(DATA, tmp_path / "b")(DATA.test.x)[1]
    assert (one == two).all()
    assert (feature_network(DATA, tmp_path / "c", seed=1)(DATA.test.x)[1] != one).any()


@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "another network"])
def test_a_damaged_file_is_trained_again_with_a_note(damage: str, tmp_path: Path) -> None:
    sound = feature_network(DATA, tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-10])
    elif damage == "altered":
        content[-10] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        feature_network(dataset((12,)), tmp_path / "other")
        (other,) = (tmp_path / "other").glob("*.safetensors")
        path.write_bytes(other.read_bytes())
    with pytest.warns(MixvaeWarning, match="trained again, since its file is damaged"):
        found = feature_network(DATA, tmp_path)
    assert (found(DATA.test.x)[1] == sound(DATA.test.x)[1]).all()
    feature_network(DATA, tmp_path)  # without a warning


TRAIN = """
import sys, torch
from mixvae.data.dataset import Dataset, Split
from mixvae.evaluation import feature_network
x = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
split = Split(x, (x[:, 0] > 0.5).long())
print(feature_network(Dataset("own", split, split, split), sys.argv[1])(x)[1].sum().item())
"""


@pytest.mark.slow
def test_two_processes_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", TRAIN, str(tmp_path)]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate()[0] for process in both}
    assert len(printed) == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    again = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert again.stdout in printed
    assert not again.stderr


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(MixvaeWarning, match="could not be written into the cache"):
        network = feature_network(DATA, tmp_path / "file")
    assert network.accuracy_percent > 80


def test_by_default_it_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("MIXVAE_DATA", str(tmp_path / "data"))  # perhaps others', so not written to
    feature_network(DATA)
    assert len(list((tmp_path / "mixvae" / "classifiers").iterdir())) == 1
    assert not (tmp_path / "data").exists()


def test_dynamic_binarisation_shows_grey_levels_and_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey, binary = 0, 0
    forward = recipe.Classifier.forward

    def count(self: recipe.Classifier, x: torch.Tensor) -> object:
        nonlocal grey, binary
        if self.training:
            sampled = ((x == 0) | (x == 1)).flatten(1).all(1)
            binary += int(sampled.sum())
            grey += int((~sampled).sum())
        return forward(self, x)

    monkeypatch.setattr(recipe.Classifier, "forward", count)
    parts = {name: replace(DATA.seen(name)) for name in ("val", "test")}
    parts = {name: replace(part, x=part.x.round()) for name, part in parts.items()}
    feature_network(replace(DATA, binarize="dynamic", **parts), tmp_path)
    assert 0.4 < grey / (grey + binary) < 0.6


def test_a_tiny_data_set_is_no_obstacle(tmp_path: Path) -> None:
    two = Split(torch.rand(2, 1, 4, 4), torch.arange(2))
    network = feature_network(Dataset("two", two, two, two), tmp_path)
    assert network(two.x)[1].shape == (2, 2)


def without_labels(data: Dataset) -> Dataset:
    return replace(data, train=Split(data.train.x))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (without_labels(DATA), "stripes has no labels to train a classifier with"),
        (
            replace(DATA, train=Split(DATA.train.x, torch.zeros_like(DATA.train.y))),
            "all training images of stripes are of one",
        ),
        (DATA.train, "data must be a Dataset"),
        ("mnist", "data must be a Dataset"),
    ],
)
def test_what_cannot_be_learnt_is_refused(data: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(MixvaeError, match=said):
        feature_network(data, tmp_path)


def test_the_command_gives_scores_by_a_classifier_of_the_runs_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = f"{tmp_path}/run"
    small = ["--subset", "64", "--hidden", "8", "--n-latent", "2", "--n-components", "2"]
    how = ["--max-epochs", "1", "--batch-size", "32", "--progress", "false", "--pictures", "false"]
    assert main(["train", "m-vae", "--data", "digits", "--out", run, *small, *how]) == 0
    capsys.readouterr()
    argv = ["evaluate", run, "--image-scores", "--classifier-cache", f"{tmp_path}/cache"]
    assert main([*argv, "--metrics", "reconstruction"]) == 0
    out = capsys.readouterr().out
    assert "classifier of digits, accuracy" in out
    assert "IS of the test images" in out
    assert "FID of samples" in out
    assert "ELBO" not in out
    assert len(list((tmp_path / "cache").iterdir())) == 1

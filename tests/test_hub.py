"""Runs in a folder as on the Hugging Face hub, and on a hub that is simulated."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import mixvae
from mixvae.errors import MixvaeError
from mixvae.export import from_pretrained, model_card, push_to_hub, save_pretrained
from mixvae.export.card import _data
from mixvae.run import DATA, METRICS, TRAINING, Run, save_recipe, save_weights, write_json
from mixvae.storage.files import write_text

NAME = "someone/mixture"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run as training leaves it, but for the training."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    (folder / "checkpoints").mkdir(parents=True)
    recipe = mixvae.build("mixture-vae", (1, 3, 4), n_components=2, n_latent=2, hidden=(8,))
    save_recipe(recipe, folder)
    save_weights(recipe, folder)
    write_json(folder / DATA, {"name": "digits", "n_train": 10, "transform": {"scale": 255.0}})
    write_json(folder / TRAINING, {"max_epochs": 3, "batch_size": 5, "lr": 0.01, "seed": 1})
    estimate = {"mean": -5.0, "mean_error": 0.1, "reliable": False, "k_hat_above": 0.5}
    estimate |= {"method": "defensive", "n_samples": 200, "ess_mean": 9.0, "ess_min": 1.0}
    bounds = {"objective": -9.0, "elbo": -8.0, "objective_is_bound": False}
    write_json(folder / METRICS, {"n": 4, "bounds": bounds, "log_likelihood": estimate})
    return mixvae.load(folder)


def test_a_saved_run_is_loaded_again(run: Run, tmp_path: Path) -> None:
    folder = run.save_pretrained(tmp_path / "saved", license="mit")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("recipe.json", "model.safetensors", DATA, TRAINING, METRICS),
        "README.md",
    }
    again = mixvae.from_pretrained(folder)
    assert again.recipe.to_dict() == run.recipe.to_dict()
    assert again.metrics == run.metrics
    x = torch.rand(3, 1, 3, 4)
    assert torch.equal(again.recipe.model.reconstruct(x), run.recipe.model.reconstruct(x))


def test_a_folder_is_overwritten_only_when_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(MixvaeError, match="exist_ok=True"):
        save_pretrained(run, tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    save_pretrained(run, tmp_path, exist_ok=True)
    assert (tmp_path / "README.md").read_text().startswith("---\nlibrary_name: mixvae\n")
    (tmp_path / "file").touch()
    with pytest.raises(MixvaeError, match="cannot write"):
        save_pretrained(run, tmp_path / "file" / "below")


def test_names_of_columns_are_no_markdown_in_a_card() -> None:
    text = _data({"name": "t", "transform": {"columns": ["<b>`x`", "two\n# lines"]}})
    assert "Columns: `<b> x `, `two # lines`." in text


def test_a_card_says_what_the_model_is(run: Run, tmp_path: Path) -> None:
    text = model_card(run)
    assert "license" not in text.split("---")[1]
    assert 'license: "mit"' in model_card(run, license="mit").split("---")[1]
    for part in ("# mixture-vae on digits", "10 train", "## Limits", "2 components"):
        assert part in text, part
    assert "not guaranteed to be a bound" in text  # the marks of the figures
    assert "k-hat above 0.7 for 50%" in text
    assert 'mixvae.fit(mixvae.build("mixture-vae", data, n_components=2' in text
    assert "max_epochs=3" in text
    settings = "recipe: mixture-vae\nn_components: 2\ndata: /home/me/secret/own.csv\nseed: 0\n"
    write_text(run.folder / "config.yaml", settings)
    try:
        text = model_card(run)
        assert "mixvae train mixture-vae --n-components 2 --data own.csv\n" in text
        assert "secret" not in text
        assert not (save_pretrained(run, tmp_path / "saved") / "config.yaml").exists()
    finally:
        (run.folder / "config.yaml").unlink()


class Hub:
    """A hub in memory, in place of HfApi."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}

    def __call__(self, **options: Any) -> "Hub":
        return self

    def repo_exists(self, name: str) -> bool:
        return name in self.models

    def create_repo(self, name: str, *, private: bool | None, exist_ok: bool) -> str:
        assert exist_ok or name not in self.models
        self.models.setdefault(name, {})
        return f"https://hub/{name}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        assert commit_message == "mixture-vae, by mixvae"
        files = {path.name: path.read_bytes() for path in folder_path.iterdir()}
        self.models[repo_id] |= files


def test_a_run_goes_to_the_hub_and_back(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", hub)

    def download(name: str, **options: Any) -> str:
        for file, content in hub.models[name].items():
            if file in options["allow_patterns"]:
                (tmp_path / file).write_bytes(content)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert run.push_to_hub(NAME) == f"https://hub/{NAME}"
    hub.models[NAME]["evil.pkl"] = b"a pickle"
    assert from_pretrained(NAME).recipe.to_dict() == run.recipe.to_dict()
    assert not (tmp_path / "evil.pkl").exists()
    hub.models[NAME]["README.md"] = b"mine"
    with pytest.raises(MixvaeError, match="exist_ok=True"):
        run.push_to_hub(NAME)
    assert hub.models[NAME]["README.md"] == b"mine"
    push_to_hub(run, NAME, exist_ok=True, license="mit")
    assert b'license: "mit"' in hub.models[NAME]["README.md"]


class Response:
    def __init__(self, code: int) -> None:
        self.status_code = code


def refusal(kind: str, code: int | None = None) -> Exception:
    error = type(kind, (Exception,), {})("first line\nsecond line")
    if code is not None:
        error.response = Response(code)  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("LocalTokenNotFoundError"), "hf auth login"),
        (refusal("HfHubHTTPError", 401), "hf auth login"),
        (refusal("HfHubHTTPError", 403), "write access"),
        (refusal("RepositoryNotFoundError", 404), "no such model"),
        (refusal("HfHubHTTPError", 409), "the name is taken"),
        (refusal("HFValidationError"), "USER/NAME: first line"),
        (refusal("ConnectError"), "cannot be reached"),
        (refusal("SomethingElse"), "SomethingElse: first line"),
    ],
)
def test_what_goes_wrong_is_one_line(
    error: Exception, said: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.setattr(Hub, "repo_exists", fail)
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub())
    for call in (lambda: from_pretrained(NAME), lambda: run.push_to_hub(NAME)):
        with pytest.raises(MixvaeError, match=said) as raised:
            call()
        assert "\n" not in str(raised.value)


def test_names_that_are_none_and_a_missing_package(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (tmp_path / "none", "./none", "a/b/c"):
        with pytest.raises(MixvaeError, match="there is no folder"):
            from_pretrained(name)
    with pytest.raises(MixvaeError, match="is not a run folder"):
        from_pretrained(tmp_path)
    monkeypatch.setattr("mixvae.export.hub.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: from_pretrained(NAME), lambda: run.push_to_hub(NAME)):
        with pytest.raises(MixvaeError, match=r"pip install 'mixvae\[hub\]'"):
            call()

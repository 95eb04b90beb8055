"""The run folder: claimed once, read back safely."""

import json
import os
import pickle

import pytest
import torch

from cases import saying
from mixvae import build
from mixvae.errors import MixvaeError
from mixvae.run import claim, load, load_recipe, save_recipe, save_weights


@pytest.fixture
def folder(tmp_path):
    recipe = build("m-vae", (1, 4, 4), n_components=2, n_latent=2, hidden=(5,))
    folder = claim(tmp_path / "run", "x")
    save_recipe(recipe, folder)
    save_weights(recipe, folder)
    return folder


def test_a_recipe_comes_back_with_its_options_and_weights(folder):
    torch.manual_seed(1)
    run = load(folder)
    assert run.recipe.name == "m-vae"
    assert run.recipe.x_shape == (1, 4, 4)
    assert run.recipe.options["hidden"] == [5]
    assert not run.recipe.model.training
    other = load(folder).recipe.model
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(run.recipe.model.reconstruct(x), other.reconstruct(x))


def test_a_folder_that_is_not_empty_is_never_claimed(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(MixvaeError, match="never overwritten"):
        claim(folder, "x")
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_unnamed_runs_are_numbered(tmp_path):
    names = [claim(None, "vae-digits", tmp_path / "runs").name for _ in range(3)]
    assert names == ["vae-digits-001", "vae-digits-002", "vae-digits-003"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MixvaeError, match="cannot write the run folder"):
        claim(tmp_path / "file" / "run", "x")


def test_a_folder_that_is_no_run_is_a_clear_error(tmp_path):
    with pytest.raises(MixvaeError, match=r"is not a run folder: it has no recipe\.json"):
        load(tmp_path)


def test_a_run_that_was_not_finished_says_how_to_go_on(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(MixvaeError, match=f"mixvae train --resume {folder}"):
        load(folder)


def test_truncated_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(MixvaeError, match="not a whole safetensors file"):
        load(folder)


class Exploit:
    def __reduce__(self):
        return os.system, ("touch exploited",)


def test_a_pickle_called_safetensors_is_refused_and_not_run(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / "model.safetensors").write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(MixvaeError, match="not a whole safetensors file"):
        load(folder)
    assert not (folder.parent / "exploited").exists()


def test_a_run_from_before_an_option_was_there_has_its_default(folder):
    x = torch.rand(3, 1, 4, 4)
    before = load(folder).recipe.model.reconstruct(x)
    recipe = load(folder).recipe
    kept = {k: v for k, v in recipe.options.items() if k not in ("network", "channels")}
    older = saying(recipe, kept)
    save_recipe(older, folder)
    save_weights(older, folder)
    assert torch.equal(load(folder).recipe.model.reconstruct(x), before)
    save_weights(saying(recipe, kept | {"n_latent": 7}), folder)
    with pytest.raises(MixvaeError, match="the weights of another recipe"):
        load(folder)


def test_another_recipes_weights_are_refused(folder):
    save_weights(build("vae", (1, 4, 4), n_latent=2, hidden=(5,)), folder)
    with pytest.raises(MixvaeError, match="the weights of another recipe"):
        load(folder)


def test_the_same_recipe_of_another_size_is_refused(folder):
    save_weights(build("m-vae", (1, 4, 4), n_components=3, n_latent=2, hidden=(5,)), folder)
    with pytest.raises(MixvaeError, match="the weights of another recipe"):
        load(folder)


def edit(folder, **changes):
    path = folder / "recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_later_format_is_refused(folder):
    edit(folder, format=3)
    with pytest.raises(MixvaeError, match="has format 3; this version of mixvae reads 2"):
        load_recipe(folder)


def test_an_unknown_recipe_in_the_file_names_the_nearest_and_says_what_to_name(folder):
    edit(folder, recipe="mvea")
    with pytest.raises(MixvaeError, match=r"recipes=\[\.\.\.\].* FILE:CLASS.*mean 'mvae'"):
        load_recipe(folder)


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_recipe_file_that_is_no_json_object_is_a_clear_error(folder, content):
    (folder / "recipe.json").write_text(content)
    with pytest.raises(MixvaeError, match=r"recipe\.json"):
        load(folder)

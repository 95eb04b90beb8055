"""The command line, in process: ``main([...])`` returns the exit code."""

import inspect
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import mixvae
from mixvae import data
from mixvae.cli import main, parser, train
from mixvae.errors import MixvaeError
from mixvae.evaluation import latent_operations as operations
from mixvae.evaluation import log_likelihood, representation
from mixvae.recipes import RECIPES, list_recipes, options_of
from mixvae.run import Run, load

SMALL = ["--hidden", "16", "--n-latent", "3", "--subset", "256", "--max-epochs", "1"]
QUIET = ["--progress", "false", "--pictures", "false"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder that the command line made."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "m-vae", "--data", "digits", *SMALL, *QUIET, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A run folder of a model that takes class labels."""
    out = tmp_path_factory.mktemp("cli") / "conditional"
    argv = ["train", "mvae", "--data", "digits", "--conditional", "--n-classes", "10", *SMALL]
    assert main([*argv, *QUIET, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def test_split():
    """What the runs are shown."""
    return data.load("digits").test


@pytest.fixture
def caught(monkeypatch):
    """What ``fit`` is called with, in place of training."""
    calls = []

    def fit(recipe, data, *, out, settings, **options):
        calls.append({"recipe": recipe, "data": data, "settings": settings, **options})
        return Run(Path("nowhere"), recipe)

    fit.__signature__ = inspect.signature(train.fit)
    fit.__doc__ = train.fit.__doc__
    monkeypatch.setattr(train, "fit", fit)
    return calls


def refused(capsys, *argv):
    """The one message with which the command line refuses."""
    code = main(argv)
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("mixvae: error: ")
    assert "Traceback" not in err
    return err


def shown(capsys, *argv):
    assert main(argv) == 0
    return capsys.readouterr().out


# What there is


def test_help_names_every_command(capsys):
    text = shown(capsys, "--help")
    assert all(
        f"\n  {name} " in text
        for name in ("train", "recipes", "data", "evaluate", "sample", "encode", "interpolate")
    )
    assert shown(capsys) == text


def test_help_needs_neither_torch_nor_lightning():
    code = "import sys; from mixvae.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert not {"torch", "lightning", "sklearn", "matplotlib"} & set(modules)


def test_listing_recipes_does_not_need_lightning_or_matplotlib():
    code = "import sys; from mixvae.cli import main; main(['recipes']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"lightning", "sklearn", "matplotlib"} & set(done.stdout.split())


def test_a_standard_output_that_was_closed_is_no_error(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout", None)
    assert main(["recipes"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("recipe", ["[vae]", "3", "{vae: 1}", "true"])
def test_a_recipe_in_a_file_of_options_that_is_no_name_is_refused(recipe, tmp_path, capsys):
    (tmp_path / "options.yaml").write_text(f"recipe: {recipe}\ndata: digits\n")
    assert main(["train", "--config", str(tmp_path / "options.yaml")]) == 2
    assert "recipe must be a str" in capsys.readouterr().err


def test_a_recipe_that_cannot_be_pruned_is_refused_before_it_is_trained(
    tmp_path, capsys, own_recipes
):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nimport mixvae\n"
        "@mixvae.register('unprunable')\n@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(mixvae.recipes.MVAEGS):\n    'Mine.'\n"
    )
    file, out = str(tmp_path / "mine.py"), tmp_path / "out"
    argv = ["train", f"{file}:Mine", "--data", "digits", "--prune", "--max-epochs", "1"]
    assert main([*argv, "--out", str(out)]) == 2
    assert "define without_dropout" in capsys.readouterr().err
    assert not out.exists()


def test_version_is_shown(capsys):
    assert shown(capsys, "--version").startswith("mixvae ")


def test_recipes_lists_every_recipe_and_its_line(capsys):
    text = shown(capsys, "recipes")
    assert all(name in text and line in text for name, line in list_recipes().items())


def test_recipes_of_a_name_shows_its_options(capsys):
    text = shown(capsys, "recipes", "m-vae")
    assert "--n-components int" in text
    assert "(default: 4)" in text
    assert "--max-epochs" not in text


def test_data_lists_the_data_sets(capsys):
    assert "digits" in shown(capsys, "data")


@pytest.mark.parametrize("name", RECIPES)
def test_every_option_of_every_recipe_is_in_its_help_with_dashes(capsys, name):
    text = shown(capsys, "train", name, "--help")
    assert all(parser.dashed(option) + " " in text for option in options_of(name))
    assert "--n_latent" not in text
    assert "--max-epochs int" in text
    assert "--data text" in text


@pytest.mark.usefixtures("own_recipes")
def test_a_new_option_of_a_recipe_is_an_option_on_the_line_by_itself(capsys, caught):
    @mixvae.register("brand-new")
    @dataclass(frozen=True, kw_only=True)
    class BrandNew(mixvae.recipes.VAE):
        """A new recipe."""

        warm_glow: float = 0.5
        """how it glows."""

    text = shown(capsys, "train", "brand-new", "--help")
    assert "--warm-glow float" in text
    assert "how it glows. (default: 0.5)" in text
    assert main(["train", "brand-new", "--data", "digits", "--warm-glow", "0.25"]) == 0
    assert caught[0]["recipe"].options["warm_glow"] == 0.25


# How options are spelled


@pytest.mark.parametrize(
    "hidden",
    [["--hidden", "7", "9"], ["--hidden", "[7,9]"], ["--hidden=[7, 9]"], ["--hidden", "7,9"]],
)
def test_a_sequence_can_be_spelled_with_spaces_or_brackets(caught, hidden):
    assert main(["train", "vae", "--data", "digits", *hidden, "--n-latent", "2"]) == 0
    assert caught[0]["recipe"].options["hidden"] == [7, 9]


def test_underscores_and_dashes_are_the_same(caught):
    main(["train", "vae", "--data", "digits", "--n-latent", "2", "--max-epochs", "3"])
    main(["train", "vae", "--data", "digits", "--n_latent=2", "--max_epochs=3"])
    assert caught[0]["settings"] == caught[1]["settings"]
    assert caught[0]["max_epochs"] == 3


def test_a_switch_needs_no_value(caught):
    assert main(["train", "m-vae", "--dhsic-root", "--data", "digits"]) == 0
    assert caught[0]["recipe"].options["dhsic_root"] is True


def test_the_data_choose_the_likelihood_unless_it_is_given(caught):
    main(["train", "vae", "--data", "digits"])
    main(["train", "vae", "--data", "digits", "--binarize", "threshold"])
    main(["train", "vae", "--data", "digits", "--likelihood", "cross-entropy"])
    chosen = [call["recipe"].options["likelihood"] for call in caught]
    assert chosen == ["binomial", "bernoulli", "cross-entropy"]


def test_optimizers_schedules_and_averages_are_named_on_the_line(caught):
    flags = ["--optimizer", "sgd", "--lr-schedule", "linear", "--average", "ema"]
    flags += ["--accumulate", "2", "--clip", "1", "--clip-by", "value"]
    assert main(["train", "vae", "--data", "digits", *flags]) == 0
    expected = {"optimizer": "sgd", "lr_schedule": "linear", "average": "ema"}
    expected |= {"accumulate": 2, "clip": 1.0, "clip_by": "value"}
    assert {name: caught[0][name] for name in expected} == expected
    assert caught[0]["settings"] | expected == caught[0]["settings"]


def test_the_seed_decides_the_first_weights(caught):
    for seed in ("1", "1", "2"):
        main(["train", "vae", "--data", "digits", "--seed", seed])
    first, same, other = (next(call["recipe"].model.parameters()) for call in caught)
    assert first.equal(same)
    assert not first.equal(other)


def test_a_yaml_file_does_what_the_flags_do(caught, tmp_path):
    flags = ["--n-components", "3", "--hidden", "8", "8", "--bandwidth", "null", "--lr", "1e-2"]
    flags += ["--precision", "bf16", "--dhsic-root", "--data", "digits", "--n-val", "100"]
    main(["train", "m-vae", *flags])
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(caught[0]["settings"]))
    main(["train", "--config", str(file)])
    main(["train", "--config", str(file), "--lr", "0.5"])
    main(["train", "m-vae", "--lr", "0.5", "--config", str(file)])
    settings = yaml.safe_load(file.read_text())  # which has lists for tuples
    assert caught[1]["settings"] == settings
    assert settings["bandwidth"] is None
    assert caught[2]["settings"] == caught[3]["settings"] == settings | {"lr": 0.5}


def test_a_hand_written_yaml_file_may_have_numbers_and_dashes(caught, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "recipe: vae\ndata: digits\nn-latent: 5\nprecision: 32\nlr: 1e-4\nhidden: [9]\n"
    )
    assert main(["train", "--config", str(file)]) == 0
    assert caught[0]["recipe"].options["n_latent"] == 5
    assert caught[0]["lr"] == 1e-4
    assert caught[0]["precision"] == "32"


def test_paths_in_the_settings_do_not_depend_on_the_folder(caught, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((50, 4)))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "vae", "--data", "x.npy"]) == 0
    assert caught[0]["settings"]["data"] == str(tmp_path / "x.npy")


# What is refused

ON_DIGITS = ("train", "m-vae", "--data", "digits")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown command 'trian'. Did you mean 'train'?"),
        (["train"], "name a recipe first"),
        (["train", "--data", "digits", "m-vae"], "name a recipe first"),
        (["train", "m-vea", "--data", "digits"], "unknown recipe 'm-vea'. Did you mean 'm-vae'?"),
        (["recipes", "m-vea"], "Did you mean 'm-vae'?"),
        (["train", "m-vae"], "say which data: --data"),
        (["train", "m-vae", "--data", "digit"], "unknown data set 'digit'. Did you mean 'digits'?"),
        ([*ON_DIGITS, "--n-latnt", "3"], "unknown option --n-latnt. Did you mean --n-latent?"),
        ([*ON_DIGITS, "--n_latnt=3"], "mixvae train m-vae --help lists the options"),
        (["train", "vae", "--n-components", "3"], "unknown option --n-components."),
        ([*ON_DIGITS, "--n-latent", "x"], "--n-latent takes int; got 'x'."),
        ([*ON_DIGITS, "--n-latent", "1.5"], "--n-latent takes int; got '1.5'."),
        ([*ON_DIGITS, "--n-latent"], "--n-latent takes int; no value was given."),
        ([*ON_DIGITS, "--n-latent", "0"], "at least 1"),
        ([*ON_DIGITS, "--hidden", "a", "b"], "--hidden takes int ...; got 'a'."),
        ([*ON_DIGITS, "--hidden"], "--hidden takes int ...; no value was given."),
        ([*ON_DIGITS, "--combine", "x"], "--combine takes blend|mixture|expected; got 'x'."),
        ([*ON_DIGITS, "--bandwidth", "x"], "--bandwidth takes float|gaussian|null; got 'x'."),
        ([*ON_DIGITS, "--dhsic-root", "maybe"], "--dhsic-root takes true|false; got 'maybe'."),
        ([*ON_DIGITS, "--lr", "1", "2"], "'2' is one word too many."),
        ([*ON_DIGITS, "--lr", "-1"], "lr must be positive"),
        ([*ON_DIGITS, "--optimizer", "adamx"], "--optimizer takes adam|adamw|sgd; got 'adamx'."),
        ([*ON_DIGITS, "--callbacks", "x"], "unknown option --callbacks."),
        ([*ON_DIGITS, "--subset", "0"], "1 to 1295"),
        ([*ON_DIGITS, "--likelihood", "bernoulli"], "0 or 1"),
        ([*ON_DIGITS, "--config"], "--config takes a YAML file"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml: no such file."),
        (["train", "--resume"], "--resume takes RUN; no value was given."),
        (["train", "--resume", "nowhere"], "nowhere is not a run folder"),
        (["evaluate"], "name a run folder"),
        (["evaluate", "nowhere"], "nowhere is not a run folder"),
        (["sample", "nowhere"], "nowhere is not a run folder"),
        (["reconstruct", "nowhere"], "nowhere is not a run folder"),
        (["data", "digits"], "'digits' is one word too many."),
    ],
)
def test_what_cannot_be_used_is_one_message_and_exit_code_2(
    capsys, tmp_path, monkeypatch, argv, message
):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *argv)
    assert not list(tmp_path.iterdir())  # nothing was begun


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "YAML"),
        ("- 1\n", "must hold options"),
        ("", "must hold options"),
        (
            "recipe: vae\ndata: digits\nn_latnt: 3",
            "config.yaml: unknown key 'n_latnt'. Did you mean n_latent?",
        ),
        ("recipe: vae\ndata: digits\nresume: runs", "unknown key 'resume'"),
        ("recipe: vae\nlr: 1\ndata: digits\nlr: 2\n", "the key lr is set again in line 4"),
        ("recipe: vae\nn-latent: 1\nn_latent: 2", "'n-latent' and 'n_latent' are one option"),
    ],
)
def test_a_bad_yaml_file_is_refused(capsys, tmp_path, text, message):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert message in refused(capsys, "train", "--config", str(file))


def test_debug_shows_where_an_error_comes_from(monkeypatch):
    monkeypatch.setenv("MIXVAE_DEBUG", "1")
    with pytest.raises(MixvaeError, match="unknown recipe"):
        main(["recipes", "x"])


def test_an_unexpected_error_keeps_its_traceback(monkeypatch, caught):
    monkeypatch.setattr(train, "build", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["train", "vae", "--data", "digits"])


def test_ctrl_c_says_how_to_go_on(capsys, monkeypatch, caught):
    def stopped(*_, **__):
        raise KeyboardInterrupt("my runs/vae-digits-001")

    monkeypatch.setattr(train, "build", stopped)
    assert main(["train", "vae", "--data", "digits"]) == 130
    assert "mixvae train --resume 'my runs/vae-digits-001'\n" in capsys.readouterr().err


# A run from end to end


def test_training_ends_with_its_figures_and_its_folder(capsys, tmp_path):
    out = tmp_path / "run"
    argv = ["train", "mixture-vae", "--data", "digits", *SMALL, "--progress", "false"]
    text = shown(capsys, *argv, "--out", str(out))
    assert "ELBO" in text
    assert f"run: {out}\n" in text
    assert str(out / "samples.png") in text


def test_the_folder_holds_the_options_and_can_be_loaded(folder):
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["recipe"] == "m-vae"
    assert settings["hidden"] == [16]
    assert settings["subset"] == 256
    assert settings["likelihood"] is None  # the data decide
    assert load(folder).recipe.options["n_latent"] == 3


def test_a_run_is_never_overwritten(capsys, folder):
    before = (folder / "model.safetensors").read_bytes()
    argv = ["train", "m-vae", "--data", "digits", *SMALL, *QUIET, "--out", str(folder)]
    assert f"mixvae train --resume {folder}" in refused(capsys, *argv)
    assert (folder / "model.safetensors").read_bytes() == before


def test_evaluate_finds_the_data_again_and_the_figures_of_training(capsys, folder, tmp_path):
    file = tmp_path / "figures.json"
    text = shown(capsys, "evaluate", str(folder), "--out", str(file))
    figures = json.loads(file.read_text())
    trained = json.loads((folder / "metrics.json").read_text())
    assert "ELBO" in text
    assert figures["bounds"] == trained["bounds"]
    assert figures["split"] == "test"


def test_evaluate_takes_importance_samples_and_other_data(capsys, folder, tmp_path):
    x = np.random.default_rng(0).integers(17, size=(60, 8, 8)) / 16  # with the digits' levels
    np.savez(tmp_path / "other.npz", x=x, x_test=x[:3])
    argv = ["evaluate", str(folder), "--data", str(tmp_path / "other.npz")]
    text = shown(capsys, *argv, "--log-likelihood", "4")
    assert "3 examples of other.npz" in text
    assert re.search(r"samples an example +4\n", text)
    np.save(tmp_path / "small.npy", x[:, :4, :4])
    assert "(1, 8, 8)" in refused(capsys, *argv[:3], str(tmp_path / "small.npy"))
    np.save(tmp_path / "grey.npy", 0.99 * x)
    said = refused(capsys, *argv[:3], str(tmp_path / "grey.npy"))
    assert "the binomial likelihood needs pixels that are k / 16" in said


def test_log_likelihood_by_itself_takes_5000_samples_and_writes_each_examples_figures(
    capsys, folder, tmp_path, test_split
):
    argv = ["evaluate", str(folder), "--n-test", "3", "--out", str(tmp_path / "figures.json")]
    text = shown(capsys, *argv, "--log-likelihood")
    assert re.search(r"samples an example +5,000\n", text)
    assert "3 examples of digits" in text
    figures = json.loads((tmp_path / "figures.json").read_text())
    arrays = np.load(folder / "log_likelihood-n-test-3.npz")
    rows = [i * len(test_split) // 3 for i in range(3)]  # at even distances
    expected = log_likelihood(load(folder).recipe.model, test_split.x[rows], 5000)
    for name in ("log_prob", "standard_error", "ess", "k_hat"):
        np.testing.assert_array_equal(arrays[name], getattr(expected, name).numpy())
    assert figures["log_likelihood"] == expected.to_dict()
    picture = folder / "log_likelihood-n-test-3.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert text.endswith(f"{folder / 'log_likelihood-n-test-3.npz'}\n{picture}\n")


@pytest.mark.parametrize("words", [["-1"], ["many"], ["2.5"], ["5", "6"]])
def test_a_number_of_samples_that_means_nothing_is_refused(capsys, folder, words):
    assert words[-1] in refused(capsys, "evaluate", str(folder), "--log-likelihood", *words)


def test_log_likelihood_is_left_out_unless_asked_for(capsys, folder):
    text = shown(capsys, "evaluate", str(folder), "--n-test", "3")
    assert "samples an example" not in text
    assert "log_likelihood.png" not in text


def test_evaluate_trains_classifiers_on_the_codes_if_asked(capsys, folder, tmp_path):
    file = tmp_path / "figures.json"
    text = shown(capsys, "evaluate", str(folder), "--representation", "--out", str(file))
    digits, run = data.load("digits"), load(folder)
    expected = representation(
        run.recipe.model,
        digits.subset(256).train,
        digits.test,
        batch_size=run.metrics["batch_size"],
    )
    assert json.loads(file.read_text())["representation"] == expected
    assert f"{expected['all']['mlp_accuracy_percent']:.2f}" in text


def test_classifiers_are_trained_on_fewer_codes_if_asked(capsys, folder, tmp_path):
    file = tmp_path / "figures.json"
    argv = ["evaluate", str(folder), "--representation", "--n-train", "50", "--n-test", "20"]
    shown(capsys, *argv, "--metrics", "reconstruction", "--out", str(file))
    digits, run = data.load("digits"), load(folder)
    expected = representation(
        *(run.recipe.model, digits.subset(256).train, digits.test),
        n_train=50,
        n_test=20,
        batch_size=run.metrics["batch_size"],
    )
    assert json.loads(file.read_text())["representation"] == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--n-train", "5"], "--n-train is of --representation, which is not asked for"),
        (["--classifier-cache", "c"], "--classifier-cache is of --image-scores"),
        (["--image-scores", "--metrics", "elbow"], "metrics must be some of bounds"),
    ],
)
def test_options_of_what_is_not_asked_for_are_refused(capsys, folder, words, said):
    assert said in refused(capsys, "evaluate", str(folder), *words)


def test_classifiers_are_not_judged_on_what_they_were_trained_on(capsys, folder):
    argv = ["evaluate", str(folder), "--representation", "--split", "train"]
    assert "give --split test" in refused(capsys, *argv)


def test_evaluate_refuses_a_file_that_it_could_not_write(capsys, folder):
    argv = ["evaluate", str(folder), "--out", "no/such/folder/figures.json"]
    assert "there is no folder no/such/folder" in refused(capsys, *argv)


def test_the_training_images_that_are_evaluated_are_those_trained_on(capsys, folder):
    assert "256 examples" in shown(capsys, "evaluate", str(folder), "--split", "train")


def test_sample_writes_pictures_and_arrays(capsys, folder, tmp_path):
    shown(capsys, "sample", str(folder), "--n", "5", "--out", str(tmp_path / "a.npy"))
    shown(capsys, "sample", "--n", "5", str(folder), "--out", str(tmp_path / "b.npy"))
    a, b = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    assert a.shape == (5, 1, 8, 8)
    np.testing.assert_array_equal(a, b)
    picture = Path(shown(capsys, "sample", str(folder), "--component", "2").strip())
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_reconstruct_writes_pictures_and_arrays(capsys, folder, tmp_path):
    for component in ([], ["--component", "1"]):
        out = tmp_path / "a.npy"
        shown(capsys, "reconstruct", str(folder), *component, "--n", "20", "--out", str(out))
        assert np.load(out).shape == (20, 1, 8, 8)
        picture = Path(shown(capsys, "reconstruct", str(folder), *component).strip())
        assert picture.read_bytes().startswith(b"\x89PNG")


# What a run's codes hold


def array_of(capsys, tmp_path, *argv):
    """What a command writes as an array, after it said where."""
    out = str(tmp_path / "a.npy")
    assert shown(capsys, *argv, "--out", out) == f"{out}\n"
    return torch.from_numpy(np.load(out))


def test_encode_writes_codes_scales_weights_and_labels(capsys, folder, tmp_path, test_split):
    out, model = tmp_path / "codes.npz", load(folder).recipe.model
    assert shown(capsys, "encode", str(folder), "--out", str(out)) == f"{out}\n"
    arrays = {name: torch.from_numpy(array) for name, array in np.load(out).items()}
    assert arrays["codes"].shape == (len(test_split), 4, 3)
    torch.testing.assert_close(arrays["codes"], operations.codes(model, test_split.x))
    torch.testing.assert_close(arrays["scales"], operations.scales(model, test_split.x))
    torch.testing.assert_close(arrays["weights"].sum(1), torch.ones(len(test_split)))
    assert torch.equal(arrays["y"], test_split.y)
    default = Path(shown(capsys, "encode", str(folder), "--split", "val").strip())
    assert default == folder / "codes-split-val.npz"
    assert len(np.load(default)["codes"]) == len(data.load("digits").subset(256).val)


def test_interpolate_goes_from_each_image_to_the_next(capsys, folder, tmp_path, test_split):
    argv = ["interpolate", str(folder), "--n", "3", "--steps", "4"]
    model, x = load(folder).recipe.model, test_split.x[:6]
    plain = operations.interpolate(model, x[0::2], x[1::2], 4)
    crossed = operations.interpolate(model, x[0::2], x[1::2], 4, shift=1)
    torch.testing.assert_close(array_of(capsys, tmp_path, *argv), plain)
    both = array_of(capsys, tmp_path, *argv, "--crossed")
    torch.testing.assert_close(both, torch.stack([plain, crossed]))


def test_traverse_varies_a_latent_of_every_component_or_of_one(
    capsys, folder, tmp_path, test_split
):
    span = ["--latent", "2", "--from", "-2", "--to", "2", "--steps", "3", "--index", "5"]
    argv = ["traverse", str(folder), *span]
    model, x = load(folder).recipe.model, test_split.x[5:6]
    made = array_of(capsys, tmp_path, *argv)
    assert made.shape == (4, 3, 1, 8, 8)
    one = operations.traverse(model, x, 1, 2, [-2, 0, 2])[:, 0]
    torch.testing.assert_close(made[1], one)
    torch.testing.assert_close(array_of(capsys, tmp_path, *argv, "--component", "1"), one[None])
    together = array_of(capsys, tmp_path, *argv, "--component", "1", "--together")[0]
    expected = operations.traverse(model, x, 1, 2, [-2, 0, 2], alone=False)[:, 0]
    torch.testing.assert_close(together, expected)


def test_cross_decodes_every_code_by_every_component(capsys, folder, tmp_path, test_split):
    made = array_of(capsys, tmp_path, "cross", str(folder), "--n", "3")
    expected = operations.cross_decode(load(folder).recipe.model, test_split.x[:3])
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize(
    "argv",
    [
        ["interpolate", "--n", "2", "--steps", "3", "--crossed"],
        ["traverse", "--steps", "3"],
        ["traverse", "--steps", "3", "--component", "1", "--latent", "2"],
        ["cross"],
        ["sample"],
        ["sample", "--label", "3"],
        ["reconstruct"],
    ],
    ids=" ".join,
)
def test_pictures_of_every_command_are_in_the_run_folder(capsys, conditional, argv):
    picture = Path(shown(capsys, argv[0], str(conditional), *argv[1:]).strip())
    assert picture.parent == conditional
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_conditional_run_samples_all_classes_in_turn_or_one(capsys, conditional, tmp_path):
    argv = ["sample", str(conditional), "--component", "1", "--n", "24"]
    turn = array_of(capsys, tmp_path, *argv)
    for label in (0, 3):
        one = array_of(capsys, tmp_path, *argv, "--label", str(label))
        same = [torch.allclose(a, b) for a, b in zip(turn, one, strict=True)]
        assert same == [k % 10 == label for k in range(24)]


def test_a_conditional_run_reads_the_datas_labels(capsys, conditional, tmp_path, test_split):
    model, x, y = load(conditional).recipe.model, test_split.x[:9], test_split.y[:9]
    made = array_of(capsys, tmp_path, "reconstruct", str(conditional), "--n", "9")
    torch.testing.assert_close(made, model.reconstruct(x, y).detach())
    made = array_of(capsys, tmp_path, "cross", str(conditional), "--n", "9")
    torch.testing.assert_close(made, operations.cross_decode(model, x, y))


def test_labels_that_are_missing_unknown_or_not_wanted_are_refused(
    capsys, folder, conditional, tmp_path
):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((60, 8, 8)))
    for command in ("reconstruct", "interpolate", "traverse", "cross", "encode"):
        argv = [command, str(conditional), "--data", str(tmp_path / "x.npy")]
        assert "give y, the class of each x" in refused(capsys, *argv)
    assert "has never seen" in refused(capsys, "sample", str(conditional), "--label", "10")
    assert "not conditional" in refused(capsys, "sample", str(folder), "--label", "1")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["interpolate", "--n", "0"], "n must be at least 1"),
        (["interpolate", "--steps", "1"], "steps must be at least 2"),
        (["interpolate", "--out", "a.npz"], "a .png or .npy file"),
        (["traverse", "--component", "4"], "component must be in 0 ... 3"),
        (["traverse", "--latent", "3"], "latent must be in 0 ... 2"),
        (["traverse", "--steps", "0"], "steps must be at least 1"),
        (["traverse", "--index", "-1"], "index must be in 0 ..."),
        (["traverse", "--from", "low"], "--from takes float"),
        (["cross", "--n", "0"], "n must be at least 1"),
        (["cross", "--out", "no/such/folder/a.png"], "there is no folder"),
        (["encode", "--out", "a.png"], "must be a .npz, .csv, .parquet or .npy file"),
        (["encode", "--split", "half"], "--split takes train|val|test|all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_runs_codes_cannot_do_is_refused(capsys, folder, argv, message):
    assert message in refused(capsys, argv[0], str(folder), *argv[1:])


@pytest.mark.parametrize("command", ["sample", "reconstruct"])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--component", "4"], "component must be in 0 ... 3"),
        (["--component", "-1"], "component must be in 0 ... 3"),
        (["--n", "0"], "n must be at least 1"),
        (["--out", "a.jpg"], "a .png or .npy file"),
        (["--out", "no/such/folder/a.png"], "there is no folder"),
    ],
)
def test_what_cannot_be_drawn_is_refused(capsys, folder, command, option, message):
    assert message in refused(capsys, command, str(folder), *option)


def test_resume_goes_on_with_the_run_and_its_data(capsys, tmp_path):
    out = str(tmp_path / "run")
    assert main(["train", "vae", "--data", "digits", *SMALL, *QUIET, "--out", out]) == 0
    capsys.readouterr()
    assert "give a max_epochs above that" in refused(capsys, "train", "--resume", out)
    assert main(["train", "--resume", out, "--max-epochs", "2"]) == 0
    assert [row["epoch"] for row in load(out).history] == [0, 1, 2]
    assert not load(out).pictures  # as in the beginning


def test_a_run_from_python_needs_its_data_named(capsys, tmp_path, folder):
    (tmp_path / "recipe.json").write_text((folder / "recipe.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert "name them with --data" in refused(capsys, "evaluate", str(tmp_path))
    assert "ELBO" in shown(capsys, "evaluate", str(tmp_path), "--data", "digits")


def test_vectors_make_tables_and_no_pictures(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((60, 4)))
    run = str(tmp_path / "run")
    argv = ["train", "vae", "--data", str(tmp_path / "x.npy"), "--batch-size", "8", "--hidden", "8"]
    assert main([*argv, "--max-epochs", "1", *QUIET, "--out", run]) == 0
    capsys.readouterr()
    assert ".csv or .npy file" in refused(capsys, "sample", run, "--out", "s.png")
    shown(capsys, "sample", run)
    assert (Path(run) / "sample.csv").read_text().startswith("0,1,2,3\n")
    shown(capsys, "sample", run, "--out", str(tmp_path / "s.npy"))
    assert np.load(tmp_path / "s.npy").shape == (64, 4)

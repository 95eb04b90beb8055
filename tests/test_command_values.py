"""What the command line makes of values that cannot be used, of small data, and of own files."""

import json

import numpy as np
import pytest
import torch

import mixvae
from mixvae.cli import main

QUICK = ["--max-epochs", "1", "--progress", "false", "--pictures", "false", "--precision", "32"]
SMALL = ["--hidden", "8", "--n-latent", "2", *QUICK]
ON_DIGITS = ["train", "m-vae", "--data", "digits", "--subset", "128", *SMALL]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Sixty images in a file, and a run that was trained on them."""
    place = tmp_path_factory.mktemp("own")
    x = np.random.default_rng(0).random((60, 8, 8)).astype("float32")
    np.savez(place / "own.npz", x=x, y=np.arange(60) % 3)
    argv = ["train", "m-vae", "--data", str(place / "own.npz"), "--n-val", "7", *SMALL]
    assert main([*argv, "--out", str(place / "run")]) == 0
    return place


def refused(capsys, *argv):
    assert main(list(argv)) == 2
    error = capsys.readouterr().err
    assert error.startswith("mixvae: error: ")
    assert error.count("\n") == 1
    return error


def written(capsys, *argv):
    assert main(list(argv)) == 0
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("lr", "1e400", "lr must be a finite number; got inf"),
        ("lr", "1e39", "lr must be a finite number"),
        ("lr", "nan", "--lr takes float; got 'nan'"),
        ("lr", "0", "lr must be positive; got 0"),
        ("clip", "1e400", "clip must be a finite number"),
        ("seed", "-1", "seed must be at least 0"),
        ("seed", str(2**64), "seed must be at most 18446744073709551615"),
        ("data-seed", str(2**64), "seed must be at most 18446744073709551615"),
        ("patience", "0", "patience must be at least 1"),
        ("max-epochs", "9999999999999999999", "max_epochs must be at most"),
        ("n-samples", "100000000000000000000", "n_samples must be at most"),
        ("n-samples", "1000000000000", "GiB of memory, and this machine has"),
        ("n-components", "1000000000", "n_components must be at most 10000"),
        ("hidden", "1000000000000", "of memory"),
        ("beta-w", "1e400", "beta_w must be a finite number"),
        ("beta-dhsic", "-1", "beta_dhsic must be at least 0"),
        ("bandwidth", "1e400", "bandwidth must be a finite number"),
        ("devices", "1_000", "devices is 1000, which on a CPU are processes"),
        ("devices", "100000", "devices is 100000"),
        ("num-nodes", "0", "num_nodes must be at least 1"),
        ("num-nodes", "2", "nothing says where the other machines are"),
    ],
)
def test_a_value_out_of_range_is_refused_before_a_folder_is_made(
    capsys, tmp_path, monkeypatch, option, value, message
):
    monkeypatch.chdir(tmp_path)
    argv = [*ON_DIGITS, "--accelerator", "cpu", f"--{option}", value]
    assert message in refused(capsys, *argv)
    assert not list(tmp_path.iterdir())
    if f"--{option}" in SMALL:  # which has the last word
        return
    (tmp_path / "c.yaml").write_text(f"{option}: {value}")
    assert message in refused(capsys, *argv[:-2], "--config", "c.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("line", ["lr: .inf", "lr: .nan", "beta-w: .inf", "clip: .nan"])
def test_infinite_numbers_in_yaml_are_refused(capsys, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(line)
    name = line.split(":")[0]
    assert name in refused(capsys, *ON_DIGITS, "--config", "c.yaml")
    assert not (tmp_path / "runs").exists()


def test_the_largest_seed_trains(tmp_path):
    argv = [*ON_DIGITS, "--seed", str(2**64 - 1), "--data-seed", str(2**64 - 1)]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 0
    assert mixvae.load(tmp_path / "run").history


def test_more_components_than_training_images_say_what_is_left_for_training(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).random((25, 8, 8)))
    for recipe, option, what in (
        ("mixture-vae", "n-components", "components"),
        ("vade", "n-clusters", "clusters"),
    ):
        argv = ["train", recipe, "--data", "x.npy", *SMALL, f"--{option}", "20"]
        assert main([*argv, "--batch-size", "8"]) == 2
        error = capsys.readouterr().err
        assert f"20 {what} cannot start from 18 training examples" in error
        assert "2 more, which are held out for validation, and 5 for test" in error
    assert not (tmp_path / "runs").exists()


def test_fewer_images_than_a_batch_are_taken_all_at_once_and_that_is_said(capsys, own):
    main(["train", "vae", "--data", str(own / "own.npz"), *SMALL, "--out", str(own / "all")])
    said = capsys.readouterr().err
    assert "batch-size 128 is larger than the 44 training examples" in said
    assert json.loads((own / "all" / "training.json").read_text())["batch_size"] == 44


def test_a_subset_has_a_fifth_as_many_validation_images_but_a_hundred():
    x = torch.rand(3000, 4)
    data = mixvae.data.from_arrays(x, n_val=1000, test=x[:50])
    assert [len(data.subset(n).val) for n in (10, 600, 2000)] == [100, 120, 400]
    assert len(data.subset(600).test) == 50
    small = mixvae.data.from_arrays(x[:100], test=x[:50])
    assert len(small.subset(50).val) == len(small.val) == 10


# Own files


def test_encode_of_ones_own_file_has_all_rows_in_their_order(capsys, own):
    x = np.random.default_rng(1).random((60, 8, 8)).astype("float32")
    np.save(own / "new.npy", x)
    out = own / "new.npz"
    argv = ["encode", str(own / "run"), "--data", str(own / "new.npy"), "--out", str(out)]
    written(capsys, *argv)
    codes = mixvae.evaluation.latent_operations.codes(
        mixvae.load(own / "run").recipe.model, torch.from_numpy(x)[:, None]
    )
    arrays = np.load(out)
    np.testing.assert_allclose(arrays["codes"], codes, atol=1e-6)
    np.testing.assert_array_equal(arrays["index"], np.arange(60))


@pytest.mark.parametrize("split", ["train", "val", "test", "all"])
def test_the_index_says_which_rows_of_the_file_were_encoded(capsys, own, split):
    out = own / "part.npz"
    written(capsys, "encode", str(own / "run"), "--split", split, "--out", str(out))
    arrays, source = np.load(out), np.load(own / "own.npz")
    x = torch.from_numpy(source["x"][arrays["index"]])[:, None]
    codes = mixvae.evaluation.latent_operations.codes(mixvae.load(own / "run").recipe.model, x)
    np.testing.assert_allclose(arrays["codes"], codes, atol=1e-6)
    np.testing.assert_array_equal(arrays["y"], source["y"][arrays["index"]])
    assert len(arrays["index"]) == {"train": 41, "val": 7, "test": 12, "all": 60}[split]


def test_other_data_with_a_test_split_are_read_there(capsys, own):
    x = np.random.default_rng(1).random((20, 8, 8))
    np.savez(own / "split.npz", x=x, x_test=x[:3])
    out = own / "three.npz"
    argv = ["encode", str(own / "run"), "--data", str(own / "split.npz"), "--out", str(out)]
    written(capsys, *argv)
    assert len(np.load(out)["codes"]) == 3
    written(capsys, *argv, "--split", "all")
    assert len(np.load(out)["codes"]) == 23


def test_other_data_are_split_by_their_own_options(capsys, own):
    np.save(own / "five.npy", np.random.default_rng(1).random((5, 8, 8)))
    argv = ["encode", str(own / "run"), "--data", str(own / "five.npy"), "--split", "train"]
    out = own / "five.npz"
    written(capsys, *argv, "--out", str(out))  # the run's own n_val is 7
    assert len(np.load(out)["codes"]) == 3


def test_the_first_images_of_ones_own_file_are_reconstructed_and_traversed(capsys, own):
    x = torch.from_numpy(np.random.default_rng(1).random((9, 8, 8)).astype("float32"))[:, None]
    np.save(own / "nine.npy", x.numpy())
    model, out = mixvae.load(own / "run").recipe.model, str(own / "made.npy")
    argv = [str(own / "run"), "--data", str(own / "nine.npy"), "--out", out]
    written(capsys, "reconstruct", *argv)
    np.testing.assert_allclose(np.load(out), model.reconstruct(x).detach(), atol=1e-6)
    written(capsys, "traverse", *argv, "--index", "4", "--steps", "3", "--component", "0")
    expected = mixvae.evaluation.latent_operations.traverse(model, x[4:5], 0, 0, [-3.0, 0.0, 3.0])
    np.testing.assert_allclose(np.load(out)[0], expected[:, 0], atol=1e-6)


# Pictures


def test_pictures_of_different_options_are_different_files(capsys, own):
    run, other = str(own / "run"), str(own / "own2.npz")
    x = np.random.default_rng(1).random((30, 8, 8))
    np.savez(other, x=x)
    (own / "deeper").mkdir()
    np.savez(own / "deeper" / "own2.npz", x=x[::-1])
    lines = [
        ["interpolate", run],
        ["interpolate", run, "--crossed"],
        ["interpolate", run, "--split", "val"],
        ["interpolate", run, "--steps", "3"],
        ["traverse", run],
        ["traverse", run, "--component", "1"],
        ["traverse", run, "--index", "1"],
        ["traverse", run, "--from", "-2"],
        ["traverse", run, "--together"],
        ["sample", run],
        ["sample", run, "--seed", "1"],
        ["sample", run, "--n", "3"],
        ["reconstruct", run],
        ["reconstruct", run, "--split", "train"],
        ["reconstruct", run, "--data", other],
        ["reconstruct", run, "--data", str(own / "deeper" / "own2.npz")],
        ["cross", run, "--n", "1"],
        ["cross", run],
        ["encode", run],
        ["encode", run, "--split", "val"],
    ]
    names = [written(capsys, *line) for line in lines]
    assert len(set(names)) == len(names)
    assert names[0] == str(own / "run" / "interpolate.png")
    assert names[1] == str(own / "run" / "interpolate-crossed.png")
    assert written(capsys, *lines[5]) == names[5]


def test_a_pruned_model_without_epochs_has_no_curves(capsys, own):
    out = own / "smaller"
    argv = ["select", str(own / "run"), "--keep", "0", "2", "--out", str(out)]
    text = written(capsys, *argv, "--progress", "false")
    assert (out / "samples.png").exists()
    assert not (out / "curves.png").exists()
    assert "curves.png" not in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["sample", "--n", "1000000000000"], "GiB of memory"),
        (["interpolate", "--steps", "1000000000000"], "GiB of memory"),
        (["traverse", "--steps", "1000000000000"], "GiB of memory"),
        (["traverse", "--from", "1e400"], "from must be a finite number"),
        (["traverse", "--to", "-1e400"], "to must be a finite number"),
        (["interpolate", "--steps", "1000"], "at most 1,500 images"),
        (["sample", "--seed", str(2**64)], "seed must be at most"),
        (["evaluate", "--seed", "-1"], "seed must be at least 0"),
        (["evaluate", "--log-likelihood", "1000000000"], "log_likelihood must be at most"),
        (["evaluate", "--batch-size", "0"], "batch_size must be at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_memory_or_generators_cannot_take_is_refused(capsys, own, argv, message):
    assert message in refused(capsys, argv[0], str(own / "run"), *argv[1:])


def test_progress_leaves_plain_lines_in_a_file(capsys, own, monkeypatch):
    argv = ["evaluate", str(own / "run"), "--log-likelihood", "2", "--n-test", "5"]
    written(capsys, *argv)
    main(argv)
    (line,) = capsys.readouterr().err.splitlines()  # no progress, as it is over in a moment
    assert line.endswith("is there already and will be replaced")
    monkeypatch.setattr("mixvae.progress.SECONDS", 0.0)
    main(argv)
    error = capsys.readouterr().err
    assert "\r" not in error
    assert "log p(x): 5 of 5 (100%)" in error

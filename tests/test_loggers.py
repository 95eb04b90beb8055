"""Loggers are given the options of the recipe and of the training."""

from pathlib import Path

import pytest
import torch
import yaml

import mixvae

OPTIONS = {"max_epochs": 1, "batch_size": 8, "progress": False, "pictures": False}
EXPECTED = {"recipe": "vae", "n_latent": 3, "batch_size": 8, "lr": 0.02, "seed": 5}
pytestmark = pytest.mark.usefixtures("unchecked")


def train(folder: Path, logger: object) -> None:
    data = mixvae.data.from_arrays(torch.rand(40, 4).numpy())
    recipe = mixvae.build("vae", data, n_latent=3, hidden=(4, 3))
    more = {"accelerator": "cpu", "lr": 0.02, "seed": 5}
    mixvae.fit(recipe, data, out=folder, logger=logger, **OPTIONS, **more)


def check(found: dict[str, object]) -> None:
    assert {name: found[name] for name in EXPECTED} == EXPECTED
    assert str(list(found["hidden"])) == "[4, 3]"  # type: ignore[call-overload]


def test_csv_loggers_of_lightning(tmp_path: Path) -> None:
    fabric = pytest.importorskip("lightning.fabric.loggers")
    whole = pytest.importorskip("lightning.pytorch.loggers")
    loggers = [fabric.CSVLogger(tmp_path, "a"), whole.CSVLogger(tmp_path, "b")]
    train(tmp_path / "run", loggers)
    for logger in loggers:
        folder = Path(logger.log_dir)
        check(yaml.safe_load((folder / "hparams.yaml").read_text()))
        assert "val/objective" in (folder / "metrics.csv").read_text()


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("lightning.fabric.loggers")
    event = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plugin = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    train(tmp_path / "run", "tensorboard")
    events = event.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    tags = events.summary_metadata
    content = tags["_hparams_/session_start_info"].plugin_data.content
    values = plugin.HParamsPluginData.FromString(content).session_start_info.hparams
    found = {name: value.string_value or value.number_value for name, value in values.items()}
    assert {name: found[name] for name in EXPECTED} == EXPECTED
    assert found["hidden"] == "[4, 3]"

"""The items of the MVAE paper: their declarations, measures and pictures."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mixvae import experiments
from mixvae.experiments import mvae
from mixvae.experiments.item import Item, Row
from mixvae.reproduction import reproduce
from mixvae.reproduction.cache import Cache
from mixvae.reproduction.jobs import Job
from mixvae.reproduction.measures import MEASURES, Subject

CHEAP = ["mvae/fig3", "mvae/fig6", "mvae/fig8", "mvae/fig12", "mvae/fig13", "mvae/fig15"]
ROWS = {  # rows enough for every picture
    "mvae/fig3": ["MVAE-Gau K=4"],
    "mvae/fig6": ["MVAE-Gau K=4"],
    "mvae/fig8": ["MVAE-Gau K=4 L=2 with classes"],
    "mvae/fig12": ["MVAE-GS K=6 L=2 beta_dhsic=10.0"],
    "mvae/fig13": ["MVAE-GS K=6 L=2 beta_dhsic=10.0"],
    "mvae/fig15": ["MNIST"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of runs and results of a few items at the quick scale, one row each."""
    folder = tmp_path_factory.mktemp("mvae")
    for name in CHEAP:
        reproduce(
            [name],
            scale="quick",
            row=ROWS[name],
            runs=folder / "runs",
            out=folder / "results",
            progress=False,
        )
    return folder


def subject_of(folder: Path, name: str) -> Subject:
    """The first run of an item, as measures receive it."""
    item = experiments.ITEMS[name]
    (row,) = (row for row in item.rows if row.name == ROWS[name][0])
    job = Job(item, item.protocols["quick"], row, 0)
    cache = Cache(folder / "runs", progress=False)
    return Subject(job, cache.run(job), cache.dataset(job.data), cache.dataset)


@pytest.mark.parametrize("name", CHEAP)
def test_every_declared_figure_exists_and_a_picture_is_drawn(name: str, folder: Path) -> None:
    item = experiments.ITEMS[name]
    with (folder / "results" / f"{name}.csv").open(newline="") as file:
        found = {line["figure"] for line in csv.DictReader(file) if line["ours"]}
    assert found == {column.label for column in item.columns}
    assert list((folder / "results" / "mvae").glob(f"{item.short}*.png"))


def test_errors_of_exchanged_codes_are_those_of_single_decodings(folder: Path) -> None:
    subject = subject_of(folder, "mvae/fig3")
    found = MEASURES["exchange"](subject, n_test=20)
    model, test = subject.run.recipe.model.eval(), subject.data.test
    x = test.x[torch.arange(20) * len(test) // 20]
    k = model.n_components
    sse = torch.zeros(k, k)
    with torch.no_grad():
        mu = model.infer(x)[0].mean
        for i in range(k):
            same = mu[:, [i]].expand(-1, k, -1)  # every sub-decoder is given encoder i's code
            for j in range(k):
                one_hot = torch.zeros(1, 20, k)
                one_hot[..., j] = 1
                alone = model.decode(same.unsqueeze(0), one_hot).mean.reshape(x.shape)
                sse[i, j] = (alone - x).square().sum() / 20
    np.testing.assert_allclose(found["sse"], sse, rtol=1e-4)
    off = [float(sse[i, j]) for i in range(k) for j in range(k) if i != j]
    assert found["matched"] == pytest.approx(float(sse.trace()) / k, rel=1e-4)
    assert found["mismatched"] == pytest.approx(sum(off) / len(off), rel=1e-4)


def test_exchanging_no_codes_is_the_reconstruction(folder: Path) -> None:
    subject = subject_of(folder, "mvae/fig3")
    found = MEASURES["exchange"](subject, n_test=20)
    model, test = subject.run.recipe.model.eval(), subject.data.test
    x = test.x[torch.arange(20) * len(test) // 20]
    with torch.no_grad():
        error = (model.reconstruct(x) - x).square().flatten(1).sum(1).mean()
    assert found["mixture"] == pytest.approx(float(error), rel=1e-4)
    assert found["mixture_exchanged"] != pytest.approx(found["mixture"], rel=1e-3)


def test_separation_is_the_silhouette_of_the_definition(folder: Path) -> None:
    subject = subject_of(folder, "mvae/fig13")
    found = MEASURES["separation"](subject, label=1, n=10)
    model, test = subject.run.recipe.model.eval(), subject.data.test
    assert test.y is not None
    with torch.no_grad():
        mu = model.infer(test.x[test.y == 1][:10])[0].mean.double().numpy()  # (10, K, L)
    scores = []
    for row in range(10):
        for k in range(model.n_components):
            far = np.linalg.norm(mu - mu[row, k], axis=2)  # to every code
            own = far[:, k].sum() / 9  # without itself
            other = min(far[:, j].mean() for j in range(model.n_components) if j != k)
            scores.append((other - own) / max(own, other))
    assert found["silhouette"] == pytest.approx(np.mean(scores), rel=1e-4)


def test_a_component_that_ignores_its_code_does_not_change_along_it(folder: Path) -> None:
    subject = subject_of(folder, "mvae/fig8")
    model = subject.run.recipe.model
    before = MEASURES["traversal"](subject, latent=1, values=[0.0, 3.0], label=5, n=4)["change"]
    first = next(p for n, p in model.decoder.named_parameters() if p.dim() == 3)  # (K, in, out)
    axis = 1 if first.shape[1] == 12 else 2  # two latents and ten classes
    with torch.no_grad():
        first[2].select(axis - 1, 1).zero_()
    after = MEASURES["traversal"](subject, latent=1, values=[0.0, 3.0], label=5, n=4)["change"]
    assert min(before) > 0
    assert after[2] == 0
    assert [after[k] for k in (0, 1, 3)] == pytest.approx([before[k] for k in (0, 1, 3)])


def runs_of(item: Item, scale: str = "cpu") -> dict[str, str]:
    """Names of the runs of an item, by row."""
    protocol = item.protocols[scale]  # type: ignore[index]
    rows = [row for row in item.rows if row.recipe is not None]
    return {row.name: Job(item, protocol, row, 0).name for row in rows}


def test_items_share_the_runs_that_they_have_in_common() -> None:
    items = {item.short: item for item in mvae.ITEMS}
    gau = {runs_of(items[name])["MVAE-Gau K=4"] for name in ("fig2", "fig3", "fig6", "table5")}
    assert len(gau | {runs_of(items["table6"])["MVAE-Gau K=4"]}) == 1
    colour = runs_of(items["table1"])["MVAE-Gau"]
    assert colour == runs_of(items["fig4"])["MVAE-Gau K=6, CIFAR-10"]
    assert colour == runs_of(items["table4"])["MVAE-Gau, CIFAR-10"]
    assert runs_of(items["fig14"])["CIFAR-10"] == runs_of(items["table1"])["MVAE-GS"]
    assert runs_of(items["fig14"])["MNIST"] == runs_of(items["table6"])["MVAE-GS K=6"]


def test_a_data_set_can_have_a_training_of_its_own() -> None:
    item = next(item for item in mvae.ITEMS if item.short == "fig14")
    protocol = item.protocols["cpu"]
    epochs = {row.name: Job(item, protocol, row, 0).training["max_epochs"] for row in item.rows}
    assert epochs["MNIST"] == 10
    assert epochs["CIFAR-10"] == 5
    row: Row = replace(item.rows[0], training={"max_epochs": 1})
    assert Job(item, protocol, row, 0).training["max_epochs"] == 1


def test_all_22_items_are_declared() -> None:
    assert [item.short for item in mvae.ITEMS] == [
        *(f"fig{number}" for number in range(2, 18)),
        *(f"table{number}" for number in range(1, 7)),
    ]


def test_pictures_are_of_rows_of_their_item() -> None:
    for item in mvae.ITEMS:
        names = {row.name for row in item.rows}
        for picture in item.pictures.values():
            asked = picture.arguments
            rows = [*asked.get("rows", ()), *asked.get("only", ())]
            rows += [asked["row"]] if "row" in asked else []
            assert set(rows) <= names, item.name

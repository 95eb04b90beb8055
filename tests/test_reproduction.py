"""Reproduction of the papers' items: cached runs, tables, pictures, and what goes wrong."""

import csv
import json
import threading
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
import torch

import mixvae
from mixvae import experiments
from mixvae.cli import main
from mixvae.errors import MixvaeError
from mixvae.experiments.item import Column, Data, Item, Picture, Protocol, Row
from mixvae.recipes import options_of
from mixvae.recipes.registry import find as find_recipe
from mixvae.reproduction import reproduce
from mixvae.reproduction.index import write_index
from mixvae.reproduction.jobs import jobs_of
from mixvae.reproduction.measures import MEASURES
from mixvae.reproduction.pictures import PICTURES
from mixvae.storage import lock

DIGITS = Data(name="digits", subset=64)
SMALL = {"hidden": [8], "n_latent": 2}
SSE = Column(label="SSE", path="reconstruction.sse")
OBJECTIVE = Column(label="objective", path="bounds.objective", bound="objective")
ITEM = Item(
    name="mvae/table99",
    title="a small table",
    about="Two models.",
    rows=[
        Row(name="VAE", recipe="vae", options=SMALL, reported={"SSE": 9.5}),
        Row(name="M-VAE", recipe="m-vae", options=SMALL | {"n_components": 2}, control=True),
        Row(name="GAN", reported={"SSE": 7.0}),
    ],
    columns=[SSE, OBJECTIVE],
    pictures={"": Picture(draw="compared", arguments={"n": 3})},
    protocols={
        "quick": Protocol(
            data={"digits": DIGITS},
            training={"max_epochs": 2, "batch_size": 32, "precision": "32"},
            note="Tiny.",
            comparable="no: tiny",
        )
    },
    components=True,
)


@pytest.fixture
def item(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Item:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(experiments.ITEMS, ITEM.name, ITEM)
    return ITEM


def use(monkeypatch: pytest.MonkeyPatch, item: Item) -> None:
    monkeypatch.setitem(experiments.ITEMS, item.name, item)


def make(**options: Any) -> list[Path]:
    return reproduce([ITEM.name], scale="quick", progress=False, **options)


def lines(path: str = "results-quick/mvae/table99.csv") -> dict[tuple[str, str], dict[str, str]]:
    with Path(path).open(newline="") as file:
        return {(line["row"], line["figure"]): line for line in csv.DictReader(file)}


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    fitted: list[str] = []
    fit = mixvae.fit

    def counted(recipe: Any, *args: Any, **kwargs: Any) -> Any:
        fitted.append(recipe.name)
        return fit(recipe, *args, **kwargs)

    monkeypatch.setattr(mixvae, "fit", counted)
    return fitted


@pytest.mark.parametrize("name", experiments.ITEMS)
def test_every_declaration_can_be_carried_out(name: str) -> None:
    item = experiments.ITEMS[name]
    assert set(item.protocols) == {"quick", "cpu", "paper"}
    assert set(item.measures) <= set(MEASURES)
    assert {picture.draw for picture in item.pictures.values()} <= set(PICTURES)
    assert len({row.name for row in item.rows}) == len(item.rows)
    labels = {column.label for column in item.columns}
    known: set[str] = set()
    for row in item.rows:
        assert set(row.reported) <= labels, row.name
        assert row.comparable == "yes" or row.comparable.startswith("no: ")
        if row.recipe is None:
            assert row.reported
            assert not row.options
            continue
        options = options_of(find_recipe(row.recipe))
        assert set(row.options) <= set(options), row.name
        known |= set(options)
    for scale, protocol in item.protocols.items():
        assert protocol.comparable == "yes" or protocol.comparable.startswith("no: ")
        if scale != "quick":
            assert set(protocol.options) <= known
        for job in jobs_of(item, protocol, list(item.rows), 1):
            json.dumps(job.spec)


def test_an_item_of_each_paper_runs_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--list"]) == 0
    names = capsys.readouterr().out.split()
    assert names == list(experiments.ITEMS)
    cheap = {"m-vae": "m-vae/fig1"}
    assert main(["reproduce", *cheap.values(), "--scale", "quick"]) == 0
    shown = capsys.readouterr().out
    page = Path("results-quick/README.md").read_text()
    for name in cheap.values():
        assert f"{name}: {experiments.ITEMS[name].title}" in shown
        assert Path(f"results-quick/{name}.csv").exists()
        assert f"({name}.md)" in page


def test_figures_stand_beside_the_papers(item: Item) -> None:
    (page,) = make(seeds=2)
    found = lines()
    vae, gan = found["VAE", "SSE"], found["GAN", "SSE"]
    by_seed = [float(value) for value in vae["by_seed"].split()]
    assert len(by_seed) == 2 == int(vae["seeds"])
    assert float(vae["ours"]) == pytest.approx(mean(by_seed), abs=0.006)
    assert float(vae["sd"]) == pytest.approx(stdev(by_seed), abs=0.006)
    assert (vae["reported"], vae["comparable"], vae["bound"]) == ("9.5", "no: tiny", "no")
    assert found["VAE", "objective"]["bound"] == "yes"
    assert found["M-VAE", "objective"]["bound"] == "no"
    assert found["M-VAE", "SSE"]["control"] == "yes"
    assert (gan["ours"], gan["reported"], gan["comparable"]) == ("", "7.0", "yes")
    run = mixvae.load(next(Path("runs/reproduce").glob("vae-digits-*/run")))
    assert f"{run.metrics['reconstruction']['sse']:.4f}" in vae["by_seed"]
    text = page.read_text()
    assert "| GAN (quoted) |  | 7.00 |" in text
    assert "M-VAE (control)" in text
    assert "Not comparable with the paper's figures: tiny" in text
    assert "SSE alone" in text
    assert "![a small table](table99.png)" in text
    assert Path("results-quick/mvae/table99.png").stat().st_size > 1000


def test_runs_are_made_once_and_shared(item: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = count_fits(monkeypatch)
    make()
    before = Path("results-quick/mvae/table99.csv").read_text()
    make()
    assert fitted == ["vae", "m-vae"]
    assert Path("results-quick/mvae/table99.csv").read_text() == before
    other = replace(item, name="mvae/fig99", columns=[OBJECTIVE], rows=item.rows[:1])
    use(monkeypatch, other)
    reproduce([other.name], scale="quick", progress=False)
    assert fitted == ["vae", "m-vae"]


def test_rows_can_be_chosen(item: Item) -> None:
    make(row=["M-VAE"])
    assert [row for row, _ in lines()] == ["M-VAE", "M-VAE", "GAN"]
    assert "- Declared and not trained here: VAE.\n" in Path(
        "results-quick/mvae/table99.md"
    ).read_text(encoding="utf-8")
    with pytest.raises(MixvaeError, match=r"unknown row of mvae/table99 'M-VAR'. Did you mean"):
        make(row=["M-VAR"])


def test_an_interrupted_command_loses_nothing(item: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(mixvae.training.Callback):
        def on_epoch_end(self, state: Any) -> None:
            if state.epoch == 1:
                raise KeyboardInterrupt

    make(runs="whole")
    fit = mixvae.fit

    def stopped(recipe: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["callbacks"] = [Stop()] if recipe.name == "m-vae" else None
        return fit(recipe, *args, **kwargs)

    monkeypatch.setattr(mixvae, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        make()
    assert ("VAE", "SSE") in lines()
    monkeypatch.setattr(mixvae, "fit", fit)
    fitted = count_fits(monkeypatch)
    make()
    assert fitted == []  # the VAE was there, and M-VAE was resumed
    weights = [
        mixvae.load(next(Path(runs).glob("m-vae-*/run"))).recipe.model.state_dict()
        for runs in ("runs/reproduce", "whole")
    ]
    assert all(torch.equal(a, b) for a, b in zip(*map(dict.values, weights), strict=True))


@pytest.mark.parametrize("fault", ["weights", "version", "spec", "default", "figures"])
def test_what_cannot_be_used_is_made_again_and_kept(
    item: Item,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make()
    before = lines()
    (entry,) = Path("runs/reproduce").glob("vae-digits-*")
    if fault == "weights":
        path = entry / "run/model.safetensors"
        path.write_bytes(path.read_bytes()[:-40])
        next((entry / "figures").glob("*.json")).unlink()
    elif fault == "version":
        content = json.loads((entry / "spec.json").read_text())
        (entry / "spec.json").write_text(json.dumps(content | {"version": "0.0.1"}))
    elif fault == "default":
        content = json.loads((entry / "spec.json").read_text())
        content["defaults"]["training"]["lr"] = 0.5
        (entry / "spec.json").write_text(json.dumps(content))
    elif fault == "spec":
        (entry / "spec.json").write_text("{")
    else:
        next((entry / "figures").glob("*.json")).write_text("{")
    fitted = count_fits(monkeypatch)
    make()
    said = capsys.readouterr().err
    if fault == "figures":
        assert fitted == []
        assert "measured again" in said
    else:
        assert fitted == ["vae"]
        assert "trained again" in said
        assert list(Path("runs/reproduce").glob("replaced-001-vae-digits-*"))
    assert lines()["VAE", "SSE"]["by_seed"] == before["VAE", "SSE"]["by_seed"]


def test_changed_data_are_noticed(
    item: Item,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = Data(name="own", folder="own.npz", n_val=20)
    protocol = replace(item.protocols["quick"], data={"own": own})
    use(monkeypatch, replace(item, protocols={"quick": protocol}))

    def write(seed: int) -> None:
        x = np.random.default_rng(seed).random((100, 1, 4, 4)).astype(np.float32)
        np.savez(tmp_path / "own.npz", x_train=x, x_test=x[:30])

    write(0)
    make(data_dir=tmp_path)
    write(1)
    fitted = count_fits(monkeypatch)
    make(data_dir=tmp_path)
    assert fitted == ["vae", "m-vae"]
    assert "the content of own has changed" in capsys.readouterr().err


def test_rows_without_data_are_left_out_with_a_line(
    item: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = Data(name="CelebA", folder="celeba", image_size=(64, 64))
    protocol = replace(item.protocols["quick"], data={"digits": DIGITS, "celeba": faces})
    rows = [replace(item.rows[0], data="celeba"), *item.rows[1:]]
    use(monkeypatch, replace(item, protocols={"quick": protocol}, rows=rows))
    make(data_dir=tmp_path)
    said = capsys.readouterr().err
    assert said.count("left out VAE: CelebA is not there: put its images in") == 1
    assert ("M-VAE", "SSE") in lines()
    use(monkeypatch, replace(item, protocols={"quick": protocol}, rows=rows[:1]))
    with pytest.raises(MixvaeError, match=r"the data of mvae/table99 are missing: give --data-dir"):
        make(data_dir=tmp_path)


def test_a_row_that_fails_does_not_stop_the_others(
    item: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(item.rows[0], options={"hidden": [8], "likelihood": "logistic"})
    use(monkeypatch, replace(item, rows=[broken, *item.rows[1:]]))
    fit = mixvae.fit

    def failing(recipe: Any, *args: Any, **kwargs: Any) -> Any:
        if recipe.name == "vae":
            raise MixvaeError("no luck")
        return fit(recipe, *args, **kwargs)

    monkeypatch.setattr(mixvae, "fit", failing)
    with pytest.raises(MixvaeError, match=r"1 runs? failed: .*VAE, seed 0 \(no luck\)"):
        make()
    assert ("M-VAE", "SSE") in lines()


def test_a_row_whose_first_seed_fails_is_shown_by_the_second(
    item: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = mixvae.fit

    def failing(recipe: Any, *args: Any, **kwargs: Any) -> Any:
        if recipe.name == "vae" and kwargs["seed"] == 0:
            raise MixvaeError("no luck")
        return fit(recipe, *args, **kwargs)

    monkeypatch.setattr(mixvae, "fit", failing)
    with pytest.raises(MixvaeError, match="1 run failed"):
        make(seeds=2)
    assert lines()["VAE", "SSE"]["seeds"] == "1"
    assert Path("results-quick/mvae/table99.png").exists()


def test_a_run_that_another_process_makes_is_waited_for(
    item: Item, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(row=["VAE"])
    (entry,) = Path("runs/reproduce").glob("vae-digits-*")
    figures = entry / "figures"
    figures.rename(entry / "away")
    lock.acquire(entry)
    monkeypatch.setattr("mixvae.reproduction.SECONDS", 0.05)

    def finish() -> None:
        (entry / "away").rename(figures)
        lock.release(entry)

    timer = threading.Timer(1.0, finish)
    timer.start()
    fitted = count_fits(monkeypatch)
    make()
    timer.join()
    assert fitted == ["m-vae"]  # while the other was held
    assert "left to another process" in capsys.readouterr().err
    assert ("VAE", "SSE") in lines()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["mvae/table66"], "unknown item 'mvae/table66'. Did you mean"),
        (["m-vae/fig1", "--scale", "fast"], "--scale takes quick|cpu|paper; got 'fast'"),
        (["m-vae/table1", "--row", "VAE, KL x 1/5"], "unknown row of m-vae/table1 'VAE, KL x 1/5'"),
        (["m-vae/fig1", "--seeds", "0"], "seeds must be at least 1; got 0"),
        ([], "name a table or figure"),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *argv]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_page_of_results_has_findings_first_and_other_studies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("table1", "fig2", "fig12")
    items = {f"mvae/{name}": replace(ITEM, name=f"mvae/{name}") for name in names}
    monkeypatch.setattr("mixvae.reproduction.index.ITEMS", items)
    paper, other = tmp_path / "mvae", tmp_path / "mixing"
    paper.mkdir()
    other.mkdir()
    (tmp_path / "about.md").write_text("# Results\n\nWhat holds for all.\n")
    (paper / "findings.md").write_text("A finding.\n")
    for name in names:
        (paper / f"{name}.md").write_text(
            f"# mvae/{name}: T\n\n| row | a |\n| --- | --- |\n| b | 1 |\n"
        )
    (paper / "fig2-more.png").write_bytes(b"")
    (other / "findings.md").write_text("## Mixing\n\nAnother finding: [it](joint.md).\n")
    (other / "joint.md").write_text("A study.\n\n| x |\n")
    write_index(tmp_path)
    text = (tmp_path / "README.md").read_text()
    order = [
        "What holds",
        "A finding.",
        "mvae/table1: T",
        "mvae/fig2: T",
        "mvae/fig12: T",
        "Another finding: [it](mixing/joint.md).",
        "A study",
    ]
    assert sorted(order, key=text.index) == order
    assert "![mvae/fig2: T](mvae/fig2-more.png)" in text
    assert text.count("| b | 1 |") == 3

"""Faults in the reproduction of the papers' items: damaged runs, wrong folders, two processes."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mixvae
from mixvae import experiments
from mixvae.cli import main
from mixvae.errors import MixvaeError
from mixvae.experiments.item import Column, Data, Item, Picture, Protocol, Row
from mixvae.plots import figures as plots
from mixvae.reproduction import cache, reproduce
from mixvae.reproduction.index import write_index
from mixvae.storage import lock

SMALL = {"hidden": [8], "n_latent": 2}
ITEM = Item(
    name="mvae/table98",
    title="a model of MNIST",
    about="One model.",
    rows=[
        Row(name="M-VAE", recipe="m-vae", options=SMALL | {"n_components": 2}),
        Row(name="faces, K = 2", recipe="vae", options=SMALL, data="faces"),
    ],
    columns=[Column(label="SSE", path="reconstruction.sse")],
    pictures={"": Picture(draw="compared", arguments={"n": 3})},
    protocols={
        "quick": Protocol(
            data={
                "digits": Data(name="digits", subset=64),
                "faces": Data(name="faces", folder="faces"),
            },
            training={"max_epochs": 1, "batch_size": 32, "precision": "32"},
            note="Tiny.",
        )
    },
    components=True,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with the item's, and its CSV."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(experiments.ITEMS, ITEM.name, ITEM)
        patch.setattr(plots, "DPI", 20)  # for time
        make()
    return folder


@pytest.fixture
def entry(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The entry of the run in a copy of that folder, which is the current folder."""
    shutil.copytree(made / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(experiments.ITEMS, ITEM.name, ITEM)
    monkeypatch.setattr(plots, "DPI", 20)
    (found,) = Path("runs/reproduce").glob("m-vae-*")
    return found


def make(**options: Any) -> list[Path]:
    return reproduce(
        [ITEM.name], scale="quick", progress=False, row=["M-VAE"], data_dir=".", **options
    )


def csv_of(folder: Path) -> list[dict[str, str]]:
    with (folder / f"results-quick/{ITEM.name}.csv").open(newline="") as file:
        return [
            {name: value for name, value in line.items() if name not in ("seconds", "commit")}
            for line in csv.DictReader(file)
        ]


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    fitted: list[str] = []
    fit = mixvae.fit

    def counted(recipe: Any, *args: Any, **kwargs: Any) -> Any:
        fitted.append(recipe.name)
        return fit(recipe, *args, **kwargs)

    monkeypatch.setattr(mixvae, "fit", counted)
    return fitted


def cut(entry: Path) -> None:
    path = entry / "run/model.safetensors"
    path.write_bytes(path.read_bytes()[:-40])


def another(entry: Path) -> None:
    shutil.rmtree(entry / "run")
    data = mixvae.data.load("digits", subset=64)
    recipe = mixvae.build("m-vae", data, n_components=3, **SMALL)
    quiet: dict[str, Any] = {"progress": False, "pictures": False}
    mixvae.fit(recipe, data, out=entry / "run", max_epochs=1, batch_size=32, **quiet)


def without_spec(entry: Path) -> None:
    (entry / "spec.json").unlink()


def without_metrics(entry: Path) -> None:
    shutil.rmtree(entry / "figures")
    (entry / "run/metrics.json").unlink()


def strange_defaults(entry: Path) -> None:
    path = entry / "spec.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"defaults": {"options": 5, "training": None}}))


def without_run(entry: Path) -> None:
    shutil.rmtree(entry / "run")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "model.safetensors is not a whole"),
        (another, "is the run of another recipe, or of other options. Renamed replaced-001"),
        (without_spec, "it has no spec.json. Renamed replaced-001"),
        (without_metrics, "run/metrics.json is missing or damaged. Renamed replaced-001"),
        (strange_defaults, "the default of the options has changed. Renamed replaced-001"),
        (without_run, "they are of a run that is gone. Renamed replaced-001"),
    ],
)
def test_a_damaged_run_is_trained_again_although_its_figures_are_whole(
    damage: Callable[[Path], None],
    said: str,
    entry: Path,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(entry)
    fitted = count_fits(monkeypatch)
    make()
    assert fitted == ["m-vae"]
    assert said in capsys.readouterr().err
    assert csv_of(Path()) == csv_of(made)


@pytest.mark.parametrize("name", ["health", "n_components", "bounds", "reconstruction"])
def test_figures_of_another_kind_are_measured_again(
    name: str,
    entry: Path,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (path,) = (entry / "figures").glob("metrics-*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: "text"}))
    fitted = count_fits(monkeypatch)
    make()
    assert fitted == []
    assert f"measured again: {name} in" in capsys.readouterr().err
    assert csv_of(Path()) == csv_of(made)


@pytest.mark.parametrize("value", [["a", 1], [[1]], "a", {"a": 1}])
def test_figures_that_are_no_numbers_are_left_out(value: Any, entry: Path) -> None:
    (path,) = (entry / "figures").glob("metrics-*.json")
    content = json.loads(path.read_text())
    content["reconstruction"]["sse"] = value
    content["health"]["kl"] = [value, 1]
    path.write_text(json.dumps(content))
    (page,) = make()
    assert csv_of(Path()) == []
    assert "| M-VAE | - 1.0 |" in page.read_text()


def test_a_run_that_is_trained_by_hand_is_left_alone(entry: Path) -> None:
    shutil.rmtree(entry / "figures")
    lock.acquire(entry / "run")
    job = next(iter(jobs()))
    with pytest.raises(cache.InUseError, match=r"run is in use by another process"):
        cache.Cache(Path("runs/reproduce"), ".").make(job)
    assert not list(entry.parent.glob("replaced*"))


def test_of_two_processes_that_begin_at_once_one_waits(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock.acquire(entry)
    monkeypatch.setattr(lock, "is_held", lambda folder: False)  # as seen before the other began
    with pytest.raises(cache.InUseError, match=r"in use by process"):
        cache.Cache(Path("runs/reproduce"), ".").make(next(iter(jobs())))


def jobs() -> Any:
    protocol = ITEM.protocols["quick"]
    return cache.Job(ITEM, protocol, ITEM.rows[0], 0), cache.Job(ITEM, protocol, ITEM.rows[1], 0)


def test_data_that_are_missing_are_looked_for_once(
    entry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    item = replace(ITEM, name="mvae/table97")
    monkeypatch.setitem(experiments.ITEMS, item.name, item)
    reads: list[Data] = []

    def read(self: Any, data: Data) -> Any:
        reads.append(data)
        raise MixvaeError("faces: not here.\n  a\n  b")

    monkeypatch.setattr(cache.Cache, "_read", read)
    with pytest.raises(MixvaeError, match=r"the data of mvae/table98, mvae/table97 are missing"):
        reproduce([ITEM.name, item.name], scale="quick", progress=False, row=["faces, K = 2"])
    assert len(reads) == 1
    said = capsys.readouterr().err
    assert "mvae/table98: left out all rows: faces: not here.\n  a\n  b" in said
    assert said.endswith("mvae/table97: left out all rows: as above: faces\n")


def test_names_with_commas_are_told_apart(entry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reproduce([ITEM.name], scale="quick", progress=False, data_dir=".")
    assert "left out faces, K = 2: faces is not there" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_wrong_folder_of_results_is_found_before_the_training(
    out: str, entry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("kept")
    fitted = count_fits(monkeypatch)
    words = [ITEM.name, "--scale", "quick", "--runs", "new", "--row", "M-VAE", "--data-dir", "."]
    assert main(["reproduce", *words, "--out", out]) == 1
    assert capsys.readouterr().err.startswith("mixvae: error: Not a directory: file")
    assert fitted == []
    assert Path("file").read_text() == "kept"


def test_partial_files_of_killed_processes_are_removed(entry: Path) -> None:
    out = Path("results-quick/mvae")
    out.mkdir(parents=True)
    gone, working = (out / f".a.png.{pid}.partial" for pid in (2**22 + 1, 1))
    gone.touch()
    working.touch()
    make()
    assert not gone.exists()
    assert working.exists()


def test_a_full_disk_is_named_with_the_way_on(
    entry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device", "last.ckpt")

    monkeypatch.setattr(mixvae, "fit", full)
    words = ["--scale", "quick", "--runs", "new", "--row", "M-VAE", "--data-dir", "."]
    assert main(["reproduce", ITEM.name, *words]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("mixvae: error: No space left on device: last.ckpt. The same command")
    assert said.endswith("goes on with mvae/table98, M-VAE, seed 0")


def test_a_closed_standard_error_stops_nothing(
    entry: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    reproduce([ITEM.name], scale="quick", row=["M-VAE"], data_dir=".", runs="new")
    assert csv_of(Path()) == csv_of(made)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fig1", "Did you mean 'm-vae/fig1'?"),
        ("fig2", "Did you mean 'm-vae/fig2' or 'mvae/fig2' or 'dlgmm/fig2' or 'gmmpvae/fig2'?"),
        ("M-VAE/fig1", "Did you mean 'm-vae/fig1'?"),
        ("/", "Papers: m-vae, mvae, dlgmm, gmmpvae, all; mixvae reproduce --list"),
    ],
)
def test_an_unknown_name_is_a_short_line(name: str, hint: str) -> None:
    with pytest.raises(MixvaeError) as error:
        experiments.find([name])
    assert f"unknown item {name!r}. {hint}" in str(error.value)
    assert len(str(error.value)) < 220


def test_pages_that_are_no_text_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "mixing").mkdir()
    (tmp_path / "mixing/study.md").write_bytes(b"# A study \xff\xfe\n")
    (tmp_path / "about.md").write_bytes(b"\xff\xfe")
    write_index(tmp_path)
    assert "A study" in (tmp_path / "README.md").read_text()


def test_titles_and_tables_say_at_which_scale_they_are(
    entry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    titles: list[str] = []
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **how: titles.append(text))
    (page,) = make()
    note = "mvae/table98 at the quick scale: scikit-learn's digits, two epochs"
    (title,) = titles
    assert title.startswith("a model of MNIST\n")
    assert " ".join(title.split()) == f"a model of MNIST {note}"
    shown = capsys.readouterr().out
    assert "mvae/table98: a model of MNIST\nTiny.\n" in shown
    assert f"written: {page}" in shown
    plots.save(plots.panels(1, 1, 1)[0], "alone.png", "a title")
    assert titles[1:] == ["a title"]

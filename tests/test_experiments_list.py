"""What the items of the papers promise: the list in the documentation, controls, and bounds."""

import re
from pathlib import Path

import pytest
import torch

from mixvae import recipes
from mixvae.evaluation import bounds
from mixvae.experiments import ITEMS
from mixvae.experiments.common import ELBO, LOG_PX, OBJECTIVE
from mixvae.experiments.item import Item, Row
from mixvae.reproduction.cache import Cache
from mixvae.reproduction.jobs import Job
from mixvae.reproduction.results import Results
from mixvae.reproduction.tables import _bound, text_table

PAGE = Path(__file__).parents[1] / "docs" / "reproduce.md"
JOINT = {"m-vae", "mvae", "mvae-gs", "mvae-gau"}
NO_DENSITY = {"cross-entropy", "squared-error"}


def test_the_page_lists_every_item_with_its_title_and_no_other() -> None:
    listed = re.findall(r"^\| `([\w-]+/\w+)` \| [^|]+ \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert len(listed) == len(ITEMS)
    assert dict(listed) == {name: item.title for name, item in ITEMS.items()}


def joint(item: Item) -> list[Row]:
    """Rows of joint mixtures of an item."""
    return [row for row in item.rows if row.recipe in JOINT]


TABLES = [item for item in ITEMS.values() if item.short.startswith("table") and joint(item)]


@pytest.mark.parametrize("item", TABLES, ids=lambda item: item.name)
def test_tables_of_joint_mixtures_have_single_vaes_with_their_advantages(item: Item) -> None:
    """On every data set: 1/K of the KL, K times the latents, and as many parameters."""
    assert item.components
    for data in {row.data for row in joint(item)}:
        mixtures = [row for row in joint(item) if row.data == data]
        sizes = {(row.options["n_components"], row.options["n_latent"]) for row in mixtures}
        controls = [row.options for row in item.rows if row.control and row.data == data]
        single = [options for options in controls if "n_components" not in options]
        weight = mixtures[0].options.get("beta_kl", 1.0)
        found = [
            (k, n)
            for k, n in sizes
            if any(o.get("beta_kl", 1.0) == pytest.approx(weight / k) for o in single)
            and any(o["n_latent"] == k * n for o in single)
        ]
        assert found
        assert any({"hidden", "channels"} & o.keys() for o in single)


@pytest.mark.parametrize(
    ("item", "mixture", "vae", "shape"),
    [
        ("m-vae/table1", "M-VAE K=4", "VAE, parameters of K=4", (1, 28, 28)),
        ("m-vae/table3", "M-VAE K=4, KL x 0.01", "VAE, KL x 0.01, parameters of K=4", (3, 32, 32)),
        ("mvae/table1", "MVAE-Gau", "VAE, KL x 0.01, parameters of K=6", (3, 32, 32)),
        ("mvae/table5", "MVAE-GS K=4", "VAE, parameters of K=4", (1, 28, 28)),
        ("mvae/table6", "MVAE-GS K=6", "VAE, parameters of K=6", (1, 28, 28)),
    ],
)
def test_controls_have_as_many_parameters(
    item: str, mixture: str, vae: str, shape: tuple[int, ...]
) -> None:
    rows = {row.name: row for row in ITEMS[item].rows}
    of = [recipes.build(str(rows[n].recipe), shape, **rows[n].options) for n in (mixture, vae)]
    assert of[1].n_parameters == pytest.approx(of[0].n_parameters, rel=0.03)


@pytest.mark.parametrize(
    ("recipe", "options", "expected"),
    [
        ("vae", {"likelihood": "bernoulli"}, "yes"),
        ("vae", {"likelihood": "cross-entropy"}, "no"),
        ("m-vae", {"likelihood": "bernoulli"}, "no"),  # the mean of the components' KL
        ("m-vae", {"likelihood": "bernoulli", "kl_reduction": "sum", "beta_dhsic": 0.0}, "yes"),
        ("beta-vae", {"likelihood": "bernoulli", "beta_kl": 0.25}, "no"),
        ("gmmp-vae", {"n_pseudo_inputs": 3, "bound": "matched", "decode": "average"}, "no"),
        ("gmmp-vae", {"n_pseudo_inputs": 3, "bound": "matched"}, "yes"),
    ],
)
def test_the_csv_calls_a_bound_only_what_is_one(
    recipe: str, options: dict[str, object], expected: str
) -> None:
    built = recipes.build(recipe, (4,), n_latent=2, hidden=[8], **options)
    figures = {"bounds": bounds(built, torch.ones(3, 4))}
    assert _bound(OBJECTIVE, figures) == expected
    is_density = options.get("likelihood") != "cross-entropy"
    assert (figures["bounds"]["elbo"] is not None) == is_density


def test_the_papers_figures_have_the_papers_digits(tmp_path: Path) -> None:
    item = ITEMS["m-vae/table3"]
    results = Results(item, item.protocols["cpu"], 1, Cache(tmp_path, progress=False))
    shown = [line.split("|")[1:4:2] for line in text_table(results).splitlines()[2:]]
    found = {name.strip(): value.strip() for name, value in shown}
    assert found["ALI (quoted)"] == "14.53"
    assert found["PixelCNN++ (quoted)"] == "3.289"


def test_columns_of_bounds_are_of_models_with_a_density() -> None:
    for item in ITEMS.values():
        if not {ELBO, LOG_PX} & set(item.columns):
            continue
        for row in item.rows:
            if row.recipe is not None:
                job = Job(item, item.protocols["paper"], row, 0)
                likelihood = job.options.get("likelihood")
                is_binary = job.data.binarize != "none" or job.data.name == "binarized-mnist"
                assert likelihood not in NO_DENSITY
                assert likelihood is not None or is_binary

"""Tables whose columns are of several kinds: chosen by types, converted, given back, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from mixvae import MixvaeError, MixvaeWarning, data
from mixvae.cli.inputs import kinds_of
from mixvae.data import MixedColumns
from mixvae.data.transform_record import read_transform

RNG = np.random.default_rng(0)
N = 60
SIZES = ["small", "medium", "large"]


def frame() -> Any:
    return pd.DataFrame(
        {
            "height": 170 + 10 * RNG.normal(size=N),
            "visits": np.arange(N) % 7,
            "smoker": np.arange(N) % 3 == 0,
            "city": np.array(["Rome", "Oslo", "Lima"])[np.arange(N) % 3],
            "size": pd.Categorical(np.array(SIZES)[np.arange(N) % 3], SIZES, ordered=True),
        }
    )


def mixed(table: Any = None, kinds: Any = "auto") -> MixedColumns:
    table = frame() if table is None else table
    return MixedColumns.of(table, np.arange(len(table)), kinds)


def test_types_choose_the_likelihoods_and_names_override_them() -> None:
    assert mixed().kinds == ("normal", "normal", "bernoulli", "categorical", "ordinal")
    asked = mixed(kinds={"visits": "poisson", "size": "categorical"})
    assert asked.kinds == ("normal", "poisson", "bernoulli", "categorical", "categorical")
    assert asked.kept_kinds[3:] == (("categorical", 3), ("categorical", 3))
    counts = mixed(np.arange(60).reshape(20, 3), "negative-binomial")
    assert counts.kept_kinds == (("negative-binomial", 1),) * 3


def test_polars_and_arrow_choose_the_same() -> None:
    table = frame().drop(columns="size")
    x = mixed(table).apply(table)
    arrow = pa.Table.from_pandas(table)
    assert mixed(arrow).kinds == mixed(table).kinds
    torch.testing.assert_close(mixed(arrow).apply(arrow), x)
    polars = pytest.importorskip("polars").from_pandas(table)
    assert mixed(polars).kinds == mixed(table).kinds
    torch.testing.assert_close(mixed(polars).apply(polars), x)


def test_reals_are_standardised_counts_stay_and_categories_become_codes() -> None:
    table = frame()
    x = mixed(table, {"visits": "poisson"}).apply(table)
    height = table["height"].to_numpy()
    expected = torch.from_numpy((height - height.mean()) / height.std()).float()
    torch.testing.assert_close(x[:, 0], expected)
    assert x[:, 1].tolist() == table["visits"].tolist()
    assert x[:, 2].tolist() == table["smoker"].tolist()
    assert x[:3, 3].tolist() == [2, 1, 0]  # in alphabetical order
    assert x[:3, 4].tolist() == [0, 1, 2]  # in that of the type


def test_inverting_gives_the_table_back() -> None:
    table = frame()
    one = mixed(table, {"visits": "poisson"})
    back = pd.DataFrame(one.invert(one.to_float64(table)), columns=table.columns)
    pd.testing.assert_frame_equal(
        back.astype({"height": float, "visits": int, "smoker": bool, "city": str, "size": str}),
        table.astype({"city": str, "size": str, "visits": int}),
    )
    assert {type(v) for v in back["smoker"]} == {bool}


def test_an_array_of_objects_is_read_as_a_frame_is() -> None:
    table = frame().drop(columns="size")
    objects = table.to_numpy(dtype=object)
    assert mixed(objects).kinds == mixed(table).kinds
    torch.testing.assert_close(mixed(objects).apply(objects), mixed(table).apply(table))


def test_log_p_in_data_units_needs_the_scales_of_real_columns_alone() -> None:
    one = mixed(kinds={"visits": "poisson"})
    assert one.log_scale == pytest.approx(np.log(one.scale[0]))


def test_a_column_of_one_value_is_left_out_and_comes_back() -> None:
    table = frame().assign(city="Rome", visits=3)
    with pytest.warns(MixvaeWarning, match="columns visits, city left out"):
        one = mixed(table, {"visits": "poisson"})
    assert one.kept_columns == ("height", "smoker", "size")
    assert one.kept_kinds == (("normal", 1), ("bernoulli", 1), ("ordinal", 3))
    back = one.invert(one.to_float64(table))
    assert set(back[:, 3]) == {"Rome"}
    assert set(back[:, 1]) == {3.0}


def test_the_record_is_plain_and_read_back() -> None:
    one = mixed(kinds={"visits": "poisson"})
    assert read_transform(json.loads(json.dumps(one.to_dict()))) == one
    for name, value in (("kinds", ["normal"]), ("kinds", ["poison"] * 5), ("categories", [[1, 1]])):
        with pytest.raises(MixvaeError, match="transform must have"):
            read_transform(one.to_dict() | {name: value})


def test_a_data_set_of_such_a_table_says_how_it_was_made() -> None:
    table = frame()
    one = data.from_arrays(table, kinds={"visits": "poisson"})
    again = data.from_arrays(table, kinds={"visits": "poisson"})
    assert one.is_table
    assert one.likelihood == "columns"
    assert one.columns == tuple(table.columns)
    assert not one.differences(json.loads(json.dumps(again.describe())))
    assert "transform was" in one.differences(data.from_arrays(table, kinds="auto").describe())
    new = data.from_arrays(table, transform=one.transform)
    assert new.transform is one.transform
    rows = one.train.index
    torch.testing.assert_close(one.transform.apply(table)[rows], one.train.x)
    mean = table["height"].to_numpy()[rows].mean()  # of the training rows alone
    assert one.transform.mean[0] == pytest.approx(mean)


def test_a_table_of_one_kind_suggests_its_likelihood_to_every_recipe() -> None:
    counts = RNG.poisson(3, size=(40, 4))
    assert data.from_arrays(counts, kinds="poisson").likelihood == "poisson"
    assert data.from_arrays(counts[:, :1] > 3, kinds="auto").likelihood == "bernoulli"
    assert data.from_arrays(counts, kinds="categorical").likelihood == "columns"


def test_a_file_is_read_with_its_text_as_categories(tmp_path: Path) -> None:
    table = frame().drop(columns="size").assign(kind=np.array(["a", "b"])[np.arange(N) % 2])
    table.to_csv(tmp_path / "people.csv", index=False)
    one = data.load(
        tmp_path / "people.csv", kinds=kinds_of(["visits=poisson"]), label_column="kind"
    )
    assert isinstance(one.transform, MixedColumns)
    assert one.transform.kinds == ("normal", "poisson", "bernoulli", "categorical")
    assert one.n_classes == 2
    assert kinds_of(["auto"]) == "auto"
    assert kinds_of(["a=b=poisson", "auto"]) == {"a=b": "poisson"}
    with pytest.raises(MixvaeError, match="COLUMN=LIKELIHOOD; got poisson"):
        kinds_of(["poisson", "a=normal"])


REFUSED: list[tuple[Callable[[], Any], Any, str]] = [
    (lambda: frame().assign(visits=-1.0), {"visits": "poisson"}, r"column visits.* such as -1\."),
    (lambda: frame().assign(visits=0.5), {"visits": "poisson"}, r"visits.*whole numbers.*as 0\.5"),
    (frame, {"visits": "bernoulli"}, r"two categories|needs 0 and 1"),
    (frame, {"city": "poisson"}, "column city holds text, such as 'Rome'"),
    (frame, {"city": "ordinal"}, "column city are text, of which no order"),
    (frame, {"city": "bernoulli"}, "column city has 3; take categorical"),
    (frame, {"town": "poisson"}, r"no column 'town'. Its columns: height"),
    (frame, {"city": "categories"}, "Did you mean 'categorical'"),
    (frame, "poison", "Did you mean 'poisson'"),
    (lambda: frame().assign(city=[f"c{i}" for i in range(N)]), "auto", "city has 60 categories"),
    (lambda: frame().assign(height=np.nan), "auto", "column height are missing in the 60 training"),
    (lambda: frame().assign(city=None), "auto", "all values of column city are missing"),
    (
        lambda: frame().mask(np.repeat(np.arange(N)[:, None] == 7, 5, 1)),
        "auto",
        "missing in 1 of 60 rows, row 7",
    ),
    (lambda: frame().assign(size=pd.Categorical([None] * N, ["a"])), "auto", "column size"),
    (lambda: frame().assign(height=np.inf), "auto", r"column height.*finite"),
    (
        lambda: frame().assign(day=pd.Timestamp("2020-01-01")),
        "auto",
        "dates or times in column day",
    ),
    (lambda: frame().assign(city=[(1,)] * N), "auto", r"column city holds .* of type tuple"),
    (lambda: np.ones((4, 2)), "auto", "all columns have only one value"),
    (lambda: np.ones((4, 2, 2)), "auto", "expected a table"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("make", "kinds", "said"), REFUSED)
def test_what_a_likelihood_is_not_for_is_refused_with_the_column(make, kinds, said) -> None:
    with pytest.raises(MixvaeError, match=said):
        mixed(make(), kinds)


def test_new_rows_must_have_the_columns_and_categories_of_training() -> None:
    one = mixed(kinds={"visits": "poisson"})
    with pytest.raises(MixvaeError, match=r"city has the category 'Bern', which.*Lima, Oslo"):
        one.apply(frame().assign(city="Bern"))
    with pytest.raises(MixvaeError, match=r"visits.*whole numbers from 0; 60 of 60"):
        one.apply(frame().assign(visits=0.5))
    with pytest.raises(MixvaeError, match="column height holds text"):
        one.apply(frame().assign(height="tall"))
    with pytest.raises(MixvaeError, match="rows of 5 columns"):
        one.apply(frame().drop(columns="size"))
    with pytest.raises(MixvaeError, match="missing: size"):
        data.from_arrays(frame().rename(columns={"size": "Size"}), transform=one)


def test_other_recipes_refuse_columns_of_several_kinds() -> None:
    import mixvae

    with pytest.raises(MixvaeError, match=r"several kinds.*mfa-vae"):
        mixvae.build("vae", data.from_arrays(frame(), kinds="auto"))


def test_a_vae_trains_on_counts() -> None:
    import mixvae

    counts = data.from_arrays(RNG.poisson(3, size=(60, 5)), kinds="negative-binomial")
    built = mixvae.build("vae", counts, n_latent=2, hidden=[8], seed=0)
    assert built.options["likelihood"] == "negative-binomial"
    terms = built.objective(built.model, counts.train.x)
    assert all(term.isfinite() for term in terms.values())

"""What the page of ``mixvae explore`` does, as functions."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import mixvae
from cases import FLAT, Case
from mixvae import data
from mixvae.app import Explorer, decode_changed, examples, from_csv, from_image, from_texts
from mixvae.app.changes import no_exchange
from mixvae.app.examples import OtherShapeError
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood, responsibilities
from mixvae.evaluation.latent_operations import codes, cross_decode, traverse
from pages import explorer_of

SEVERAL = [
    Case("m-vae"),
    Case("mvae", {"conditional": True, "n_classes": 3}),
    Case("mixture-vae"),
    Case("mfa-vae", x_shape=FLAT),
]
ALL = [*SEVERAL, Case("mvae", x_shape=FLAT), Case("semvae"), Case("vae"), Case("sb-vae")]
JOINT = [Case("m-vae"), Case("mixture-vae")]
SMALL: dict[str, Any] = {"hidden": [8], "n_latent": 2}


def given(case: Case) -> tuple[Any, ...]:
    x = case.data(1)
    return case.build().model.train(), x, case.labels(x)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_without_changes_an_example_is_reconstructed(case: Case) -> None:
    model, x, y = given(case)
    found = decode_changed(model, x, y)
    assert model.training
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(found.whole, model.reconstruct(x, y)[0])
        torch.testing.assert_close(found.each, model.reconstruct_each(x, y)[0])
    torch.testing.assert_close(found.codes, codes(model, x, y)[0])
    torch.testing.assert_close(found.responsibilities, responsibilities(model, x, y)[0])
    torch.testing.assert_close(found.weights, found.responsibilities)


@pytest.mark.parametrize("case", SEVERAL, ids=str)
def test_a_changed_latent_is_a_traversal_and_changes_no_other_component(case: Case) -> None:
    model, x, y = given(case)
    found, before = decode_changed(model, x, y, codes={(1, 0): 2.5}), decode_changed(model, x, y)
    assert found.codes[1, 0] == 2.5
    torch.testing.assert_close(found.each[1], traverse(model, x, 1, 0, [2.5], y)[0, 0])
    whole = traverse(model, x, 1, 0, [2.5], y, alone=False)[0, 0]
    torch.testing.assert_close(found.whole, whole)
    torch.testing.assert_close(found.each[[0, 2]], before.each[[0, 2]])
    assert not torch.equal(found.each[1], before.each[1])


@pytest.mark.parametrize("case", SEVERAL, ids=str)
def test_all_weight_on_a_component_is_its_own_reconstruction(case: Case) -> None:
    model, x, y = given(case)
    found = decode_changed(model, x, y, weights=[0, 0.3, 0])
    assert found.weights.tolist() == [0, 1, 0]
    torch.testing.assert_close(found.whole, found.each[1])


@pytest.mark.parametrize("case", JOINT, ids=str)
def test_weights_average_the_components(case: Case) -> None:
    model, x, _ = given(case)
    found = decode_changed(model, x, weights=[2, 1, 1])
    expected = 0.5 * found.each[0] + 0.25 * found.each[1] + 0.25 * found.each[2]
    torch.testing.assert_close(found.whole, expected)


@pytest.mark.parametrize("case", SEVERAL, ids=str)
def test_a_sub_decoder_reads_the_code_of_another_component(case: Case) -> None:
    model, x, y = given(case)
    crossed = cross_decode(model, x, y)[0]
    found = decode_changed(model, x, y, sources=[2, 0, 0])
    torch.testing.assert_close(
        found.each, torch.stack([crossed[2, 0], crossed[0, 1], crossed[0, 2]])
    )


def test_which_models_have_no_codes_to_exchange() -> None:
    assert no_exchange(Case("mixture-vae").build().model) is None
    assert "one component" in str(no_exchange(Case("vae").build().model))
    assert "share one decoder" in str(no_exchange(Case("semvae").build().model))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": {(3, 0): 1.0}}, "component must be in 0 ... 2"),
        ({"codes": {(0, 2): 1.0}}, "latent must be in 0 ... 1"),
        ({"codes": {(0, 0): float("nan")}}, "finite"),
        ({"weights": [0, 0, 0]}, "all weights are 0"),
        ({"weights": [1, 2]}, "one value for each of the 3 components"),
        ({"weights": [1, -1, 1]}, "weight 1 must be at least 0"),
        ({"sources": [0, 1, 3]}, "source must be in 0 ... 2"),
    ],
)
def test_changes_that_cannot_be_made(change: dict[str, Any], message: str) -> None:
    model, x, _ = given(Case("mixture-vae"))
    with pytest.raises(MixvaeError, match=message):
        decode_changed(model, x, **change)


@pytest.mark.parametrize("case", [Case("mixture-vae"), Case("mvae", x_shape=FLAT)], ids=str)
def test_samples_with_given_weights_are_decoded_with_them(case: Case) -> None:
    model = case.build().model.eval()
    one = torch.tensor([0.0, 1.0, 0.0])
    with torch.no_grad():
        torch.manual_seed(0)
        found = model.sample(4, weights=one)
        torch.manual_seed(0)
        z = model.prior(model.encode).expand((1, 4, 3)).sample()
        torch.testing.assert_close(found, model.decode_each(z).mean[0, :, 1])


# ---- examples of one's own ----


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits").subset(80)


@pytest.fixture(scope="module")
def table() -> data.Dataset:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(50, 10, 60), "constant": 1.0})
    frame["visits"] = rng.poisson(3, 60)
    frame["colour"] = rng.choice(["red", "blue"], 60)
    with pytest.warns(mixvae.MixvaeWarning, match="left out"):
        return data.from_arrays(frame, kinds={"visits": "poisson"}, name="people")


def file_of(pixels: Any, kind: str = "PNG") -> bytes:
    content = BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(content, kind)
    return content.getvalue()


def test_an_image_of_the_data_is_read_as_in_the_data(digits: data.Dataset) -> None:
    x = digits.test.x[:1]
    found, notes = from_image(file_of((255 * x).round().reshape(8, 8)), digits)
    torch.testing.assert_close(found, x)
    assert notes == ["Pixels were rounded to the 17 levels of the data."]
    inverted, _ = from_image(file_of((255 * x).round().reshape(8, 8)), digits, invert=True)
    torch.testing.assert_close(inverted, 1 - x)


def test_an_image_of_another_shape_is_resized_if_asked_and_it_is_said(digits: data.Dataset) -> None:
    content = file_of(np.full((20, 10, 3), (255, 0, 0)), "JPEG")
    expected = r"is 20 x 10 pixels .* in colour; the model takes 8 x 8 pixels .* in grey"
    with pytest.raises(OtherShapeError, match=expected):
        from_image(content, digits)
    x, notes = from_image(content, digits, resize=True)
    assert "resized from 20 x 10 to 8 x 8" in notes[0]
    assert "ratio changed" in notes[0]
    assert notes[1] == "Colours became grey."
    torch.testing.assert_close(x, torch.full_like(x, 5 / 16))  # 0.299 of 16 levels


def test_a_binarised_run_gets_binary_pixels() -> None:
    content = file_of(np.arange(64).reshape(8, 8) * 4)
    for how in ("threshold", "dynamic"):
        x, notes = from_image(content, data.load("digits", binarize=how).subset(40))
        assert set(x.unique().tolist()) == {0, 1}
        assert len(notes) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as an image"),
        (b"<svg onload='alert(1)'/>", "cannot be read as an image"),
        (b"cos\nsystem\n(S'true'\ntR.", "cannot be read as an image"),
        (file_of(np.zeros((30, 40))), "at most 1,000 pixels are read, got 40 x 30"),
    ],
)
def test_what_is_no_image_or_is_huge(
    content: bytes, message: str, digits: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "MAX_PIXELS", 1000)
    with pytest.raises(MixvaeError, match=message):
        from_image(content, digits)


def test_a_row_of_a_csv_file_is_read_by_the_names_of_its_columns(table: data.Dataset) -> None:
    text = "colour,visits,size,other\nred,4,55.5,x\n"
    expected = table.transform.apply(
        pd.DataFrame({"size": [55.5], "constant": [1.0], "visits": [4], "colour": ["red"]})
    )
    torch.testing.assert_close(from_csv(text, table), expected)
    assert from_csv("colour,visits,size\nred,,55\n", table).isnan().tolist() == [
        [False, True, False]
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size\n1\n", "lacks the columns visits, colour"),
        ("size,visits,colour\n1,2\n", "names 3 columns, and its row has 2 values"),
        ("size,visits,colour\n1,2,red\n1,2,red\n", "one row of values; got 3 lines"),
        ("size,visits,colour\ntall,2,red\n", "size is a number; got 'tall'"),
        ("size,visits,colour\n1,2,green\n", "colour is one of blue, red; got 'green'"),
        ("size,visits,colour\n1,2.5,red\n", "whole numbers from 0"),
        ("size,visits,colour\ninf,2,red\n", "finite"),
    ],
)
def test_rows_that_are_refused(text: str, message: str, table: data.Dataset) -> None:
    with pytest.raises(MixvaeError, match=message):
        from_csv(text, table)


def test_a_typed_row_keeps_the_values_that_are_not_typed(table: data.Dataset) -> None:
    base = table.test.x[:1]
    x = from_texts({3: "red"}, table, base)
    torch.testing.assert_close(x[:, :2], base[:, :2])
    assert table.transform.invert(x)[0, 3] == "red"


# ---- the page's questions ----


@pytest.fixture(scope="module")
def explorer(digits: data.Dataset) -> Explorer:
    return explorer_of(digits, "mixture-vae", n_components=3, start="random", **SMALL)


@pytest.fixture(scope="module")
def people(table: data.Dataset) -> Explorer:
    return explorer_of(table, "mfa-vae", n_components=2)


ROW = {"example": {"split": "test", "row": 1}}


def test_answers_are_json_of_the_library_s_own_figures(explorer: Explorer) -> None:
    found = explorer.decode(ROW)
    x = explorer.data.test.x[1:2]
    r = responsibilities(explorer.model, x)[0]
    assert [c["responsibility"] for c in found["components"]] == pytest.approx(r.tolist())
    assert found["most_responsible"] == int(r.argmax())
    assert found["label"] == int(explorer.data.test.y[1])
    estimate = explorer.log_likelihood(ROW)
    own = log_likelihood(explorer.model, x, 1000)
    assert estimate["log_prob"] == own.mean
    assert estimate["reliable"] == own.reliable
    for name in ("about", "decode", "cross", "sample", "thumbnails"):
        json.dumps(getattr(explorer, name)(ROW), allow_nan=False)


def test_a_table_is_shown_in_the_units_of_the_data(people: Explorer) -> None:
    columns = people.about({})["columns"]
    assert [c["name"] for c in columns] == ["size", "visits", "colour"]
    assert columns[0]["low"] > 10
    assert columns[2]["categories"] == ["blue", "red"]
    found = people.decode(ROW)
    stored = people.data.transform.invert(people.data.test.x[1:2])[0]
    assert found["x"] == [pytest.approx(stored[0]), stored[2], stored[3]]
    typed = people.row(ROW | {"values": {"0": "70", "2": ""}})
    assert people.decode({"example": typed})["x"] == [pytest.approx(70), None, stored[3]]
    assert people.log_likelihood(ROW)["in_data_units"] is not None


def test_only_the_last_uploads_are_kept(people: Explorer) -> None:
    first = people.row(ROW)
    for _ in range(20):
        people.row(ROW)
    assert len(people.uploads) == 20
    with pytest.raises(MixvaeError, match="no longer kept"):
        people.decode({"example": first})


def test_a_conditional_model_takes_the_class_that_is_chosen(digits: data.Dataset) -> None:
    asked = explorer_of(digits, "mvae", n_components=2, conditional=True, hidden=8, n_latent=2)
    own, other = asked.decode(ROW), asked.decode(ROW | {"label": 0})
    assert (own["label"], other["label"]) == (int(digits.test.y[1]), 0)
    assert own["whole"] != other["whole"]


def test_a_recipe_of_one_code_says_that_it_has_no_components(digits: data.Dataset) -> None:
    asked = explorer_of(digits, "vae", **SMALL)
    assert any("one component" in note for note in asked.about({})["notes"])
    assert len(asked.decode(ROW)["components"]) == 1


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("decode", {}, "example must be a row of a split"),
        ("decode", {"example": {"split": "all", "row": 0}}, "train, val or test"),
        ("decode", {"example": {"split": "test", "row": 9999}}, "row must be at most"),
        ("decode", ROW | {"codes": [1]}, "codes must be"),
        ("decode", ROW | {"codes": [[0, 0, 10**400]]}, "codes must be"),
        ("decode", ROW | {"weights": "all"}, "weights must be a list of numbers"),
        ("sample", {"n": 1e9}, "whole number"),
        ("sample", {"component": 7}, "component must be in 0 ... 2"),
        ("interpolate", ROW | {"end": {"row": 0}, "steps": 1}, "steps must be at least 2"),
        ("row", ROW, "this run is of images"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_questions_that_have_no_answer(
    name: str, asked: dict[str, Any], message: str, explorer: Explorer
) -> None:
    with pytest.raises(MixvaeError, match=message):
        getattr(explorer, name)(asked)

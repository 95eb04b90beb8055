"""Conditional models: labels reach every encoder and sub-decoder, and are asked for."""

import pytest
import torch

import mixvae
from cases import IMAGE, Case
from mixvae.data.dataset import Dataset, Split
from mixvae.errors import MixvaeError
from mixvae.parts.labels import OneHot

pytestmark = pytest.mark.usefixtures("maths")
CONDITIONAL = {"conditional": True, "n_classes": 3}
CASES = [Case(name, CONDITIONAL) for name in ("mvae", "mvae-gs", "mvae-gau")]
every_case = pytest.mark.parametrize("case", CASES, ids=str)
QUICK = {"batch_size": 8, "progress": False, "pictures": False, "accelerator": "cpu"}


def made_up(labels: list[int] | None, n: int = 24) -> Dataset:
    x = torch.rand(n, *IMAGE, dtype=torch.float32).round()
    y = None if labels is None else torch.tensor([labels[i % len(labels)] for i in range(n)])
    return Dataset("made up", *(Split(x, y),) * 3)


def test_vectors_get_a_value_a_class_and_images_a_plane():
    x, y = torch.rand(2, 3, 4, 5), torch.tensor([2, 0])
    flat = OneHot(3).condition_x(x, y)
    torch.testing.assert_close(flat[:, :60], x.flatten(1))
    assert flat[:, 60:].tolist() == [[0, 0, 1], [1, 0, 0]]
    planes = OneHot(3, planes=True).condition_x(x, y)
    torch.testing.assert_close(planes[:, :3], x)
    assert (planes[0, 5] == 1).all()
    assert (planes[0, 3:5] == 0).all()


def test_codes_of_every_sample_and_component_get_their_examples_label():
    z, y = torch.rand(4, 2, 3, 5), torch.tensor([1, 0])
    joined = OneHot(2).condition_z(z, y)
    torch.testing.assert_close(joined[..., :5], z)
    assert (joined[:, 0, :, 5:] == torch.tensor([0.0, 1.0])).all()
    assert (joined[:, 1, :, 5:] == torch.tensor([1.0, 0.0])).all()


@every_case
def test_every_encoder_and_every_sub_decoder_reads_the_label(case):
    model, x = case.build().model.eval(), case.data(1)
    one, other = torch.tensor([0]), torch.tensor([2])
    codes = [model.infer(x, y)[0].mean for y in (one, other)]
    assert ((codes[0] - codes[1]).abs().amax((0, 2)) > 1e-6).all()
    z = torch.zeros(1, 1, 3, 2)
    images = [model.decode_each(z, y).mean for y in (one, other)]
    assert ((images[0] - images[1]).abs().flatten(3).amax((0, 1, 3)) > 1e-6).all()


@every_case
def test_missing_labels_are_asked_for(case):
    model, x = case.build().model, case.data()
    for call in (model, model.encode, model.reconstruct, model.reconstruct_each, model.mean_trace):
        with pytest.raises(MixvaeError, match=r"give y, the class of each x \(0 ... 2\)"):
            call(x)
    with pytest.raises(MixvaeError, match="give y"):
        model.sample(4)


@every_case
@pytest.mark.parametrize("unseen", [3, -1])
def test_a_class_never_seen_is_refused(case, unseen):
    model, x = case.build().model, case.data(2)
    with pytest.raises(MixvaeError, match=rf"the classes 0 ... 2, and was given {unseen}"):
        model(x, y=torch.tensor([0, unseen]))


def test_a_model_that_takes_no_labels_says_so():
    model, x = Case("mvae").build().model, Case("mvae").data(2)
    with pytest.raises(MixvaeError, match="not conditional and takes no labels"):
        model.reconstruct(x, torch.tensor([0, 1]))


def test_data_give_the_number_of_classes():
    torch.set_default_dtype(torch.float32)
    recipe = mixvae.build("mvae", made_up([0, 4]), conditional=True, n_classes=None, hidden=8)
    assert recipe.options["n_classes"] == 5
    assert recipe.model.labels.n_classes == 5


@pytest.mark.parametrize("x", [IMAGE, made_up(None)], ids=["shape", "no labels"])
def test_without_labels_the_number_of_classes_is_asked_for(x):
    with pytest.raises(MixvaeError, match="conditional needs n_classes"):
        mixvae.build("mvae", x, conditional=True)


@pytest.mark.parametrize(
    ("labels", "said"),
    [(None, "conditional on class labels, and made up .train. has none"), ([0, 7], "was given 7")],
)
def test_training_refuses_data_without_the_labels_that_it_needs(labels, said, tmp_path):
    torch.set_default_dtype(torch.float32)
    recipe = Case("mvae", CONDITIONAL).build()
    with pytest.raises(MixvaeError, match=said):
        mixvae.fit(recipe, made_up(labels), out=tmp_path / "run", max_epochs=1, **QUICK)
    assert not (tmp_path / "run").exists()


@every_case
def test_a_conditional_model_is_trained_evaluated_and_loaded(case, tmp_path):
    torch.set_default_dtype(torch.float32)
    data = made_up([0, 1, 2])
    run = mixvae.fit(case.build(), data, out=tmp_path / "run", max_epochs=2, **QUICK)
    assert run.metrics["clustering"]["acc"] > 0
    loaded = mixvae.load(run.folder).recipe.model
    x, y = data.test.x, data.test.y
    torch.testing.assert_close(loaded.reconstruct(x, y), run.recipe.model.reconstruct(x, y))
    found = mixvae.evaluation.log_likelihood(loaded, x[:3], 20, y=y[:3])
    other = mixvae.evaluation.log_likelihood(loaded, x[:3], 20, y=(y[:3] + 1) % 3)
    assert (found.log_prob != other.log_prob).all()

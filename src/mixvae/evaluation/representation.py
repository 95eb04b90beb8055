"""What codes tell of the classes: simple classifiers, trained on the codes."""

from collections.abc import Iterator, Sequence
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError, is_a, whole
from mixvae.model import MixtureVAE

from .batches import batches, check_model, evaluating, spaced

MLP_EPOCHS = 50  # 20 do as well on 55,000 codes; on 10,000, 100 gain 0.3 %

Codes = Float[np.ndarray, "_ D"]
Known = Int64[np.ndarray, " _"]  # the classes


def representation(
    model: MixtureVAE,
    train: Split,
    test: Split,
    *,
    neighbours: Sequence[int] = (3, 5, 10),
    n_train: int | None = None,
    n_test: int | None = None,
    batch_size: int = 500,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Train an MLP, a linear SVM and kNN on codes of ``train``, and judge them on ``test``.

    The codes are posterior means in a joint mixture, every component's and all of them side by
    side (M-VAE, Table II; MVAE, Table V). Where there is one code, they are one draw of it from the
    posterior, of all components together (the DLGMM paper's Fig. 3), and its mean; an exact
    mixture's components count there by their responsibilities. Components that dropout took out
    are left out.

    The classifiers are scikit-learn's: one hidden layer of 100, at most 50 epochs of Adam;
    LinearSVC with C = 1, in the primal; kNN by Euclidean distance, where of classes with as many
    neighbours the smallest wins. The first two see every dimension at mean 0 and deviation 1, kNN
    the codes as they are, since scales tell dimensions that say something from those that do not.
    On 55,000 codes one core takes 17 s where D = 40, and 41 s where D = 200.

    Args:
        model: it is left in the mode that it came in.
        train: with labels. Grey levels are drawn once as 0 or 1 where all of ``test`` is that, as
            in data with dynamic binarisation.
        test: with labels.
        neighbours: every k of kNN; none leaves kNN out.
        n_train: so many training examples only, evenly spaced; by default all.
        n_test: the same of the test examples.
        batch_size: rows at a time through the model; the draws depend on it.
        seed: of draws, and of the MLP's first weights and order.

    Returns:
        By code, ``all`` and ``component_0`` ... (counted as the model does), or ``sample`` and
        ``mean``: ``mlp_accuracy_percent`` and ``svm_accuracy_percent`` (higher is better), and
        ``knn_3_error_percent`` ... (lower is better).

    Raises:
        MixvaeError: without labels, or of one class only; for fewer training examples than
            neighbours; for x of another shape than the model's; for a conditional model, whose
            codes need the class; for codes that are not finite.
    """
    check_model(model)
    x, y = _labelled(train, n_train, "train")
    x_test, y_test = _labelled(test, n_test, "test")
    _check(model, (x, x_test), y, neighbours)
    with evaluating(model, seed):
        if _is_binary(x_test) and not _is_binary(x):
            x = torch.bernoulli(x)
        codes = _codes(model, x, batch_size)
        codes_test = _codes(model, x_test, batch_size)  # goes on with the noise: none is met twice
    return {
        name: _accuracies(codes[name], y, codes_test[name], y_test, seed % 2**32)
        | _knn_errors(codes[name], y, codes_test[name], y_test, neighbours)
        for name in codes
    }


def _labelled(split: Split, n: int | None, name: str) -> tuple[Float[Tensor, "N *X"], Known]:
    """Some rows at even distances, or all."""
    is_a(Split, "one split of a Dataset, such as data.train", **{name: split})
    if split.y is None:
        raise MixvaeError(f"the {name} split has no labels to classify; choose data that have.")
    whole(1, **{f"n_{name}": len(split) if n is None else n})
    x, y = spaced(split, n)
    assert y is not None
    return x, y.numpy()


def _check(
    model: MixtureVAE, splits: tuple[Tensor, Tensor], y: Known, neighbours: Sequence[int]
) -> None:
    """Refuse what would fail after minutes, or tell nothing."""
    if model.labels.n_classes is not None:
        raise MixvaeError(
            "a conditional model's codes are made with the class, so that how well they tell it "
            "means nothing; take a model without labels."
        )
    expected = model.decoder.likelihood.x_shape
    for x in splits:
        if tuple(x.shape[1:]) != expected:
            raise MixvaeError(
                f"the model takes x of shape {expected}; got {tuple(x.shape[1:])}. Use the data "
                "that it was trained on."
            )
    if len(np.unique(y)) < 2:
        raise MixvaeError(f"classifiers need two classes; all {len(y)} training x are of one.")
    for k in neighbours:
        if not 1 <= k <= len(y):
            raise MixvaeError(
                f"neighbours must be 1 to {len(y)}, as there are that many training x; got {k}."
            )


def _codes(model: MixtureVAE, x: Float[Tensor, "N *X"], batch_size: int) -> dict[str, Codes]:
    each = [dict(_views(model, part)) for part, _ in batches(model, x, None, batch_size)]
    whole = {name: torch.cat([codes[name].cpu() for codes in each]) for name in each[0]}
    for name, codes in whole.items():
        if bad := int((~codes.isfinite()).any(1).sum()):
            raise MixvaeError(
                f"the codes ({name}) of {bad} of {len(x)} x are not finite; the model is broken: "
                "train it again with a lower learning rate."
            )
    return {name: codes.numpy() for name, codes in whole.items()}


def _views(model: MixtureVAE, x: Float[Tensor, "B *X"]) -> Iterator[tuple[str, Tensor]]:
    """The codes of x by name, (B, D) each."""
    if model.family.n_codes(model.n_components) > 1:
        means = model.infer(x)[0].mean  # (B, K, L)
        kept = model.kept.nonzero().flatten().tolist()
        yield "all", means[:, kept].flatten(1)
        yield from ((f"component_{k}", means[:, k]) for k in kept)
    else:
        q = model.family.posterior(model.mean_trace(x))
        yield "sample", q.sample()
        yield "mean", q.mean


def _accuracies(
    codes: Codes, y: Known, codes_test: Codes, y_test: Known, seed: int
) -> dict[str, float]:
    """Of the MLP and the linear SVM, in %."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    classifiers = {
        "mlp": MLPClassifier(max_iter=MLP_EPOCHS, random_state=seed),
        "svm": LinearSVC(dual=False, random_state=seed),  # the dual takes 5 times as long
    }
    found = {}
    with catch_warnings():
        simplefilter("ignore", ConvergenceWarning)  # the epochs are what is asked for
        for name, classifier in classifiers.items():
            trained = make_pipeline(StandardScaler(), classifier).fit(codes, y)
            found[f"{name}_accuracy_percent"] = 100 * float(trained.score(codes_test, y_test))
    return found


def _knn_errors(
    codes: Codes, y: Known, codes_test: Codes, y_test: Known, neighbours: Sequence[int]
) -> dict[str, float]:
    """Of every k, in %; the neighbours are looked for once."""
    from scipy.stats import mode
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=max(neighbours, default=1)).fit(codes)
    nearest = y[search.kneighbors(codes_test, return_distance=False)]
    return {
        f"knn_{k}_error_percent": 100 * float((mode(nearest[:, :k], axis=1).mode != y_test).mean())
        for k in neighbours
    }


def _is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1)).all())

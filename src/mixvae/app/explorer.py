"""What the page asks for: functions from JSON to JSON, of one trained run and its data."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data import Dataset, Split, Standardization
from mixvae.data.dataset import is_table
from mixvae.distributions import Delta
from mixvae.errors import MixvaeError, shown, whole
from mixvae.evaluation.batches import cluster_probabilities, evaluating, prior_of_clusters, spaced
from mixvae.evaluation.latent_operations import codes, cross_decode, interpolate
from mixvae.evaluation.marginal_likelihood.log_likelihood import log_likelihood
from mixvae.families import ExactMixture, Joint
from mixvae.parts.labels import BatchLabels
from mixvae.run import Run

from .changes import Changed, decode_changed, no_exchange, normalised
from .examples import from_csv, from_image, from_texts
from .shown import Images, Json, Rows, Shown

MAX_COMPONENTS = 24  # that are shown at a time
MAX_SAMPLES = 64
MAX_STEPS = 25
MAX_UPLOADS = 20
N_SURVEYED = 300  # rows whose codes give the ranges of the sliders
N_DRAWS = 1000  # importance samples of log p(x)


@dataclass(frozen=True, eq=False)
class Example:
    """An example: (1, *X), what is said about it, and the label that the model reads."""

    x: Float[Tensor, "1 *X"]
    name: str
    label: int | None = None
    y: Int64[Tensor, " 1"] | None = None


class Explorer:
    """A trained run and its data, asked by the page.

    Every method takes what the page sends and returns what it shows; both are JSON. Uploads are
    kept in memory, the last 20 of them. It is not safe to call from several threads at a time.

    Parameters
    ----------
    run
        A trained run.
    data
        Its data.
    """

    def __init__(self, run: Run, data: Dataset) -> None:
        self.run, self.data = run, data
        self.model = run.recipe.model
        table = is_table(run.recipe.x_shape, data.transform)
        self.shown: Shown = Rows(self.model, data) if table else Images(run.recipe.x_shape)
        self.uploads: OrderedDict[int, Example] = OrderedDict()
        self.n_uploads = 0
        self._splits: dict[str, Split] = {}

    def about(self, asked: Mapping[str, Any]) -> Json:
        """What the run is, and what can be done with it."""
        model = self.model
        return self.shown.about() | {
            "run": self.run.folder.name,
            "recipe": self.run.recipe.name,
            "data": self.data.name,
            "n_components": model.n_components,
            "kept": model.kept.tolist(),
            "splits": {name: len(self._split(name)) for name in ("train", "val", "test")},
            "n_classes": model.labels.n_classes,
            "label": "batch" if isinstance(model.labels, BatchLabels) else "label",
            "weights": self._weights_are,
            "no_exchange": no_exchange(model),
            "max_components": MAX_COMPONENTS,
            "latents": self._latents,
            "notes": self._notes,
        }

    def decode(self, asked: Mapping[str, Any]) -> Json:
        """An example, its codes and responsibilities, and reconstructions after the changes."""
        example = self._example(asked, "example")
        found = self._changed(asked, example)
        clusters = None
        if prior_of_clusters(self.model) is not None:
            clusters = cluster_probabilities(self.model, example.x, example.y)[0].tolist()
        return {
            "name": example.name,
            "label": example.label,
            "x": self.shown.of(example.x[0]),
            "whole": self.shown.of(found.whole),
            "error": _rms(found.whole, example.x[0]),
            "components": [self._component(found, k, example) for k in self._chosen(found)],
            "most_responsible": int(found.responsibilities.argmax()),
            "clusters": clusters,
        }

    def interpolate(self, asked: Mapping[str, Any]) -> Json:
        """Steps of a line between the codes of two examples."""
        start, end = self._example(asked, "example"), self._example(asked, "end")
        steps = _whole(asked, "steps", 2, MAX_STEPS, 7)
        shift = _whole(asked, "shift", 0, max(0, self.model.n_components - 1), 0)
        line = interpolate(self.model, start.x, end.x, steps, shift=shift, y=start.y)[:, 0]
        return {
            "start": self.shown.of(start.x[0]),
            "end": self.shown.of(end.x[0]),
            "names": [start.name, end.name],
            "steps": [self.shown.of(x) for x in line],
            "at": torch.linspace(0, 1, steps).tolist(),
        }

    def cross(self, asked: Mapping[str, Any]) -> Json:
        """The code of every component, decoded by every sub-decoder."""
        if reason := no_exchange(self.model):
            raise MixvaeError(reason)
        example = self._example(asked, "example")
        chosen = self._chosen(self._changed({}, example))
        decoded = cross_decode(self.model, example.x, example.y)[0]
        rows = [[self.shown.of(decoded[i, j]) for j in chosen] for i in chosen]
        return {"components": chosen, "rows": rows}

    def sample(self, asked: Mapping[str, Any]) -> Json:
        """New examples: of all components, of one, or with given mixing weights."""
        n = _whole(asked, "n", 1, MAX_SAMPLES, 12)
        seed = _whole(asked, "seed", 0, 2**53, 0)
        k = asked.get("component")
        if k is not None:
            self.model.check_component(k)
        given = asked.get("weights")
        weights = None if given is None else normalised(self.model, _numbers(given, "weights"))
        n_classes, label = self.model.labels.n_classes, asked.get("label")
        y = None
        if n_classes is not None:
            y = torch.arange(n) % n_classes
            y = y if label is None else y.fill_(_whole(asked, "label", 0, n_classes - 1, 0))
        with evaluating(self.model, seed):
            noise = asked.get("noise") is True
            x = self.model.sample(n, k, y, weights=weights, noise=noise)
        return {"samples": [self.shown.of(one) for one in x.cpu()]}

    def log_likelihood(self, asked: Mapping[str, Any]) -> Json:
        """An estimate of log p(x), and whether it is reliable."""
        example = self._example(asked, "example")
        found = log_likelihood(self.model, example.x, N_DRAWS, y=example.y)
        value, transform, stored = found.mean, self.data.transform, None
        if isinstance(transform, Standardization):
            stored = value - float(transform.log_scales(example.x)[0])
        return {
            "log_prob": value,
            "in_data_units": stored,
            "error": float(found.standard_error[0]),
            "k_hat": _finite(float(found.k_hat[0])),
            "reliable": found.reliable,
            "n_samples": found.n_samples,
            "is_density": not self.model.decoder.likelihood.is_discrete,
        }

    def thumbnails(self, asked: Mapping[str, Any]) -> Json:
        """Some examples of a split, to pick from, beginning with a row."""
        split = self._split(asked.get("split", "test"))
        row = _whole(asked, "row", 0, len(split) - 1, 0)
        rows = range(row, min(len(split), row + _whole(asked, "n", 1, MAX_SAMPLES, 12)))
        name = self.data.class_name
        label = [None if split.y is None else name(int(split.y[i])) for i in rows]
        x = [self.shown.of(one) for one in split.x[row : rows.stop]]
        return {"rows": list(rows), "labels": label, "x": x}

    def image(self, content: bytes, asked: Mapping[str, Any]) -> Json:
        """Take an uploaded image file as an example."""
        self._needs("images", "an image; this run is of a table: type a row, or give a CSV file")
        x, notes = from_image(
            content,
            self.data,
            resize=asked.get("resize") == "1",
            invert=asked.get("invert") == "1",
        )
        return self._add(x, "uploaded image", notes)

    def csv(self, content: bytes, asked: Mapping[str, Any]) -> Json:
        """Take the one row of an uploaded CSV file as an example."""
        self._needs("table", "a CSV file; this run is of images: give an image file")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise MixvaeError("the file is no CSV: it is not text in UTF-8.") from error
        return self._add(from_csv(text, self.data), "uploaded row")

    def row(self, asked: Mapping[str, Any]) -> Json:
        """Take a typed row as an example: an example's, with some values replaced."""
        self._needs("table", "a typed row; this run is of images: give an image file")
        values = asked.get("values")
        texts = values if isinstance(values, dict) else {}
        if not all(_is_number(k) and isinstance(v, str) for k, v in texts.items()):
            raise MixvaeError(f"values must be texts by column; got {shown(values)}.")
        base = self._example(asked, "example").x
        typed = {int(number): text for number, text in texts.items()}
        return self._add(from_texts(typed, self.data, base), "typed row")

    def _changed(self, asked: Mapping[str, Any], example: Example) -> Changed:
        given = asked.get("codes") or []
        try:
            edited = {(k, latent): float(value) for k, latent, value in given}
        except (TypeError, ValueError, OverflowError):
            raise MixvaeError(
                f"codes must be [component, latent, value]; got {shown(given)}."
            ) from None
        weights, sources = asked.get("weights"), asked.get("sources")
        return decode_changed(
            self.model,
            example.x,
            example.y,
            codes=edited,
            weights=None if weights is None else _numbers(weights, "weights"),
            sources=None if sources is None else _numbers(sources, "sources"),
        )

    def _component(self, found: Changed, k: int, example: Example) -> Json:
        return {
            "index": k,
            "responsibility": float(found.responsibilities[k]),
            "weight": float(found.weights[k]),
            "x": self.shown.of(found.each[k]),
            "error": _rms(found.each[k], example.x[0]),
            "codes": found.codes[k].tolist(),
            "scales": [_finite(value) for value in found.scales[k].tolist()],
        }

    def _chosen(self, found: Changed) -> list[int]:
        """The components that are shown: all, or those with the largest responsibilities."""
        largest = found.responsibilities.argsort(descending=True, stable=True)[:MAX_COMPONENTS]
        return sorted(largest.tolist())

    def _example(self, asked: Mapping[str, Any], name: str) -> Example:
        """The example that the page names: a row of a split, or an upload."""
        what = asked.get(name)
        if not isinstance(what, dict):
            raise MixvaeError(f"{name} must be a row of a split, or an upload; got {shown(what)}.")
        if "upload" in what:
            found = self.uploads.get(what["upload"]) if isinstance(what["upload"], int) else None
            if found is None:
                raise MixvaeError("this upload is no longer kept; give it again.")
        else:
            split = self._split(what.get("split", "test"))
            row = _whole(what, "row", 0, len(split) - 1, 0)
            read = self.model.labels.of(split)
            found = Example(
                split.x[row : row + 1],
                f"{what.get('split', 'test')} {row}",
                None if split.y is None else int(split.y[row]),
                None if read is None else read[row : row + 1],
            )
        n_classes = self.model.labels.n_classes
        if n_classes is None:
            return found
        own = 0 if found.y is None else int(found.y)
        label = own if asked.get("label") is None else _whole(asked, "label", 0, n_classes - 1, 0)
        return Example(found.x, found.name, label, torch.tensor([label]))

    def _add(self, x: Tensor, name: str, notes: list[str] | None = None) -> Json:
        likelihood = self.model.decoder.likelihood
        if bool(x.isnan().any()) and not likelihood.missing:
            raise MixvaeError("a value is missing, which this model does not take; fill it in.")
        likelihood.check(x)
        self.n_uploads += 1
        self.uploads[self.n_uploads] = Example(x, f"{name} {self.n_uploads}")
        while len(self.uploads) > MAX_UPLOADS:
            self.uploads.popitem(last=False)
        return {"upload": self.n_uploads, "notes": notes or []}

    def _needs(self, kind: str, got: str) -> None:
        if self.shown.kind != kind:
            raise MixvaeError(f"got {got}.")

    def _split(self, name: Any) -> Split:
        if name not in ("train", "val", "test"):
            raise MixvaeError(f"split must be train, val or test; got {shown(name)}.")
        if name not in self._splits:
            self._splits[name] = self.data.seen(name)
        return self._splits[name]

    @property
    def _weights_are(self) -> Json:
        """What the responsibilities of this model are, and what its mixing weights do."""
        family, q_w = self.model.family, self.model.weights.prior()
        if isinstance(family, ExactMixture):
            return {
                "name": "responsibility",
                "largest": "most responsible",
                "what": "Responsibilities are the probabilities p(k | x) of the components, by "
                "their bounds on log p(x). The model reconstructs by the components' mean, "
                "weighted by them.",
            }
        kind = "" if q_w is None or isinstance(q_w, Delta) else f" ({type(q_w).__name__} weights)"
        if isinstance(family, Joint):
            what = (
                f"The mixing weights are the mean of q(w | x){kind}. All components decode "
                "together, weighted by them; each alone is decoded with all weight on it."
            )
        else:
            what = (
                f"The weights{kind} are those of the components in the posterior of one code, "
                "q(z | x) = sum_k w_k q(z | x, k)."
            )
        return {"name": "mixing weight", "largest": "largest weight", "what": what}

    @property
    def _notes(self) -> list[str]:
        notes = []
        if not self.run.complete:
            notes.append("The run is not finished: its weights may be of an earlier epoch.")
        if self.model.n_components == 1:
            notes.append(
                "This recipe has one component: there are no responsibilities or mixing weights to "
                "change, and no codes to exchange."
            )
        if prior_of_clusters(self.model) is not None:
            notes.append("Its clusters are components of the prior, over the one code.")
        if dropped := int((~self.model.kept).sum()):
            notes.append(f"Component dropout removed {dropped} of the components.")
        if isinstance(self.shown, Rows) and self.shown.n_columns > len(self.shown.names):
            notes.append(
                f"Of {self.shown.n_columns} columns, the {len(self.shown.names)} are shown that "
                "tell the components apart best."
            )
        return notes

    @cached_property
    def _latents(self) -> list[list[Json]]:
        """The range and the standard deviation, over some training rows, of each mean code."""
        some = spaced(self._split("train"), N_SURVEYED)
        z = codes(self.model, some.x, self.model.labels.of(some))
        low, high, sd = z.amin(0), z.amax(0), z.std(0, correction=0)
        unit = bool((z >= 0).all() and (z <= 1).all())  # stick-breaking weights
        return [
            [
                {
                    "low": 0.0 if unit else min(-3.0, float(low[k, i])),
                    "high": 1.0 if unit else max(3.0, float(high[k, i])),
                    "sd": float(sd[k, i]),
                }
                for i in range(z.shape[2])
            ]
            for k in range(z.shape[1])
        ]


def _whole(asked: Mapping[str, Any], name: str, low: int, high: int, default: int) -> int:
    value = asked.get(name, default)
    whole(low, high, **{name: value})
    return int(value)


def _is_number(text: str) -> bool:
    """Whether a text is a number of a column, of digits that Python reads."""
    return text.isdecimal() and len(text) < 10


def _numbers(values: Any, name: str) -> list[Any]:
    right = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values
    )
    if not right:
        raise MixvaeError(f"{name} must be a list of numbers; got {shown(values)}.")
    return list(values)


def _rms(found: Tensor, x: Tensor) -> float | None:
    """Root mean squared error over the observed entries, in the model's units."""
    return _finite(float((found - x)[~x.isnan()].square().mean().sqrt()))


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None

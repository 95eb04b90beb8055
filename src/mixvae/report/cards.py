"""A card for each component: its figures, samples, examples, traversals and neighbours."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mixvae import plots
from mixvae.evaluation.batches import evaluating
from mixvae.evaluation.latent_operations import traverse

from .examined import Examined
from .html import Html, drawn, number, section, table, tag, text
from .merging import merging_costs, merging_entropy, overlaps
from .shown import MOST_COLUMNS, Shown

MOST_CARDS = 24
N_EACH = 8  # examples of a kind
N_LATENTS, N_STEPS = 3, 7  # of the traversals
NO_OVERLAP = 0.0005
REACH = 3  # standard deviations at the ends of a profile's bars


class Neighbours:
    """Overlaps of components, and what merging two would cost."""

    def __init__(self, found: Examined) -> None:
        self.overlap = overlaps(found.r)
        self.entropy = merging_entropy(found.r)
        self.costs: Float64[Tensor, "K K"] | None = None
        if found.costs_are_bounds:
            values = found.values
            self.costs = merging_costs(values["log_joint"], values["log_weights"])

    def sentence(self, k: int, kept: Sequence[int]) -> str:
        """Whom component k overlaps most, and the cost of merging the two."""
        others = [j for j in kept if j != k]
        if not others:
            return ""
        mutual = self.overlap[k] + self.overlap[:, k]
        j = max(others, key=lambda other: float(mutual[other]))
        there, back = float(self.overlap[k, j]), float(self.overlap[j, k])
        if max(there, back) < NO_OVERLAP and self.costs is None:
            return "It overlaps no other component on these rows."
        found = (
            f"It overlaps most with {j}: {there:.1%} of its responsibility is on examples that are "
            f"assigned to {j}, and {back:.1%} of that of {j} on examples that are assigned to {k}."
        )
        if max(there, back) < NO_OVERLAP:
            found = "It overlaps no other component on these rows."
            assert self.costs is not None
            j = min(others, key=lambda other: self.cost(k, other))
        falls = (
            f"the entropy of the responsibilities falls by {number(float(self.entropy[k, j]), 3)}"
        )
        if self.costs is None:
            return f"{found} If the two are made one, {falls} nats an example."
        cost = self.cost(k, j)
        return (
            f"{found} Merging it with {j} costs {number(cost, 3)} nats of the bound an example at "
            f"most, and {falls} nats."
        )

    def cost(self, k: int, j: int) -> float:
        """The smaller cost of the two ways to merge."""
        assert self.costs is not None
        both = torch.stack([self.costs[k, j], self.costs[j, k]]).nan_to_num(torch.inf)
        return float(both.min())


def cards(found: Examined, anchor: str) -> str:
    """The cards of all components, or one card for a model of one."""
    shown, health = Shown(found), found.metrics.get("health", {})
    if found.of_prior:
        cards = [_model_card(found, shown), *_cluster_cards(found, shown)]
        title = "The model, and the clusters of its prior"
    elif found.model.n_components == 1:
        cards, title = [_model_card(found, shown)], "The model"
    else:
        cards, title = list(_component_cards(found, shown)), "Components"
    dropped = health.get("dropped") or []
    said = [text("p", line) for line in _said(found)]
    if dropped:
        names = ", ".join(map(str, dropped))
        said.append(text("p", f"Removed by component dropout, and not shown: {names}."))
    return section(f"{anchor}-components", title, *said, *_profiles(found), *cards)


def _profiles(found: Examined) -> Iterator[str]:
    """All components of a table in one picture."""
    if found.assigns and not found.is_image:
        options = {"y": found.read, "transform": found.data.transform}
        alt = "Mean of each component in each column; the cards have the largest as numbers"
        yield drawn(plots.profiles, found.model, found.x, alt=alt, **options)


def _said(found: Examined) -> Iterator[str]:
    n = found.r.shape[1]
    if found.is_joint:
        yield (
            "This is a joint mixture: all its components have a code for every example and decode "
            "together, so that no example belongs to one of them. Shares are mean mixing weights; "
            "there are no most certain examples, no overlaps and no confusion matrix."
        )
    elif n > 1 and not found.assigns:
        yield (
            "The responsibilities are the same for every example, so that none belongs to one "
            "component: there are no most certain examples, no overlaps and no confusion matrix."
        )
    if found.costs_are_bounds:
        yield (
            "Overlap: the probability that an example of one component is assigned to the other "
            "(Hennig 2010). Cost of merging: by how much the mean bound on log p(x) falls if one "
            "of the two is left out and its weight is given to the other, the better way round, "
            "and nothing is trained again. Entropy: the criterion of Baudry et al. (2010)."
        )
    elif found.assigns:
        yield (
            "Overlap: the probability that an example of one component is assigned to the other "
            "(Hennig 2010). Entropy: the criterion of Baudry et al. (2010), large where two "
            "components describe one cluster."
        )
    if n > MOST_CARDS:
        yield f"{n} components; the {MOST_CARDS} with the largest shares are shown."


def _largest(found: Examined, among: Sequence[int]) -> list[int]:
    share = found.r.mean(0)
    return sorted(sorted(among, key=lambda k: -float(share[k]))[:MOST_CARDS])


def _component_cards(found: Examined, shown: Shown) -> Iterator[str]:
    neighbours = Neighbours(found) if found.assigns else None
    samples = _samples(found)
    for k in _largest(found, found.kept):
        parts = [_figures(found, k)]
        if neighbours is not None:
            parts.append(text("p", neighbours.sentence(k, found.kept)))
            parts += [*_profile(found, shown, k), *_certain(found, shown, k)]
        parts += [_beside_nearest(found, shown, samples[:, k], k), *_traversals(found, shown, k)]
        yield _card(f"Component {k}", parts)


def _cluster_cards(found: Examined, shown: Shown) -> Iterator[str]:
    neighbours = Neighbours(found) if found.assigns else None
    every = range(found.r.shape[1])
    for c in _largest(found, every):
        used = float((found.r.argmax(1) == c).double().mean())
        line = f"share {float(found.r[:, c].mean()):.3f}; most probable for {used:.1%} of the rows"
        parts = [text("p", line)]
        if neighbours is not None:
            parts.append(text("p", neighbours.sentence(c, every)))
            parts += [*_profile(found, shown, c), *_certain(found, shown, c)]
        yield _card(f"Cluster {c}", parts)


def _model_card(found: Examined, shown: Shown) -> str:
    samples = _samples(found)
    return _card(
        "The model" if found.of_prior else "Its one component",
        [
            _figures(found, 0),
            _beside_nearest(found, shown, samples[:, 0]),
            *_traversals(found, shown, 0),
        ],
    )


def _card(title: str, parts: Sequence[str]) -> str:
    """Facts at the top, and parts that stand side by side where there is room."""
    facts = [part for part in parts if not part.startswith("<div")]
    rest = [part for part in parts if part.startswith("<div")]
    inner = text("h4", title) + "".join(facts) + tag("div", "".join(rest), class_="parts")
    return tag("article", inner, class_="card")


def _figures(found: Examined, k: int) -> str:
    """Share, KL, active units and state, of the whole split."""
    health = found.metrics.get("health", {})
    if not health:
        return ""
    state = next((s for s in ("dead", "collapsed") if k in health.get(s, ())), "alive")
    rows = [
        ("KL", f"{number(health['kl'][k])} nats"),
        ("active units", f"{health['active_units'][k]} of {health['n_latent']}"),
        ("squared error alone", number(health["sse_alone"][k])),
        ("state", state),
    ]
    if found.model.n_components > 1:
        used = f"{health['used'][k]:.1%} of examples"
        rows = [("share", number(health["share"][k], 3)), ("most responsible for", used), *rows]
    return tag("dl", "".join(tag("div", text("dt", a) + text("dd", b)) for a, b in rows))


def _samples(found: Examined) -> Float[Tensor, "n K *X"]:
    """Samples of every component: means of p(x | z) of images, rows with noise of tables."""
    with evaluating(found.model, found.seed):
        y = found.labels_in_turn(N_EACH)
        return found.model.sample_each(N_EACH, y, noise=not found.is_image).cpu()


def _beside_nearest(
    found: Examined, shown: Shown, samples: Float[Tensor, "n *X"], k: int = 0
) -> str:
    """Samples above the training examples that are nearest to them."""
    train = found.train.x[:]
    flat = [x.flatten(1).nan_to_num(0.0) for x in (samples, train)]
    distance, nearest = torch.cdist(flat[0], flat[1]).min(1)
    index = found.train.index
    numbers = nearest if index is None else index[nearest]
    captions = [
        [f"row {int(i)}", f"distance {number(float(d))}"]
        for i, d in zip(numbers, distance, strict=True)
    ]
    n = 3 if not found.is_image else len(samples)
    parts = {"sample": samples[:n], "nearest training example": train[nearest[:n]]}
    what = "Samples, each above the training example nearest to it (Euclidean distance)"
    columns = _telling(shown, k, MOST_COLUMNS) if found.assigns and not found.is_image else None
    return _part(what, shown.examples(parts, captions[:n], columns))


def _part(title: str, *content: str) -> str:
    return tag("div", text("h5", title) + "".join(content))


def _certain(found: Examined, shown: Shown, k: int) -> Iterator[str]:
    """Examples that are assigned to k with the most and the least certainty."""
    r = found.r[:, k]
    own = (found.r.argmax(1) == k).nonzero().flatten()
    if not len(own):
        yield text("p", "No example of these rows is assigned to it.")
        return
    falling = own[r[own].argsort(descending=True, stable=True)]
    n = N_EACH if found.is_image else 4
    n_most = min(n, -(-len(own) // 2))  # no example is in both
    both = {"Most certain examples": falling[:n_most]}
    if n_least := min(n, len(own) - n_most):
        both["Least certain examples"] = falling.flip(0)[:n_least]
    for title, rows in both.items():
        captions = [[shown.row(i), f"{float(r[i]):.3f}", shown.label(i)] for i in map(int, rows)]
        columns = None if found.is_image else _telling(shown, k, MOST_COLUMNS)
        examples = shown.examples({"example": found.x[rows]}, captions, columns)
        yield _part(f"{title}, with their responsibility", examples)


def _telling(shown: Shown, k: int, n: int) -> list[int]:
    """The columns in which a component differs most from all rows."""
    means = shown.columns.means[k].nan_to_num(0.0).abs()
    return means.argsort(descending=True, stable=True)[:n].tolist()


def _profile(found: Examined, shown: Shown, k: int) -> Iterator[str]:
    """Means of a component's columns beside those of all rows, of a table."""
    if found.is_image:
        return
    means = shown.columns.means[k]
    rows = [
        [shown.names[j], f"{float(means[j]):+.2f}", _bar(float(means[j]))]
        for j in _telling(shown, k, 10)
    ]
    title = "Profile: mean less that of all rows, in standard deviations"
    yield _part(title, table(["column", "difference", f"−{REACH} to {REACH}"], rows))


def _bar(value: float) -> Html:
    """A bar from 0 to the left or the right."""
    width = 50 * min(abs(value), REACH) / REACH
    left = 50 - width if value < 0 else 50
    return Html(f'<span class="bar"><i style="left:{left:.0f}%;width:{width:.0f}%"></i></span>')


def _traversals(found: Examined, shown: Shown, k: int) -> Iterator[str]:
    """One example, decoded by k alone while its most active latents are varied in turn."""
    if found.model.decoder.likelihood.autoregressive:
        yield text("p", "No traversals: every pixel of this likelihood depends on those before it.")
        return
    active = found.metrics.get("health", {}).get("active_units")
    if active and not found.of_prior and active[k] == 0:
        yield text("p", "No traversals: no latent of its code is active, so nothing would change.")
        return
    codes = found.values["codes"][:, k]
    row = int(found.r[:, k].argmax()) if found.assigns and not found.of_prior else 0
    latents = codes.var(0).argsort(descending=True, stable=True)[:N_LATENTS].tolist()
    x = found.x[row : row + 1]
    y = None if found.read is None else found.read[row : row + 1]
    title = f"Traversals of {shown.row(row)}: its most active latents, one at a time"
    if not found.is_image:
        yield _part(title, _table_traversal(found, shown, k, latents, x, y))
        return
    parts = []
    for latent in latents:
        own = float(codes[row, latent])
        values = torch.linspace(min(-3.0, own), max(3.0, own), N_STEPS)
        decoded = traverse(found.model, x, k, latent, values, y)[:, 0]
        captions = [[f"{float(v):+.1f}"] for v in values]
        parts.append(text("p", f"latent {latent}; its own value is {own:+.2f}", class_="small"))
        parts.append(shown.examples({f"latent {latent} at": decoded}, captions))
    yield _part(title, *parts)


def _table_traversal(
    found: Examined,
    shown: Shown,
    k: int,
    latents: Sequence[int],
    x: Float[Tensor, "1 D"],
    y: Tensor | None,
) -> str:
    """Columns that a latent changes most between -2 and 2."""
    rows = []
    for latent in latents[:2]:
        ends = traverse(found.model, x, k, latent, [-2.0, 2.0], y)[:, 0]
        moved = (ends[1] - ends[0]).abs().argsort(descending=True, stable=True)[:4].tolist()
        stored = shown.texts(ends)
        rows += [[f"latent {latent}", shown.names[j], stored[0][j], stored[1][j]] for j in moved]
    return table(["latent", "column that changes most", "at −2", "at +2"], rows)

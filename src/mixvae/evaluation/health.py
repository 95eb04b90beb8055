"""Health of the components: KL, active units, share, and reconstruction by each alone.

docs/evaluation.md defines a dead, a collapsed and a dropped component.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mixvae.data.rows import TensorOrRows
from mixvae.distributions import with_log_prob
from mixvae.model import MixtureVAE
from mixvae.parts.flows import Flowed
from mixvae.parts.labels import Classes
from mixvae.parts.posteriors import StickPosterior
from mixvae.seeding import Noise
from mixvae.trace import Trace

from .batches import weighted_sum
from .one_pass import Batch, accumulate

MIN_KL = 1.0  # nats; a code of less says almost nothing about x
MIN_SHARE = 0.3  # of the even share 1/K
N_SAMPLES = 16  # of a code, for the KL of a flow, which has no closed form
ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, Section 5.2

WITHOUT_CODE = f"code carries less than {MIN_KL:g} nat or its share is under {MIN_SHARE}/K"
WITHOUT_X = f"share is under {MIN_SHARE}/K and it is the most responsible component for no x"
FEWER = "fewer components (n_components), or another start (start_seed, n_init)"
SINGLE = (
    "a KL warm-up (warmup_epochs), more epochs, or, in place of vae, beta-vae with beta_kl below 1"
)
SINGLE_IF_COLLAPSED = "more epochs, a KL warm-up (warmup_epochs), or another learning rate (lr)"


@dataclass(frozen=True, eq=False)
class ComponentHealth:
    """Means over x for every component, counted from 0.

    Attributes
    ----------
    kl
        (K,), KL(q(z | x, k) || p(z | k)), weighted over x by the family's KL weights; nats.
    active_units
        (K,), number of latent dimensions with Var_x[E_q(z | x) z] > 0.01 (Burda et al. 2016).
    share
        (K,), mean responsibility.
    used
        (K,), fraction of the x for which the component has the largest responsibility.
    sse_alone
        (K,), squared error of its own reconstruction, summed over the entries of x.
    effective_components
        1 / sum of squared shares, between 1 and K.
    effective_per_example
        The same for the responsibilities of one x, averaged over x.
    n_latent
        Latent dimensions L of a component.
    kept
        (K,), whether component dropout keeps the component.
    advice
        What to try if a component is dead.
    advice_if_collapsed
        What to try if a component is collapsed.
    can_collapse
        Whether active units are meaningful: the x differ, and codes are not stick-breaking weights.
    needs_codes
        Whether a component is of no use without its code. A factor analyser is: it is then a normal
        with a mean and scales of its own, and dead only if it has no x.
    """

    kl: Float[Tensor, " K"]
    active_units: Int64[Tensor, " K"]
    share: Float[Tensor, " K"]
    used: Float[Tensor, " K"]
    sse_alone: Float[Tensor, " K"]
    effective_components: float
    effective_per_example: float
    n_latent: int
    kept: Bool[Tensor, " K"]
    advice: str
    advice_if_collapsed: str
    can_collapse: bool
    needs_codes: bool = True

    @property
    def dead(self) -> list[int]:
        """Kept components with a KL under 1 nat, or a share under 0.3/K for K kept components.

        Where components do not need their codes, those with such a share that are the most
        responsible for no x.
        """
        even_share = 1 / int(self.kept.sum())
        alive = self.share >= MIN_SHARE * even_share  # false for NaN
        alive = alive & (self.kl >= MIN_KL) if self.needs_codes else alive | (self.used > 0)
        return (self.kept & ~alive).nonzero().flatten().tolist()

    @property
    def collapsed(self) -> list[int]:
        """Kept components that are not dead and have no active unit."""
        if not (self.can_collapse and self.needs_codes):
            return []
        inactive = (self.kept & (self.active_units == 0)).nonzero().flatten().tolist()
        return [k for k in inactive if k not in self.dead]

    @property
    def dropped(self) -> list[int]:
        """Components that component dropout removed."""
        return (~self.kept).nonzero().flatten().tolist()

    def warning(self) -> str | None:
        """Dead and collapsed components and what to try, or None if there are none."""
        sentences = []
        if dead := self.dead:
            sentences.append(
                f"{self._these(dead, 'dead')}. A component is dead if its {self.death}. Try "
                f"{self.advice}."
            )
        if collapsed := self.collapsed:
            sentences.append(
                f"{self._these(collapsed, 'collapsed')}. A component is collapsed if none of its "
                f"latents is active: no mean varies with x by more than {ACTIVE_VARIANCE:g} in "
                f"variance, so that its code says nothing of x. Try {self.advice_if_collapsed}."
            )
        return " ".join(sentences) or None

    @property
    def death(self) -> str:
        """What makes a component dead, after "its"."""
        return WITHOUT_CODE if self.needs_codes else WITHOUT_X

    def _these(self, components: list[int], state: str) -> str:
        """Clause that lists the components of one state, with KL and share."""
        listed = ", ".join(
            f"component {k} (KL {self.kl[k]:.2f} nats, share {self.share[k]:.3f})"
            for k in components
        )
        n_kept, verb = int(self.kept.sum()), "is" if len(components) == 1 else "are"
        return f"{len(components)} of {n_kept} components {verb} {state}, counted from 0: {listed}"

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON, with the dead, collapsed and dropped components and the warning."""
        values = {
            name: value.tolist() if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
            if name not in ("advice", "advice_if_collapsed", "can_collapse", "kept")
        }
        states = {name: getattr(self, name) for name in ("dead", "collapsed", "dropped")}
        return values | states | {"warning": self.warning()}


def component_health(
    model: MixtureVAE,
    x: TensorOrRows,
    y: Classes | None = None,
    *,
    batch_size: int = 500,
    weight: Float[Tensor, " N"] | None = None,
) -> ComponentHealth:
    """Measure every component on x, with codes and weights at their means.

    Nothing is random, except the KL of a posterior that is a flow: it is a mean over 16 samples of
    fixed seed. Without a closed form, that of a normal is a mean over fixed points
    (:func:`mixvae.distributions.kl_by_points`). Sums are in float64, so that the batch size changes
    only last digits.

    Parameters
    ----------
    model
        A model, in any mode, to which it returns.
    x
        (N, *X), pixels in [0, 1].
    y
        (N,), the classes of x, for a conditional model.
    batch_size
        Rows at a time.
    weight
        (N,), weights of the rows, for weighted means.

    Returns
    -------
    health
        See :class:`ComponentHealth`.

    Raises
    ------
    MixvaeError
        For a batch size under 1, or data that the model does not take.

    Examples
    --------
    >>> import mixvae, torch
    >>> model = mixvae.build("m-vae", (4,), n_components=2, n_latent=3).model
    >>> component_health(model, torch.rand(5, 4)).dead  # untrained
    [0, 1]
    """
    health = Health(model)
    accumulate(model, x, y, [health], batch_size=batch_size, weight=weight)
    return health.meter.pop(model)


class Health:
    """Accumulator of :func:`component_health`."""

    def __init__(self, model: MixtureVAE) -> None:
        self.model, self.meter, self.noise = model, HealthMeter(), Noise(0)

    def add(self, batch: Batch) -> None:
        with self.noise:
            self.meter.add_trace(self.model, batch.mean_trace, batch.y, batch.weight)

    def result(self) -> dict[str, Any]:
        return self.meter.pop(self.model).to_dict()


class HealthMeter:
    """Component health of data in batches, for callers that have turned gradients off."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.n = 0
        self.weight = 0.0

    def add(
        self,
        model: MixtureVAE,
        x: Float[Tensor, "B *X"],
        y: Classes | None = None,
        weight: Float[Tensor, " B"] | None = None,
    ) -> None:
        """Add a batch."""
        self.add_trace(model, model.mean_trace(x, y), y, weight)

    def add_trace(
        self, model: MixtureVAE, t: Trace, y: Classes | None, weight: Tensor | None = None
    ) -> None:
        """Add a batch, given its trace at the means."""
        self.n += len(t.x)
        self.weight += len(t.x) if weight is None else float(weight.double().sum())
        for name, value in _sums(model, t, y, weight).items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def pop(self, model: MixtureVAE) -> ComponentHealth:
        """Health of the batches so far, which are then forgotten."""
        mean = {name: value / self.weight for name, value in self.sums.items()}
        self.sums, self.n, self.weight = {}, 0, 0.0
        return _health(mean, model)


def _health(mean: dict[str, Tensor], model: MixtureVAE) -> ComponentHealth:
    """Health from the means over x of what :func:`_sums` adds up."""
    variance = mean["mu2"] - mean["mu"].square()
    several = len(variance) > 1
    needs_codes = model.decoder.needs_codes
    advice = (model.family.advice if needs_codes else FEWER) if several else SINGLE
    return ComponentHealth(
        kl=mean["kl"] / mean["kl_weights"].clamp_min(1e-12),  # 0 without responsibility
        active_units=(variance > ACTIVE_VARIANCE).sum(-1),
        share=mean["share"],
        used=mean["used"],
        sse_alone=mean["sse"],
        effective_components=float(1 / mean["share"].square().sum()),
        effective_per_example=float(mean["effective"]),
        n_latent=variance.shape[-1],
        kept=model.kept,
        advice=advice,
        advice_if_collapsed=(model.family.advice_if_collapsed if several else SINGLE_IF_COLLAPSED),
        can_collapse=_varies(mean) and not isinstance(model.posterior, StickPosterior),
        needs_codes=needs_codes,
    )


def _varies(mean: dict[str, Tensor]) -> bool:
    """Whether two x differ, without which no unit can be active."""
    return bool((mean["x2"] - mean["x"].square()).max() > 1e-9)


def _sums(
    model: MixtureVAE, t: Trace, y: Classes | None, weight: Tensor | None
) -> dict[str, Tensor]:
    """Sums over a batch, (K,), (K, L), (D,) or (), in float64 on the CPU."""
    r = t.family.responsibilities(t)
    mu, pixels = t.q_z.mean.cpu().double(), t.x.flatten(1).cpu().double().nan_to_num(0)
    kl_weights = t.family.kl_weights(t)
    values = {
        "kl": kl_weights * _kl(t),
        "kl_weights": kl_weights,
        "mu": mu,
        "mu2": mu.square(),
        "x": pixels,
        "x2": pixels.square(),
        "share": r,
        "used": torch.nn.functional.one_hot(r.argmax(-1), r.shape[-1]),
        "sse": _sse_alone(model, t, y),
        "effective": 1 / r.square().sum(-1),
    }
    return {name: weighted_sum(value, weight) for name, value in values.items()}


def _kl(t: Trace) -> Float[Tensor, "B K"]:
    """KL of every component: closed form, or a mean over samples of a flow."""
    together = with_log_prob(t.q_z)
    if together is not None or isinstance(t.q_z, Flowed):
        z, log_q = together((N_SAMPLES,)) if together else (t.q_z.sample((N_SAMPLES,)), None)
        w, b = (v.expand(N_SAMPLES, -1, -1) for v in (t.w, t.b))
        t = replace(t, z=z, w=w, b=b, log_q_drawn=log_q, at_means=False)
    return t.kl


def _sse_alone(model: MixtureVAE, t: Trace, y: Classes | None) -> Float[Tensor, "B K"]:
    """Squared error of every component alone; NaN where a mean takes a step for each pixel."""
    if model.decoder.likelihood.autoregressive:
        return t.x.new_full((len(t.x), model.n_components), torch.nan)
    p_x = model.decode_each(t.z, y) if t.blended else t.p_x
    error = t.x.unsqueeze(1) - p_x.mean.squeeze(0)
    return error.masked_fill(t.x.isnan().unsqueeze(1), 0).square().flatten(2).sum(-1)

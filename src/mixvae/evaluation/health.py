"""Is every component alive? What each one codes, answers for, and can do alone.

Whether one is dead, collapsed or dropped: docs/evaluation.md has the definitions.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mixvae.distributions import with_log_prob
from mixvae.model import MixtureVAE
from mixvae.parts.flows import Flowed
from mixvae.parts.labels import Classes
from mixvae.parts.posteriors import StickPosterior
from mixvae.seeding import Noise
from mixvae.trace import Trace

from .one_pass import Batch, accumulate

MIN_KL = 1.0  # nats; a code that carries less says next to nothing
MIN_SHARE = 0.3  # of the even share 1/K
N_DRAWS = 16  # of a code, for a KL that a flow leaves without a closed form
ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, Section 5.2

SINGLE = (
    "a KL warm-up (warmup_epochs), more epochs, or, in place of vae, beta-vae with beta_kl below 1"
)
SINGLE_IF_COLLAPSED = "more epochs, a KL warm-up (warmup_epochs), or another learning rate (lr)"


@dataclass(frozen=True, eq=False)
class ComponentHealth:
    """Means over x, per component; components are counted from 0."""

    kl: Float[Tensor, " K"]  # KL(q(z | x, k) || p(z | k)) where the family charges it, nats
    active_units: Int64[Tensor, " K"]  # latents with Var_x[mu] > 0.01
    share: Float[Tensor, " K"]  # responsibility: E_q[w], or the exact mixture's r_k
    used: Float[Tensor, " K"]  # part of the x for which it has the largest responsibility
    sse_alone: Float[Tensor, " K"]  # squared error of its own reconstruction, summed over x
    effective_components: float  # 1 / sum of squared shares, between 1 and K
    effective_per_example: float  # the same of one x's responsibilities, then the mean
    n_latent: int
    kept: Bool[Tensor, " K"]  # whether component dropout leaves it in
    advice: str  # what to try if a component is dead
    advice_if_collapsed: str
    can_collapse: bool  # whether active units mean something: x differ, and codes have no bounds

    @property
    def dead(self) -> list[int]:
        """Kept components, K of them, with a KL under 1 nat or a share under 0.3/K."""
        even = 1 / int(self.kept.sum())
        alive = (self.kl >= MIN_KL) & (self.share >= MIN_SHARE * even)  # no NaN is alive
        return (self.kept & ~alive).nonzero().flatten().tolist()

    @property
    def collapsed(self) -> list[int]:
        """Kept components that are not dead, and have no active unit."""
        if not self.can_collapse:
            return []
        without = (self.kept & (self.active_units == 0)).nonzero().flatten().tolist()
        return [k for k in without if k not in self.dead]

    @property
    def dropped(self) -> list[int]:
        """The components that component dropout took out."""
        return (~self.kept).nonzero().flatten().tolist()

    def warning(self) -> str | None:
        """The dead and the collapsed components and what to try, or None if there are none."""
        said = []
        if dead := self.dead:
            said.append(
                f"{self._these(dead, 'dead')}. A component is dead if its code carries less than "
                f"{MIN_KL:g} nat or its share is under {MIN_SHARE}/K. Try {self.advice}."
            )
        if collapsed := self.collapsed:
            said.append(
                f"{self._these(collapsed, 'collapsed')}. A component is collapsed if none of its "
                f"latents is active: no mean varies with x by more than {ACTIVE_VARIANCE:g} in "
                f"variance, so that its code says nothing of x. Try {self.advice_if_collapsed}."
            )
        return " ".join(said) or None

    def _these(self, which: list[int], state: str) -> str:
        each = ", ".join(
            f"component {k} (KL {self.kl[k]:.2f} nats, share {self.share[k]:.3f})" for k in which
        )
        n_kept, verb = int(self.kept.sum()), "is" if len(which) == 1 else "are"
        return f"{len(which)} of {n_kept} components {verb} {state}, counted from 0: {each}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values, the dead components and the warning included."""
        values = {
            name: value.tolist() if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
            if name not in ("advice", "advice_if_collapsed", "can_collapse", "kept")
        }
        states = {name: getattr(self, name) for name in ("dead", "collapsed", "dropped")}
        return values | states | {"warning": self.warning()}


def component_health(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    batch_size: int = 500,
) -> ComponentHealth:
    """Measure every component on x, with codes and weights at their means: nothing is random.

    But for a flow's KL, the mean over 16 draws: at a mean code alone the densities' ratio is none.

    Sums are kept in float64, so the batch size changes memory, and figures in their last digits
    alone.

    Args:
        model: it is left in the mode that it came in.
        x: (N, *X), pixels in [0, 1].
        y: (N,), the classes of x, for a conditional model.
        batch_size: rows at a time.

    Raises:
        MixvaeError: for a batch size under 1.
    """
    meter = Health(model)
    accumulate(model, x, y, [meter], batch_size=batch_size)
    return meter.meter.pop(model)


class Health:
    """Component health of one pass over the data."""

    def __init__(self, model: MixtureVAE) -> None:
        self.model, self.meter, self.noise = model, HealthMeter(), Noise(0)

    def add(self, batch: Batch) -> None:
        with self.noise:
            self.meter.add_trace(self.model, batch.mean_trace, batch.y)

    def result(self) -> dict[str, Any]:
        return self.meter.pop(self.model).to_dict()


class HealthMeter:
    """Component health of data that come in batches; it is for whoever holds no gradients."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.n = 0

    def add(self, model: MixtureVAE, x: Float[Tensor, "B *X"], y: Classes | None = None) -> None:
        """Take a batch in."""
        self.add_trace(model, model.mean_trace(x, y), y)

    def add_trace(self, model: MixtureVAE, t: Trace, y: Classes | None) -> None:
        """Take a batch in, by the trace at its means."""
        self.n += len(t.x)
        for name, value in _sums(model, t, y).items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def pop(self, model: MixtureVAE) -> ComponentHealth:
        """The health so far; starts afresh."""
        mean = {name: value / self.n for name, value in self.sums.items()}
        self.sums, self.n = {}, 0
        return _health(mean, model)


def _health(mean: dict[str, Tensor], model: MixtureVAE) -> ComponentHealth:
    variance = mean["mu2"] - mean["mu"].square()
    several = len(variance) > 1
    return ComponentHealth(
        kl=mean["kl"] / mean["charge"].clamp_min(1e-12),  # 0 where it answers for nothing
        active_units=(variance > ACTIVE_VARIANCE).sum(-1),
        share=mean["share"],
        used=mean["used"],
        sse_alone=mean["sse"],
        effective_components=float(1 / mean["share"].square().sum()),
        effective_per_example=float(mean["effective"]),
        n_latent=variance.shape[-1],
        kept=model.kept,
        advice=model.family.advice if several else SINGLE,
        advice_if_collapsed=(model.family.advice_if_collapsed if several else SINGLE_IF_COLLAPSED),
        can_collapse=_varies(mean) and not isinstance(model.posterior, StickPosterior),
    )


def _varies(mean: dict[str, Tensor]) -> bool:
    """Whether there are two x that differ, without which no unit can be active."""
    return bool((mean["x2"] - mean["x"].square()).max() > 1e-9)


def _sums(model: MixtureVAE, t: Trace, y: Classes | None) -> dict[str, Tensor]:
    """Sums over a batch, (K,), (K, L), (D,) or (), in float64 on the CPU."""
    r = t.family.responsibilities(t)
    mu, pixels = t.q_z.mean.cpu().double(), t.x.flatten(1).cpu().double()
    kl_weights = t.family.kl_weights(t)
    values = {
        "kl": kl_weights * _kl(t),
        "charge": kl_weights,
        "mu": mu,
        "mu2": mu.square(),
        "x": pixels,
        "x2": pixels.square(),
        "share": r,
        "used": torch.nn.functional.one_hot(r.argmax(-1), r.shape[-1]),
        "sse": _sse_alone(model, t, y),
        "effective": 1 / r.square().sum(-1),
    }
    return {name: value.cpu().double().sum(0) for name, value in values.items()}


def _kl(t: Trace) -> Float[Tensor, "B K"]:
    together = with_log_prob(t.q_z)
    if together is not None or isinstance(t.q_z, Flowed) or isinstance(t.p_z, Flowed):
        z, log_q = together((N_DRAWS,)) if together else (t.q_z.sample((N_DRAWS,)), None)
        w, b = (v.expand(N_DRAWS, -1, -1) for v in (t.w, t.b))
        t = replace(t, z=z, w=w, b=b, log_q_drawn=log_q)
    return t.kl


def _sse_alone(model: MixtureVAE, t: Trace, y: Classes | None) -> Float[Tensor, "B K"]:
    """Every component's own squared error; unknown where means take a step for each pixel."""
    if model.decoder.likelihood.autoregressive:
        return t.x.new_full((len(t.x), model.n_components), torch.nan)
    p_x = model.decode_each(t.z, y) if t.blended else t.p_x
    each = p_x.mean.squeeze(0)
    return (t.x.unsqueeze(1) - each).square().flatten(2).sum(-1)

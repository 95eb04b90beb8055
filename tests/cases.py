"""One list of recipes and one of parts. What is added here inherits the property tests.

A case is small (K = 3, L = 2, 12 pixels in an image that is not square), so that a few hundred of
them take seconds, and a mixed-up axis shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae import recipes
from mixvae.distributions import Delta, dirichlet_sticks, process_sticks
from mixvae.likelihoods import (
    BernoulliLikelihood,
    BinomialLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    CrossEntropy,
    GaussianLikelihood,
    LogisticLikelihood,
    LogisticMixtureLikelihood,
    NegativeBinomialLikelihood,
    NormalLikelihood,
    OrdinalLikelihood,
    PoissonLikelihood,
    StudentTLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
    ZeroInflatedPoissonLikelihood,
)
from mixvae.likelihoods.pixelcnn import PixelCNNLikelihood
from mixvae.model import MixtureVAE
from mixvae.nn import MLP, BoundedMean, Shared, Stacked
from mixvae.parts.auxiliary import Augmented
from mixvae.parts.decoders import Decoder, weighted_sum
from mixvae.parts.exemplars import ExemplarPrior
from mixvae.parts.flow_layers import autoregressive, spline_coupling
from mixvae.parts.flows import (
    ComponentFlowPrior,
    FlowPosterior,
    FlowPrior,
    InverseAutoregressivePosterior,
)
from mixvae.parts.planar import PlanarPosterior
from mixvae.parts.posteriors import (
    ConditionalMixture,
    ConditionalNormal,
    HierarchicalPosterior,
    NormalPosterior,
    OneHotPosterior,
    PointPosterior,
    StickPosterior,
    TwoLayerPosterior,
)
from mixvae.parts.priors import (
    GaussianMixturePrior,
    HierarchicalMixturePrior,
    HierarchicalPrior,
    NormalPrior,
    StickPrior,
)
from mixvae.parts.weights import (
    CategoricalWeights,
    DirichletWeights,
    GatingWeights,
    SharedStickWeights,
    StickWeights,
    TwoLayerWeights,
)
from mixvae.recipes import BuiltRecipe
from mixvae.trace import Trace

IMAGE, FLAT = (1, 3, 4), (12,)
LARGER, COLOUR = (1, 5, 4), (3, 6, 5)  # what convolutions halve, sides odd and even
K, L, H = 3, 2, 5
KINDS = (
    *(("normal", 1), ("categorical", 3), ("poisson", 1), ("ordinal", 4), ("bernoulli", 1)),
    *(("normal", 1), ("negative-binomial", 1), ("student-t", 1), ("categorical", 2)),
    *(("zero-inflated-poisson", 1), ("zero-inflated-negative-binomial", 1), ("ordinal", 2)),
)


@dataclass(frozen=True)
class Case:
    """A recipe with some options; the rest are small."""

    recipe: str
    options: dict[str, Any] = field(default_factory=dict)
    x_shape: tuple[int, ...] = IMAGE

    def __str__(self) -> str:
        shape = "flat" if self.x_shape == FLAT else ""
        options = self.options | ({"columns": "mixed"} if "columns" in self.options else {})
        values = (f"{key}={value}" for key, value in options.items())
        return "-".join([self.recipe, *values, *filter(None, [shape])])

    @property
    def rows_interact(self) -> bool:
        """Whether training computes statistics of a batch: batch norm, Z of LARS, exemplars."""
        priors = ("lars", "exemplar")
        return self.options.get("norm") == "batch" or self.options.get("prior") in priors

    def build(
        self, x_shape: Sequence[int] | None = None, seed: int = 0, **changes: Any
    ) -> BuiltRecipe:
        """In evaluation mode where the prior computes statistics of a batch in training."""
        small = {"n_components": K, "n_latent": L, "hidden": (8, 6), "n_pseudo_inputs": 4}
        small |= {"n_subset": 2, "one_hot_width": 7, "n_top": 3, "n_upper": (3, 1)}
        small |= {"n_clusters": 4, "flow_hidden": (6,), "n_planar": 3, "n_auxiliary": 3}
        small |= {"level_hidden": (6,), "n_steps": 3, "width": 7}
        if self.options.get("prior") == "exemplar":
            small["n_exemplars"] = 5
        small |= {"shared_layers": False, "n_active": K}  # every component of every x
        if self.recipe in ("mixture-vae", "infinite-vae"):
            small["start"] = "random"
        if self.recipe.startswith("mvae"):
            small["hidden"] = 8
        known = recipes.options_of(self.recipe)
        small = {key: value for key, value in small.items() if key in known}
        torch.manual_seed(seed)
        shape, options = x_shape or self.x_shape, small | self.options | changes
        built = recipes.build(self.recipe, shape, **options)
        built.model.train(not self.rows_interact or "norm" in self.options)
        return built

    def data(self, n: int = 6) -> Tensor:
        x = torch.rand(n, *self.x_shape, generator=torch.Generator().manual_seed(7))
        likelihood = self.options.get("likelihood", "bernoulli")
        if self.recipe == "cb-vae":
            return x
        if columns := self.options.get("columns"):
            return torch.stack([_column(x[:, i], *kind) for i, kind in enumerate(columns)], 1)
        if self.recipe == "mfa-vae" or likelihood.startswith(("normal", "student")):
            return 4 * x - 2
        if likelihood.endswith(("poisson", "negative-binomial")):
            return (6 * x * x).floor()
        if likelihood.startswith("logistic"):
            return (255 * x).round() / 255
        if likelihood == "binomial":
            return (self.options["n_trials"] * x).round() / self.options["n_trials"]
        return x.round() if likelihood == "bernoulli" else x

    def labels(self, x: Tensor) -> Tensor | None:
        """The classes of x, for a conditional model."""
        if not self.options.get("conditional"):
            return None
        return torch.arange(len(x)) % self.options["n_classes"]


def _column(x: Tensor, name: str, n_levels: int) -> Tensor:
    """Values in [0, 1] as those of a column of this kind."""
    if name in ("normal", "student-t"):
        return 4 * x - 2
    return x.round() if name == "bernoulli" else (x * (6 if n_levels == 1 else n_levels)).floor()


def mean_trace(model: MixtureVAE, x: Tensor, y: Tensor | None = None) -> Trace:
    """The trace at the means, with the density ratio of auxiliary variables at theirs."""
    t = model.mean_trace(x, y)
    if not isinstance(q := t.q_z, Augmented):
        return t
    log_q = q.first.log_prob(q.first.mean) + q.follow(q.first.mean, False)[1]
    return replace(t, log_q_drawn=log_q.unsqueeze(0))


def saying(recipe: BuiltRecipe, options: dict[str, Any]) -> BuiltRecipe:
    """The same, which is saved under these options, as another version would have had them."""

    class Saying(BuiltRecipe):
        def to_dict(self) -> dict[str, Any]:
            return super().to_dict() | {"options": options}

    return Saying(**vars(recipe))


def _conv(recipe: str, x_shape: tuple[int, ...] = LARGER, **options: Any) -> Case:
    return Case(recipe, {"network": "conv", "channels": (4, 6)} | options, x_shape)


CASES = [
    Case("vae"),
    Case("vae", x_shape=FLAT),
    Case("vae", {"likelihood": "gaussian"}),
    Case("vae", {"likelihood": "squared-error"}),
    Case("vae", {"likelihood": "cross-entropy"}),
    Case("beta-vae", {"beta_kl": 0.25}),
    Case("iwae", {"n_samples": 3}),
    Case("iwae", {"likelihood": "gaussian"}, FLAT),
    Case("info-vae"),
    Case("info-vae", {"alpha": 1.0, "kernel": "imq", "bandwidth": 0.5, "lambda_mmd": 5.0}, FLAT),
    Case("info-vae", {"alpha": 0.5, "lambda_mmd": 0.5, "likelihood": "gaussian"}),  # no MMD
    Case("wae-mmd"),
    Case("wae-mmd", {"encoder": "gaussian", "scales": [1.0], "likelihood": "gaussian"}, FLAT),
    Case("wwae"),
    Case("wwae", {"lambda_w2": 0.5, "likelihood": "cross-entropy"}, FLAT),
    Case("wwae", {"n_latent": 8}),  # more than the rows of a batch
    Case("mae"),
    Case("mae", {"eta": 0.5, "gamma": 0.0, "likelihood": "gaussian"}, FLAT),
    Case("m-vae"),
    Case("m-vae", {"concentration": "normalised"}),
    Case("m-vae", {"kl_reduction": "sum"}, FLAT),
    Case("m-vae", {"combine": "mixture"}),
    Case("m-vae", {"combine": "expected", "likelihood": "gaussian"}),
    Case("m-vae", {"combine": "mixture", "likelihood": "squared-error", "bandwidth": 0.5}),
    Case("m-vae", {"likelihood": "gaussian"}),
    Case("m-vae", {"likelihood": "squared-error"}),
    Case("m-vae", {"likelihood": "cross-entropy", "dhsic_root": True}),
    Case("m-vae", {"n_components": 1}),
    Case("m-vae", {"bound": "iwae", "n_samples": 2}),
    Case("m-vae", {"bandwidth": None}),
    Case("mvae"),
    Case("mvae", {"concentration": "normalised", "kl_reduction": "sum"}),
    Case("mvae", {"likelihood": "gaussian", "beta_dhsic": 0.0}, FLAT),
    Case("mvae", {"likelihood": "squared-error", "beta_kl": 0.5, "beta_w": 20.0}),
    Case("mvae", {"likelihood": "cross-entropy"}),
    Case("mvae", {"bound": "iwae", "n_samples": 2}),
    Case("mvae", {"conditional": True, "n_classes": 3}),
    Case("mvae-gs"),
    Case("mvae-gs", {"rate": "shared", "concentration": "normalised"}),
    Case("mvae-gs", {"conditional": True, "n_classes": 2, "temperature": 0.5}, FLAT),
    Case("mvae-gs", {"n_components": 1, "n_samples": 2}),
    Case("mvae-gs", {"bound": "iwae", "n_samples": 2}),
    Case("mvae-gau"),
    Case("mvae-gau", {"rate": "shared", "rate_kl": "polynomial"}),
    Case("mvae-gau", {"start_rate": 0.6, "likelihood": "gaussian"}, FLAT),
    Case("mixture-vae"),
    Case("mixture-vae", {"n_components": 1}),
    Case("mixture-vae", {"bound": "iwae", "n_samples": 3}),
    Case("mixture-vae", {"likelihood": "gaussian"}, FLAT),
    Case("mixture-vae", {"shared_layers": True}),
    Case("mixture-vae", {"shared_layers": True, "n_normals": 3}),
    Case("mixture-vae", {"shared_layers": True, "prior": "flow"}),
    Case("mixture-vae", {"shared_layers": True, "network": "gated-mlp"}, FLAT),
    Case("mixture-vae", {"keep_prior": 0.2}),
    Case("mixture-vae", {"likelihood": "squared-error"}),
    Case("mixture-vae", {"likelihood": "cross-entropy"}),
    Case("infinite-vae", {"n_train": 50}),
    Case("infinite-vae", {"n_components": 1}),
    Case("infinite-vae", {"bound": "iwae", "n_samples": 3, "likelihood": "gaussian"}, FLAT),
    Case("infinite-vae", {"shared_layers": True, "concentration": 3.0}, FLAT),
    Case("mfa-vae", x_shape=FLAT),
    Case("mfa-vae", {"missing": True}, FLAT),
    Case("mfa-vae", {"n_components": 1, "noise": "all"}, FLAT),
    Case("mfa-vae", {"noise": "column", "likelihood": "student-t"}),
    Case("mfa-vae", {"noise": "component", "bound": "iwae", "n_samples": 2}, FLAT),
    Case("mfa-vae", {"columns": KINDS}, FLAT),
    Case("mfa-vae", {"columns": KINDS, "noise": "component", "bound": "iwae"}, FLAT),
    Case("dlgmm"),
    Case("dlgmm", {"prior_means": [-1.5, 0.0, 1.5], "likelihood": "gaussian"}, FLAT),
    Case("dlgmm", {"form": "index", "prior_means": [-1.5, 0.0, 1.5]}),
    Case("dlgmm", {"form": "paper", "concentration": 0.5}),
    Case("dlgmm", {"n_components": 1, "stick_kl": "series"}),
    Case("dlgmm", {"bound": "iwae", "n_samples": 2, "stick_kl": "series"}),
    Case("dlgmm", {"n_layers": 2, "n_components": 2}),
    Case("dlgmm", {"n_layers": 2, "prior_means": [-1.5, 0.0, 1.5], "network": "gated-mlp"}, FLAT),
    Case("dldpmm"),
    Case("dldpmm", {"concentration": 2.0, "n_samples": 2}, FLAT),
    Case("sb-vae"),
    Case("sb-vae", {"n_latent": 4, "bound": "iwae", "n_samples": 2}, FLAT),
    Case("sb-vae", {"n_latent": 5, "stick_kl": "series"}),
    Case("mvae-gs", {"network": "gated-mlp"}),
    Case("mixture-vae", {"network": "gated-mlp"}),
    Case("vamp-prior"),
    Case("vamp-prior", {"bound": "iwae", "n_samples": 2, "likelihood": "gaussian"}, FLAT),
    Case("gmmp-vae"),
    Case("gmmp-vae", {"learned_weights": True}, FLAT),
    Case("gmmp-vae", {"weights": (0.2, 0.5, 0.3), "learned_weights": True}),
    Case("gmmp-vae", {"pixelcnn": True, "pixelcnn_features": 8, "pixelcnn_layers": 2}, LARGER),
    Case("gmmp-vae", {"bound": "iwae", "n_samples": 2}),
    Case("gmmp-vae", {"bound": "miselbo", "n_samples": 2, "likelihood": "squared-error"}),
    Case("gmmp-vae", {"bound": "matched"}),
    Case("gmmp-vae", {"bound": "matched", "matching": "optimal", "learned_weights": True}),
    Case("gmmp-vae", {"bound": "matched", "matching": "variational"}),
    Case("gmmp-vae", {"bound": "matched", "decode": "average"}),
    Case("gmmp-vae", {"decode": "average", "likelihood": "cross-entropy"}),
    Case("hvae"),
    Case("hvae", {"network": "mlp", "hidden": (8,), "bound": "iwae", "n_samples": 2}, FLAT),
    Case("hvae", {"prior": "normal", "likelihood": "gaussian"}, FLAT),
    Case("hvae", {"pixelcnn": True, "pixelcnn_features": 8, "pixelcnn_layers": 2}, LARGER),
    Case("vade"),
    Case("vade", {"start": "random", "bound": "iwae", "n_samples": 2}, FLAT),
    Case("gmvae"),
    Case("gmvae", {"free_bits": 0.01, "n_samples": 2, "likelihood": "gaussian"}, FLAT),
    Case("gmvae", {"bound": "iwae", "n_samples": 2, "network": "gated-mlp"}, FLAT),
    Case("gmvae", {"n_clusters": 1}),
    Case("flow-vae"),
    Case("flow-vae", {"posterior": "flow", "n_transforms": 2}, FLAT),
    Case("flow-vae", {"prior": "normal", "posterior": "flow", "bound": "iwae", "n_samples": 2}),
    Case("vlae", {"pixelcnn": True, "pixelcnn_features": 8, "pixelcnn_layers": 2}, LARGER),
    Case("vlae", {"pixelcnn": False, "bound": "iwae", "n_samples": 2}, FLAT),
    Case("vae", {"prior": "lars"}),
    Case("iwae", {"prior": "lars", "truncation": 3, "likelihood": "gaussian"}, FLAT),
    Case("vae", {"prior": "exemplar"}),
    Case("iwae", {"prior": "exemplar", "n_exemplars": 2, "likelihood": "gaussian"}, FLAT),
    Case("flow-vae", {"prior": "neural-spline", "posterior": "neural-spline"}, FLAT),
    Case("vae", {"posterior": "planar"}),
    Case("beta-vae", {"posterior": "nice", "prior": "maf", "beta_kl": 1.5}, FLAT),
    Case("iwae", {"posterior": "iaf", "n_samples": 2}),
    Case("auxiliary-vae"),
    Case("auxiliary-vae", {"bound": "iwae", "n_samples": 2, "likelihood": "gaussian"}, FLAT),
    Case("hvi"),
    Case("hvi", {"n_iterations": 2, "n_steps": 1, "likelihood": "gaussian"}, FLAT),
    Case("hvi", {"bound": "iwae", "n_samples": 2, "network": "mlp"}),
    Case("hvi", {"likelihood": "poisson"}, FLAT),
    Case("ladder-vae"),
    Case("ladder-vae", {"n_upper": (2,), "network": "gated-mlp", "likelihood": "gaussian"}, FLAT),
    Case("ladder-vae", {"n_upper": (), "bound": "iwae", "n_samples": 2}),
    Case("discrete-vae", {"n_latent": 12}),  # few samples are zeros alone
    Case("discrete-vae", {"n_latent": 12, "smoothing": 6.0, "likelihood": "gaussian"}, FLAT),
    Case("draw"),
    Case("draw", {"n_steps": 2, "likelihood": "gaussian"}, FLAT),
    Case("draw", {"likelihood": "poisson"}, FLAT),
    Case("draw", {"posterior": "gaussian-process", "n_data": 4}),
    Case("draw", {"likelihood": "logistic-mixture", "bound": "iwae", "n_samples": 2}),
    Case("semvae", {"n_components": 4}),
    Case("semvae", {"n_components": 2, "bound": "elbo", "likelihood": "gaussian"}, FLAT),
    Case("semvae", {"n_components": 1, "bound": "iwae", "n_samples": 2}),
    Case("misvae"),
    Case("misvae", {"estimator": "some-to-some", "likelihood": "gaussian"}, FLAT),
    Case("misvae", {"estimator": "all", "bound": "iwae", "n_samples": 2}),
    Case("misvae", {"n_components": 1, "likelihood": "cross-entropy"}),
    Case("msvi"),
    Case("msvi", {"bound": "experts", "likelihood": "gaussian"}, FLAT),
    Case("msvi", {"n_components": 1, "bound": "miselbo", "n_samples": 2}),
    Case("msvi", {"weights": "uniform", "bound": "iwae", "network": "gated-mlp"}),
    Case("vae", {"likelihood": "continuous-bernoulli"}),
    Case("cb-vae"),
    Case("cb-vae", {"network": "gated-mlp"}, FLAT),
    Case("vae", {"likelihood": "logistic"}, FLAT),
    Case("vae", {"likelihood": "binomial", "n_trials": 16}),
    Case("vae", {"likelihood": "normal"}, FLAT),
    Case("iwae", {"n_samples": 3, "likelihood": "student-t"}, FLAT),
    Case("mixture-vae", {"likelihood": "normal-columns"}, FLAT),
    Case("vae", {"likelihood": "poisson"}, FLAT),
    Case("iwae", {"n_samples": 3, "likelihood": "zero-inflated-poisson"}, FLAT),
    Case("mixture-vae", {"likelihood": "negative-binomial"}, FLAT),
    Case("mixture-vae", {"likelihood": "zero-inflated-negative-binomial"}, FLAT),
    Case("m-vae", {"likelihood": "negative-binomial"}, FLAT),
    Case("m-vae", {"likelihood": "normal"}, FLAT),
    Case("mvae", {"likelihood": "normal-shared"}, FLAT),
    Case("iwae", {"n_samples": 3, "likelihood": "binomial", "n_trials": 2}, FLAT),
    Case("vae", {"network": "gated-mlp", "likelihood": "logistic-mixture"}),
    Case("iwae", {"n_samples": 3, "likelihood": "logistic-mixture"}, FLAT),
    Case("m-vae", {"likelihood": "continuous-bernoulli", "network": "gated-mlp"}),
    Case("m-vae", {"likelihood": "logistic"}),
    Case("m-vae", {"likelihood": "binomial", "n_trials": 16}),
    Case("m-vae", {"combine": "expected", "likelihood": "logistic-mixture"}),
    Case("mvae", {"network": "gated-mlp", "conditional": True, "n_classes": 3}),
    Case("mvae", {"likelihood": "logistic"}, FLAT),
    Case("mixture-vae", {"likelihood": "logistic-mixture"}),
    Case("mixture-vae", {"likelihood": "binomial", "n_trials": 4}),
    Case("gmmp-vae", {"likelihood": "logistic"}),
    _conv("vae", network="gated-conv", norm="none"),
    _conv("vae", COLOUR, likelihood="logistic-mixture"),
    _conv("m-vae", COLOUR, network="gated-conv", likelihood="logistic"),
    _conv("mvae", COLOUR, network="gated-conv", norm="batch", likelihood="logistic-mixture"),
    _conv("mvae-gau", network="gated-conv", conditional=True, n_classes=3),
    _conv("gmmp-vae", network="gated-conv", likelihood="continuous-bernoulli"),
    _conv("vae"),
    _conv("vae", COLOUR, norm="batch", likelihood="gaussian"),
    _conv("iwae", channels=(16,), n_samples=3),
    _conv("wae-mmd", COLOUR),
    _conv("m-vae"),
    _conv("m-vae", COLOUR, combine="mixture", likelihood="squared-error"),
    _conv("mvae"),
    _conv("mvae", COLOUR, norm="batch", likelihood="gaussian"),
    _conv("mvae-gs", norm="none", conditional=True, n_classes=3),
    _conv("mixture-vae", norm="none"),
    _conv("mixture-vae", shared_layers=True),
    _conv("mixture-vae", network="gated-conv", shared_layers=True),
    _conv("gmmp-vae"),
    _conv("semvae", COLOUR, norm="batch", likelihood="gaussian"),
    _conv("misvae"),
    _conv("hvae", network="gated-conv"),
    _conv("gmvae"),
    _conv("hvi", norm="none"),
    _conv("mixture-vae", COLOUR, norm="batch", likelihood="gaussian"),
]


@dataclass(frozen=True)
class Part:
    """A model part that returns a distribution, and what it is fed."""

    name: str
    make: Callable[[], nn.Module]
    call: Callable[[nn.Module, Tensor], Distribution]  # the part, its rows -> the distribution
    shape: tuple[int, ...]  # of one row of its input
    batch: tuple[int | None, ...]  # of the distribution; None is the rows' axis
    event: tuple[int, ...]

    def __str__(self) -> str:
        return self.name

    def build(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return self.make()

    def rows(self, n: int = 4) -> Tensor:
        return torch.randn(n, *self.shape, generator=torch.Generator().manual_seed(7))


def _posterior(name: str, make: Callable[[], nn.Module]) -> Part:
    return Part(name, make, lambda part, h: part(h), (K, H), (None, K), (L,))


def _weights(name: str, make: Callable[[], nn.Module]) -> Part:
    return Part(name, make, lambda part, h: part(h), (K, H), (None,), (K,))


def _prior(name: str, make: Callable[[], nn.Module], batch: tuple[int, ...]) -> Part:
    return Part(name, make, lambda part, _: part(lambda x: Delta(x)), (1,), batch, (L,))


def _likelihood(name: str, make: Callable[..., nn.Module], **options: Any) -> Part:
    """Reads the decoder's output: logits, or means with ``from_mean``."""
    read = torch.sigmoid if options.get("from_mean") else torch.clone
    make_it = partial(make, IMAGE, **options)
    shape = (make_it().n_params,)
    return Part(name, make_it, lambda part, out: part(read(out)), shape, (None,), IMAGE)


def _decoder(name: str, make: Callable[[], nn.Module], n_outputs: int) -> Part:
    """Reads codes, and weights that are made of them here."""

    def call(part: nn.Module, z: Tensor) -> Distribution:
        return part(z.unsqueeze(0), z.sum(-1).softmax(-1).unsqueeze(0))

    return Part(name, make, call, (K, L), (1, None, n_outputs), IMAGE)


def _branch(n_out: int) -> nn.Module:
    return Stacked(lambda: MLP(L, n_out, (H,)), K)


def _level(n_in: int) -> ConditionalNormal:
    return ConditionalNormal(MLP(n_in, 2, (H,)), 1)


def _clusters() -> HierarchicalMixturePrior:
    heads = nn.Sequential(MLP(1, 8, (H,)), nn.Unflatten(-1, (4, 2)))
    second = ConditionalMixture(ConditionalNormal(heads, 1), 4)
    return HierarchicalMixturePrior(NormalPrior(torch.zeros(1)), second)


def _pairs() -> TwoLayerPosterior:
    heads = nn.Sequential(MLP(H + 1, 4, (H,)), nn.Unflatten(-1, (2, 2)))
    return TwoLayerPosterior(NormalPosterior(H, 1, 2), ConditionalNormal(heads, 1), 2)


def _pair_weights() -> TwoLayerWeights:
    return TwoLayerWeights(*(StickWeights(H, 2, dirichlet_sticks(2)) for _ in range(2)))


def _pixelcnn() -> Decoder:
    sizes = {"n_context": 2, "n_features": 8, "n_layers": 2}
    p_x = PixelCNNLikelihood(BernoulliLikelihood(IMAGE), **sizes)
    return Decoder(Shared(MLP(L, p_x.n_params, (H,))), p_x)


PARTS = [
    _posterior("normal-posterior", lambda: NormalPosterior(H, L, K)),
    _posterior("point-posterior", lambda: PointPosterior(H, L, K)),
    Part(
        "one-hot-posterior",
        lambda: OneHotPosterior(H, L, K, 7),
        lambda part, h: part(h),
        (1, H),
        (None, K),
        (L,),
    ),
    _posterior(
        "chain-posterior", lambda: HierarchicalPosterior(NormalPosterior(H, 1, K), _level(H + 1))
    ),
    _weights("uniform-weights", lambda: CategoricalWeights(K)),
    _weights("learned-weights", lambda: CategoricalWeights(K, learned=True)),
    _weights("gating-weights", lambda: GatingWeights(H, K)),
    _weights("shared-stick-weights", lambda: SharedStickWeights(K)),
    _weights("dirichlet-weights", lambda: DirichletWeights(H, K)),
    _weights("normalised-dirichlet-weights", lambda: DirichletWeights(H, K, normalised=True)),
    _prior("normal-prior", lambda: NormalPrior(torch.zeros(L)), ()),
    _prior("normal-prior-per-component", lambda: NormalPrior(torch.ones(K, L)), (K,)),
    _prior("cluster-chain-prior", _clusters, ()),
    _prior("chain-prior", lambda: HierarchicalPrior(NormalPrior(torch.zeros(1)), _level(1)), ()),
    _likelihood("bernoulli", BernoulliLikelihood),
    _likelihood("bernoulli-of-means", BernoulliLikelihood, from_mean=True),
    _likelihood("binomial", BinomialLikelihood, n_trials=4),
    _likelihood("binomial-of-means", BinomialLikelihood, n_trials=4, from_mean=True),
    _likelihood("cross-entropy", CrossEntropy),
    _likelihood("cross-entropy-of-means", CrossEntropy, from_mean=True),
    _likelihood("gaussian", GaussianLikelihood),
    _likelihood("gaussian-of-means", GaussianLikelihood, from_mean=True),
    _likelihood("fixed-gaussian", GaussianLikelihood, scale=0.5),
    _likelihood("continuous-bernoulli", ContinuousBernoulliLikelihood),
    _likelihood("continuous-bernoulli-of-means", ContinuousBernoulliLikelihood, from_mean=True),
    _likelihood("logistic", LogisticLikelihood),
    _likelihood("logistic-of-means", LogisticLikelihood, from_mean=True),
    _likelihood("logistic-mixture", LogisticMixtureLikelihood),
    _likelihood("normal", NormalLikelihood),
    _likelihood("normal-of-means", NormalLikelihood, from_mean=True),
    _likelihood("normal-shared", NormalLikelihood, scale="all"),
    _likelihood("student-t", StudentTLikelihood),
    _likelihood("poisson", PoissonLikelihood),
    _likelihood("negative-binomial", NegativeBinomialLikelihood),
    _likelihood("negative-binomial-of-means", NegativeBinomialLikelihood, from_mean=True),
    _likelihood("zero-inflated-poisson", ZeroInflatedPoissonLikelihood),
    _likelihood("zero-inflated-negative-binomial", ZeroInflatedNegativeBinomialLikelihood),
    _likelihood("zero-inflated-of-means", ZeroInflatedPoissonLikelihood, from_mean=True),
    _likelihood("categorical", CategoricalLikelihood, n_levels=4),
    _likelihood("ordinal", OrdinalLikelihood, n_levels=4),
    _decoder("decoder-keep", lambda: Decoder(_branch(12), BernoulliLikelihood(IMAGE)), K),
    _decoder("decoder-pixelcnn", _pixelcnn, K),
    _decoder(
        "decoder-blend-means",
        lambda: Decoder(
            nn.Sequential(_branch(12), BoundedMean()),
            GaussianLikelihood(IMAGE, from_mean=True),
            weighted_sum,
        ),
        1,
    ),
    _decoder(
        "decoder-blend-features",
        lambda: Decoder(_branch(H), BernoulliLikelihood(IMAGE), weighted_sum, nn.Linear(H, 12)),
        1,
    ),
    _posterior("stick-posterior", lambda: StickPosterior(H, L, K)),
    _prior("stick-prior", lambda: StickPrior(L), ()),
    _prior("gaussian-mixture-prior", lambda: GaussianMixturePrior(4, L), ()),
    _prior("fixed-gaussian-mixture-prior", lambda: GaussianMixturePrior(4, L, learned=False), ()),
    _prior("exemplar-prior", lambda: ExemplarPrior((L,), 5), ()),
    _prior("flow-prior", lambda: FlowPrior(L, hidden=(H,)), ()),
    _posterior(
        "flow-posterior", lambda: FlowPosterior(NormalPosterior(H, L, K), H, L, hidden=(H,))
    ),
    _prior("spline-prior", lambda: FlowPrior(L, layers=spline_coupling, hidden=(H,)), ()),
    _prior("component-flow-prior", lambda: ComponentFlowPrior(K, L, hidden=(H,)), (K,)),
    _prior("autoregressive-prior", lambda: FlowPrior(L, layers=autoregressive, hidden=(H,)), ()),
    _posterior("planar-posterior", lambda: PlanarPosterior(NormalPosterior(H, L, K), H, L, K)),
    _posterior(
        "iaf-posterior",
        lambda: InverseAutoregressivePosterior(NormalPosterior(H, L, K), H, L, hidden=(H,)),
    ),
    _weights("stick-weights", lambda: StickWeights(H, K, dirichlet_sticks(K))),
    _weights("process-weights", lambda: StickWeights(H, K, process_sticks(K, 2.0), series=True)),
    Part("pair-posterior", _pairs, lambda part, h: part(h), (4, H), (None, 4), (2,)),
    Part("pair-weights", _pair_weights, lambda part, h: part(h), (4, H), (None,), (4,)),
    Part(
        "one-stick-weight",
        lambda: StickWeights(H, 1, dirichlet_sticks(1)),
        lambda part, h: part(h),
        *((1, H), (None,), (1,)),
    ),
]

"""An epoch of mixvae beside a training loop written by hand for one model.

    python benchmarks/plain_loop.py [--models m-vae mvae-gs] [--rows 50000] [--repeats 5]

M-VAE of 4 components and MVAE-GS of 6, as their recipes have them by default, batches of 128 binary
images. The loop computes the same loss (checked here, gradient and all, on the same weights and
noise) and nothing else: no framework, no log, no look at whether anything is finite. All components
run together, the first layer as one wide product, all heads as one, with a fused Adam. Its products
are PyTorch's own; in float32 there is a second loop that takes them as mixvae does, by the quicker
library. Ours is the whole training command, in bfloat16 with --compile too, whose kernels are made
in the first epoch; validation is left out. Times are of the second one, ratios ours to the loop's:
of all, checkpoints (of one size whatever the rows) included, and of the steps alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, lgamma, log
from typing import Any

import torch
import torch.nn.functional as F
from epochs import Stamps, compared, epochs_in_turn, images, our_epoch
from harness import PRECISIONS, add_device, begin, ms, now, options, report
from torch import Tensor
from torch.distributions.dirichlet import _Dirichlet

import mixvae
from mixvae.nn.linear import linear, linears
from mixvae.recipes import BuiltRecipe

BATCH = 128
SHAPE = (1, 28, 28)
MODELS: dict[str, dict[str, Any]] = {"m-vae": {"n_components": 4}, "mvae-gs": {"n_components": 6}}
TARGET = "<= 1.15"
AGREED = 2e-6  # relative: ten times float32's rounding; without dHSIC they are 7e-6 apart

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Library:
    """Who takes the products: of one wide layer, and of K layers with weights as it wants them."""

    wide: Callable[..., Tensor]
    dense: Callable[..., Tensor]
    axis: int  # of a stacked weight's outputs

    def stacked(self, recipe: BuiltRecipe, name: str) -> list[Tensor]:
        """K layers' weights, (K, in, out) or (K, out, in), and biases (K, 1, out) or (K, out)."""
        state = recipe.model.state_dict()
        weight, bias = (state[f"{name}.{kind}"] for kind in ("weight", "bias"))
        return [weight.mT, bias.unsqueeze(1)] if self.axis == 2 else [weight, bias]


LIBRARY = {
    "PyTorch's": Library(F.linear, lambda x, weight, bias: torch.baddbmm(bias, x, weight), 2),
    "as ours": Library(linear, linears, 1),
}
LIBRARIES = tuple(LIBRARY)


def main() -> None:
    """Check, time, print and write."""
    parser = options(__doc__, repeats=5)
    add_device(parser)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rows", type=int, default=50_000, help="images an epoch (50000: MNIST's)")
    args = begin(parser)
    x = images(BATCH, BATCH).train.x.flatten(1).to(args.device)
    rows: list[dict[str, str]] = []
    for name in args.models:
        off = {by: difference(name, x, by) for by in LIBRARIES}
        for precision in PRECISIONS:
            chosen = {"precision": precision, "device": args.device}
            ours = partial(our_epoch, name, args.rows, MODELS[name], batch_size=BATCH, **chosen)
            ways, libraries = {precision: ours}, LIBRARIES
            if precision == "bf16":
                ways["bf16, compiled"] = partial(ours, compile=True)
                if args.device == "cuda":
                    ways["bf16, CUDA graphs"] = partial(ours, compile="reduce-overhead")
                libraries = LIBRARIES[:1]
            loops = {by: partial(plain_epoch, name, args.rows, by=by, **chosen) for by in libraries}
            took = epochs_in_turn(ways | loops, args)
            rows += [
                {
                    "model": name,
                    "precision": way,
                    "the loop's products": by,
                    "mixvae ms": ms(took[way].whole),
                    "plain loop ms": ms(took[by].whole),
                    "after the steps": ms(took[way].rest),
                }
                | compared(took[way], took[by], TARGET)
                | {"differ by": f"{off[by]:.0e}"}
                for way in ways
                for by in loops
            ]
    report(rows, args)


def difference(name: str, x: Tensor, by: str) -> float:
    """How far losses and gradients are from each other, relative, on the same weights and noise.

    With first weights a loss hardly depends on them; the norm of its gradient does.
    """
    recipe = recipe_on(x.device, name)
    parameters, loss = PLAIN[name](recipe, LIBRARY[by])

    def ours(x: Tensor) -> Tensor:
        terms = recipe.objective(recipe.model, x.unflatten(1, SHAPE))
        return -torch.stack(list(terms.values())).sum()

    plain = loss_and_norm(loss, parameters, x)
    own = loss_and_norm(ours, list(recipe.model.parameters()), x)
    off = max(abs(a - b) / abs(b) for a, b in zip(plain, own, strict=True))
    assert off < AGREED, f"{name}: loss and gradient of the plain loop are {plain}, and ours {own}"
    return off


def loss_and_norm(loss: Loss, parameters: list[Tensor], x: Tensor) -> tuple[float, float]:
    """A loss and the norm of its gradient."""
    torch.manual_seed(1)
    value = loss(x)
    gradient = torch.autograd.grad(value, parameters)
    return value.item(), float(torch.cat([g.flatten() for g in gradient]).double().norm())


def recipe_on(device: torch.device, name: str) -> BuiltRecipe:
    """A recipe with its first weights."""
    torch.manual_seed(0)
    recipe = mixvae.build(name, SHAPE, **MODELS[name])
    recipe.model.to(device)
    return recipe


def plain_epoch(name: str, rows: int, *, by: str, precision: str, device: str) -> Stamps:
    """The second of two epochs."""
    x = images(rows, BATCH).train.x.flatten(1).to(device)
    parameters, loss = PLAIN[name](recipe_on(x.device, name), LIBRARY[by])
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    for _ in range(2):
        begun = now()
        order = torch.randperm(len(x), device=x.device)
        for batch in order.split(BATCH)[: len(x) // BATCH]:
            with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
                value = loss(x[batch])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return {"begun": begun, "trained": now(), "validated": 0.0, "over": 0.0}


def plain_m_vae(recipe: BuiltRecipe, by: Library) -> tuple[list[Tensor], Loss]:
    """Parameters and loss of M-VAE; components first, (K, B, ...), but for x."""
    wide, bias = leaves(first_layer(recipe))
    w2, b2, w3, b3 = leaves(by.stacked(recipe, "trunk.1.body.0.2"), heads(recipe, by))
    decoder = [by.stacked(recipe, f"decoder.branch.0.body.{i}") for i in (0, 2, 4)]
    w4, b4, w5, b5, w6, b6 = leaves(*decoder)

    def loss(x: Tensor) -> Tensor:
        h = by.wide(x, wide, bias).relu_().unflatten(1, (len(w2), -1)).transpose(0, 1)
        z, w, cost = codes(by.dense(by.dense(h, w2, b2).relu_(), w3, b3).float())
        h = by.dense(by.dense(z, w4, b4).relu_(), w5, b5).relu_()
        each = by.dense(h, w6, b6).float().sigmoid()
        mean = (w.T.unsqueeze(-1) * each).sum(0).clamp(1e-6, 1 - 1e-6)
        return F.binary_cross_entropy(mean, x, reduction="sum") / len(x) + cost

    return [wide, bias, w2, b2, w3, b3, w4, b4, w5, b5, w6, b6], loss


def plain_mvae_gs(recipe: BuiltRecipe, by: Library) -> tuple[list[Tensor], Loss]:
    """Parameters and loss of MVAE-GS."""
    state = recipe.model.state_dict()
    wide, bias = leaves(first_layer(recipe))
    w2, b2, w3, b3 = leaves(by.stacked(recipe, "trunk.1.body.0.2"), heads(recipe, by))
    w4, b4 = leaves(by.stacked(recipe, "decoder.branch.body.0.0"))
    names = [f"decoder.head.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")]
    w5, b5, w6, b6, rate = leaves([state[name] for name in (*names, "dropout.logits")])

    def loss(x: Tensor) -> Tensor:
        h = F.elu(by.wide(x, wide, bias), inplace=True).unflatten(1, (len(w2), -1))
        h = by.dense(h.transpose(0, 1), w2, b2).tanh_()
        z, w, cost = codes(by.dense(h, w3, b3).float())
        u = torch.rand_like(w).clamp(1e-6, 1 - 1e-6)
        b = (w.clamp_min(1e-20).log() + F.logsigmoid((u.logit() - rate) / 0.1)).softmax(-1)
        h = (b.T.unsqueeze(-1) * by.dense(z, w4, b4).tanh_()).sum(0)
        logits = by.wide(F.elu(by.wide(h, w5, b5), inplace=True), w6, b6).float()
        drop, keep = F.logsigmoid(rate), F.logsigmoid(-rate)
        cost = cost + (keep.exp() * (keep - log(0.1)) + drop.exp() * (drop - log(0.9))).sum()
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + cost

    return [wide, bias, w2, b2, w3, b3, w4, b4, w5, b5, w6, b6, rate], loss


def codes(heads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (K, B, L), weights (B, K), and what they cost: KLs and dHSIC."""
    loc, raw, raw_a = heads.split([n := heads.shape[2] // 2, n, 1], -1)
    scale = F.softplus(raw) + 1e-6
    noise = torch.randn(loc.shape[1], len(loc), n, device=loc.device)
    z = torch.addcmul(loc, scale, noise.transpose(0, 1))
    kl_z = (0.5 * (loc.square() + scale.square() - 1) - scale.log()).sum() / (z[..., 0].numel())
    a = (F.softplus(raw_a).squeeze(-1) + 1e-6).T
    return z, _Dirichlet.apply(a), kl_z + kl_dirichlet(a) + dhsic(z)


def kl_dirichlet(a: Tensor) -> Tensor:
    """KL(Dirichlet(a) || Dirichlet(1)), the mean over the batch."""
    total = a.sum(-1, keepdim=True)
    of_a = ((a - 1) * (a.digamma() - total.digamma()) - a.lgamma()).sum()
    return (of_a + total.lgamma().sum()) / len(a) - lgamma(a.shape[-1])


def dhsic(z: Tensor) -> Tensor:
    """The statistic of codes (K, B, L), whose kernel is as wide as normal codes are apart."""
    n = z.shape[-1]
    rate = 0.5 / (2 * exp(lgamma((n + 1) / 2) - lgamma(n / 2))) ** 2
    with torch.autocast(z.device.type, enabled=False):
        z = z - z.mean(1, keepdim=True)
        norm = z.square().sum(-1, keepdim=True)
        gram = (-rate * torch.baddbmm(norm + norm.mT, z, z.mT, alpha=-2).clamp_min(0)).exp()
    rows = gram.mean(2)
    return gram.prod(0).mean() + rows.mean(1).prod() - 2 * rows.prod(0).mean()


def first_layer(recipe: BuiltRecipe) -> list[Tensor]:
    """The encoders' first layers as one wide layer."""
    state = recipe.model.state_dict()
    return [state[f"trunk.1.body.0.0.{kind}"].flatten(0, 1) for kind in ("weight", "bias")]


def heads(recipe: BuiltRecipe, by: Library) -> list[Tensor]:
    """The codes' and the weights' as one."""
    (w1, b1), (w2, b2) = (by.stacked(recipe, f"{n}.net.body") for n in ("posterior", "weights"))
    return [torch.cat([w1, w2], by.axis), torch.cat([b1, b2], -1)]


def leaves(*layers: list[Tensor]) -> list[Tensor]:
    """Parameters of their own."""
    return [t.detach().clone().contiguous().requires_grad_() for layer in layers for t in layer]


PLAIN = {"m-vae": plain_m_vae, "mvae-gs": plain_mvae_gs}


if __name__ == "__main__":
    main()

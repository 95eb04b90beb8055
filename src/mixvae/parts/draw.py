"""DRAW: a decoder that writes to a canvas in T steps, and the posterior that watches it."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions.sequential import Sequential, SequentialNormal
from mixvae.errors import at_least
from mixvae.likelihoods import Likelihood
from mixvae.nn import Linear, full_precision

Hidden = tuple[Float[Tensor, "N W"], Float[Tensor, "N W"]]  # output and cell of an LSTM


class Cell(nn.Module):
    """An LSTM's cell, with a learned state before the first step.

    Parameters
    ----------
    n_inputs
        Size of its input.
    width
        Size W of its output.
    """

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        at_least(1, width=width)
        self.cell = nn.LSTMCell(n_inputs, width)
        self.first = nn.Parameter(torch.zeros(2, width))

    def start(self, n: int) -> Hidden:
        """The state before the first step, of n rows."""
        output, cell = self.first.unsqueeze(1).expand(2, n, -1)
        return output, cell

    def forward(self, x: Float[Tensor, "N I"], hidden: Hidden) -> Hidden:
        output, cell = self.cell(x, hidden)
        return output, cell


class Canvas(nn.Module):
    r"""DRAW's decoder: codes of T steps, (N, T L), to the canvas c_T, (N, P).

    .. math:: h_t = \mathrm{LSTM}(h_{t-1}, z_t), \qquad c_t = c_{t-1} + W h_t + b

    The canvas has all of a likelihood's parameters: of Bernoulli pixels, their logits.

    Parameters
    ----------
    n_steps
        Number T of steps.
    n_latent
        Size L of a step's code.
    width
        Size of the LSTM's state.
    n_params
        Number P of the likelihood's parameters for one x.

    Raises
    ------
    MixvaeError
        For sizes under 1.

    References
    ----------
    Gregor, Danihelka, Graves, Rezende & Wierstra (ICML 2015), eq. 7-8.
    """

    def __init__(self, n_steps: int, n_latent: int, width: int, n_params: int) -> None:
        super().__init__()
        at_least(1, n_steps=n_steps, n_latent=n_latent)
        self.n_steps, self.n_latent = n_steps, n_latent
        self.cell = Cell(n_latent, width)
        self.write = Linear(width, n_params)
        self.blank = nn.Parameter(torch.zeros(n_params))

    def forward(self, z: Float[Tensor, "N TL"]) -> Float[Tensor, "N P"]:
        with torch.autocast(z.device.type, enabled=False):
            steps = full_precision(z).unflatten(-1, (self.n_steps, -1)).unbind(1)
            hidden, total = self.cell.start(z.shape[0]), 0
            for z_t in steps:
                hidden = self.cell(z_t, hidden)
                total = total + hidden[0]
            # Writing is linear, so that once is enough; of the mean, as it has a bias.
            return self.blank + self.n_steps * self.write(total / self.n_steps)


class State(NamedTuple):
    """What DRAW's recurrence has before a step."""

    x: Float[Tensor, "N D"]
    encoder: Hidden
    decoder: Hidden
    canvas: Float[Tensor, "N P"]


class DrawPosterior(nn.Module):
    r"""DRAW's posterior: each step's code is inferred from x and from what the canvas lacks of it.

    .. math:: \hat x_t = x - \mathrm E[x | c_{t-1}], \qquad
              e_t = \mathrm{LSTM}(e_{t-1}, [x, \hat x_t, h_{t-1}]), \\
              q(z_t | x, z_{<t}) = \mathcal N(\mu(e_t), \operatorname{diag} \sigma^2(e_t))

    Of Bernoulli pixels E[x | c] is the canvas' sigmoid, as in the paper. Counts are read as their
    logarithms, both of x and of the mean. Everything is computed in full precision.

    Parameters
    ----------
    n_steps
        Number T of steps.
    n_latent
        Size L of each step's code.
    n_features
        Size D of x.
    width
        Size W of the encoder's state.
    head
        e_t (N, W) to the distribution of z_t, batch (N,), event (L,).
    kind
        The kind of the whole sequence's distribution.

    References
    ----------
    Gregor, Danihelka, Graves, Rezende & Wierstra (ICML 2015), eq. 3-6.
    """

    def __init__(
        self,
        n_steps: int,
        n_latent: int,
        n_features: int,
        width: int,
        head: nn.Module,
        kind: type[Sequential] = SequentialNormal,
    ) -> None:
        super().__init__()
        self.n_steps, self.n_latent = n_steps, n_latent
        self.cell = Cell(2 * n_features + width, width)
        self.head, self.kind = head, kind

    def read_canvas(self, canvas: Canvas, likelihood: Likelihood) -> None:
        """Set the decoder, whose state and canvas the posterior reads.

        Parameters
        ----------
        canvas
            The decoder. Its parameters stay the decoder's, and are not the posterior's.
        likelihood
            A canvas (N, P) to p(x | c); the decoder's too.
        """
        self.decoder = (canvas, likelihood)  # a tuple, so that their parameters are listed once
        self.read = likelihood.reading(nn.Flatten())

    def forward(self, h: Float[Tensor, "B 1 D"]) -> Distribution:
        return self.kind(self, full_precision(h))

    def start(self, h: Float[Tensor, "N D"]) -> State:
        """The state before the first step, given x as :attr:`read` gives it."""
        canvas, n = self.decoder[0], h.shape[0]  # len would fix it in an export
        return State(h, self.cell.start(n), canvas.cell.start(n), canvas.blank.expand(n, -1))

    def step(self, state: State, z: Float[Tensor, "N L"] | None) -> tuple[Distribution, State]:
        """The distribution of the next step's code, given the code before it."""
        x, encoder, hidden, drawn = state
        canvas, likelihood = self.decoder
        if z is not None:
            hidden = canvas.cell(z, hidden)
            drawn = drawn + canvas.write(hidden[0])
        error = x - self.read(likelihood(drawn).mean)
        encoder = self.cell(torch.cat([x, error, hidden[0]], -1), encoder)
        return self.head(encoder[0]), State(x, encoder, hidden, drawn)

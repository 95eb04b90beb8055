"""The recipes: named models, each a choice of parts.

=============  =  ==========  =========  =================  =============  =========  =============
recipe         K  encoders    weights    decoders           prior          family     objective
=============  =  ==========  =========  =================  =============  =========  =============
vae            1  1           --         1                  N(0, I)        joint      elbo
beta-vae       1  1           --         1                  N(0, I)        joint      elbo, beta KL
iwae           1  1           --         1                  N(0, I)        joint      iwae
cb-vae         1  1           --         1                  N(0, I)        joint      elbo
info-vae       1  1           --         1                  N(0, I)        joint      beta KL; mmd
wae-mmd        1  1           --         1                  N(0, I)        joint      log_lik; mmd
wwae           1  1           --         1                  N(0, I)        joint      log_lik; w2
mae            1  1           --         1                  N(0, I)        joint      elbo; mutual
m-vae          K  K           Dirichlet  K, averaged means  N(0, I)        joint      MELBO; dhsic
mvae           K  K           Dirichlet  K sub-decoders     N(0, I)        joint      MELBO; dhsic
mvae-gs        K  K           Dirichlet  as mvae, masks     N(0, I)        joint      masked; dhsic
mvae-gau       K  K           Dirichlet  as mvae, masks     N(0, I)        joint      masked; dhsic
mixture-vae    K  1           learned    K first layers     N(0, I)        exact      mixture_bound
infinite-vae   K  1           process    K first layers     N(0, I)        exact      mixture_bound
mfa-vae        K  1, linear   learned    K linear, 1        N(0, I)        exact      mixture_bound
dlgmm          K  1           sticks     1                  N(m_k, I)      posterior  mixture_elbo
dldpmm         K  1           sticks     1                  N(m_k, I)      posterior  mixture_elbo
sb-vae         1  1           --         1                  sticks         joint      elbo
vamp-prior     1  1           --         1                  pseudo-inputs  posterior  mixture_elbo
gmmp-vae       K  1           uniform    1                  pseudo-inputs  posterior  mixture_elbo
hvae           1  1           --         1                  two levels     posterior  mixture_elbo
vade           1  1           --         1                  C normals      posterior  mixture_elbo
gmvae          1  1           --         1                  C given top    posterior  cluster_elbo
flow-vae       1  1           --         1                  flow           joint      elbo
vlae           1  1           --         1                  masked flow    joint      elbo
auxiliary-vae  1  1           --         1                  N(0, I)        joint      elbo
hvi            1  1           --         1                  N(0, I)        joint      elbo
ladder-vae     1  1           --         1                  L levels       joint      elbo
discrete-vae   1  1           --         1                  RBM            joint      elbo
draw           1  recurrent   --         recurrent          N(0, I)        joint      elbo
semvae         K  K           uniform    1                  N(0, I)        posterior  miselbo
misvae         K  1, one-hot  uniform    1                  N(0, I)        posterior  miselbo
msvi           K  K           of x       1                  N(0, I)        posterior  mixture_elbo
=============  =  ==========  =========  =================  =============  =========  =============

Encoders and decoders: 1 for all components, or K. Weights: mixing weights. Sticks: stick-breaking.
Family: joint has K codes for each x, exact one code of one of K components, and posterior one code
whose posterior is a mixture of K. A recipe is a dataclass of plain options, which are saved in
``recipe.json`` and offered on the command line; its methods ``make_...`` make the parts. To add a
recipe, put a class with ``@register`` in a file here, import it below and add a row above; or put
the class in a file of your own, with ``@mixvae.register``.
"""

# In the order of the table, which is that of list_recipes.
# isort: off
from .vae import VAE, BetaVAE, IWAE, ContinuousBernoulliVAE
from .aggregated import InfoVAE, WAEMMD, WWAE
from .mae import MAE
from .m_vae import AveragedVAEs
from .mvae import MVAE, MVAEGau, MVAEGS
from .mixture_vae import ExactMixtureOptions, MixtureOfVAEs
from .infinite_vae import InfiniteVAE
from .mfa_vae import MixtureOfFactorAnalysers
from .latent_mixtures import DLDPMM, DLGMM, StickBreakingVAE
from .pseudo_inputs import GMMpVAE, PseudoInputOptions, VampVAE
from .hvae import HVAE
from .vade import VaDE
from .gmvae import GMVAE
from .flow_vae import FlowVAE
from .vlae import VLAE
from .auxiliary_vae import AuxiliaryVAE
from .hvi import HVI
from .ladder_vae import LadderVAE
from .discrete_vae import DiscreteVAE
from .draw import DRAW
from .multiple_importance import MISVAE, SEMVAE
from .msvi import MSVI

# isort: on
from .aggregated import WassersteinAutoencoder
from .building import BuiltRecipe, build, options_of
from .joint import JointMixture
from .options import (
    Autoencoder,
    ComponentOptions,
    ImportanceWeighted,
    LabelOptions,
    LatentOptions,
    LikelihoodOptions,
    NetworkOptions,
    OneDecoder,
    OneNetwork,
    PixelOptions,
)
from .recipe import Parts, Recipe
from .registry import RECIPES, list_recipes, register

__all__ = [
    "DLDPMM",
    "DLGMM",
    "DRAW",
    "GMVAE",
    "HVAE",
    "HVI",
    "IWAE",
    "MAE",
    "MISVAE",
    "MSVI",
    "MVAE",
    "MVAEGS",
    "RECIPES",
    "SEMVAE",
    "VAE",
    "VLAE",
    "WAEMMD",
    "WWAE",
    "Autoencoder",
    "AuxiliaryVAE",
    "AveragedVAEs",
    "BetaVAE",
    "BuiltRecipe",
    "ComponentOptions",
    "ContinuousBernoulliVAE",
    "DiscreteVAE",
    "ExactMixtureOptions",
    "FlowVAE",
    "GMMpVAE",
    "ImportanceWeighted",
    "InfiniteVAE",
    "InfoVAE",
    "JointMixture",
    "LabelOptions",
    "LadderVAE",
    "LatentOptions",
    "LikelihoodOptions",
    "MVAEGau",
    "MixtureOfFactorAnalysers",
    "MixtureOfVAEs",
    "NetworkOptions",
    "OneDecoder",
    "OneNetwork",
    "Parts",
    "PixelOptions",
    "PseudoInputOptions",
    "Recipe",
    "StickBreakingVAE",
    "VaDE",
    "VampVAE",
    "WassersteinAutoencoder",
    "build",
    "list_recipes",
    "options_of",
    "register",
]

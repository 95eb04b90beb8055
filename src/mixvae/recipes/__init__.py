"""The models, by name: each is a row of choices.

===========  =  =======  =========  ======================  =============  =========  ==============
recipe       K  trunk    weights    decoder                 prior          family     bound; penalty
===========  =  =======  =========  ======================  =============  =========  ==============
vae          1  stacked  --         1 net → keep            N(0, I)        joint      elbo
beta-vae     1  stacked  --         1 net → keep            N(0, I)        joint      elbo, beta KL
iwae         1  stacked  --         1 net → keep            N(0, I)        joint      iwae
m-vae        K  stacked  Dirichlet  K nets → blend means    N(0, I)        joint      paper's; dhsic
mvae         K  stacked  Dirichlet  K nets → blend → head   N(0, I)        joint      paper's; dhsic
mvae-gs      K  stacked  Dirichlet  the same, masks         N(0, I)        joint      masked; dhsic
mvae-gau     K  stacked  Dirichlet  the same, masks         N(0, I)        joint      masked; dhsic
mixture-vae  K  shared   learned    K layers → keep → head  N(0, I)        exact      mixture_bound
dlgmm        K  shared   sticks     1 net → keep            N(m_k, I)      posterior  mixture_elbo
dldpmm       K  shared   sticks     1 net → keep            N(m_k, I)      posterior  mixture_elbo
sb-vae       1  shared   --         1 net → keep            sticks         joint      elbo
vamp-prior   1  shared   --         1 net → keep            pseudo-inputs  posterior  mixture_elbo
gmmp-vae     K  shared   uniform    1 net → keep            pseudo-inputs  posterior  mixture_elbo
hvae         1  shared   --         1 net → keep            two levels     posterior  mixture_elbo
vade         1  shared   --         1 net → keep            C normals      posterior  mixture_elbo
flow-vae     1  stacked  --         1 net → keep            flow           joint      elbo
semvae       K  stacked  uniform    1 net → keep            N(0, I)        posterior  miselbo
misvae       K  one-hot  uniform    1 net → keep            N(0, I)        posterior  miselbo
===========  =  =======  =========  ======================  =============  =========  ==============

Family: joint has K codes at once, exact one code of one of K components, posterior one code that a
mixture of K infers. A recipe is a dataclass of plain options, which are written to ``recipe.json``
and offered on the command line; its methods ``make_...`` make the parts. To add one: a class in a
file here with ``@register``, and a row above; or in a file of your own, with
``@mixvae.register``.
"""

# In the order of the table, in which they are listed.
# isort: off
from .vae import VAE, BetaVAE, IWAE
from .m_vae import AveragedVAEs
from .mvae import MVAE, MVAEGau, MVAEGS
from .mixture_vae import MixtureOfVAEs
from .latent_mixtures import DLDPMM, DLGMM, StickBreakingVAE
from .pseudo_inputs import GMMpVAE, PseudoInputOptions, VampVAE
from .hvae import HVAE
from .vade import VaDE
from .flow_vae import FlowVAE
from .multiple_importance import MISVAE, SEMVAE

# isort: on
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
    "HVAE",
    "IWAE",
    "MISVAE",
    "MVAE",
    "MVAEGS",
    "RECIPES",
    "SEMVAE",
    "VAE",
    "Autoencoder",
    "AveragedVAEs",
    "BetaVAE",
    "BuiltRecipe",
    "ComponentOptions",
    "FlowVAE",
    "GMMpVAE",
    "ImportanceWeighted",
    "JointMixture",
    "LabelOptions",
    "LatentOptions",
    "LikelihoodOptions",
    "MVAEGau",
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
    "build",
    "list_recipes",
    "options_of",
    "register",
]

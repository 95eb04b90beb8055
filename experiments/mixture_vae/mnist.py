"""The exact mixture on dynamically binarised MNIST, beside the VAE and IWAE-K.

All with MLPs of 300-300 and 40 latents; the mixtures' components have whole networks of their own
and start at random. log p(x) by 100 importance samples over the whole test set
(so a lower bound on it, in expectation); identical components would gain what IWAE-K gains. The
literature's VAE of this size reaches -84.45, after many more epochs. 20 epochs, KL warm-up over
the first 5, one seed.
"""

DATA = {"name_or_path": "mnist", "binarize": "dynamic"}
TRAINING = {
    "max_epochs": 20,
    "batch_size": 128,
    "precision": "bf16",
    "warmup_epochs": 5,
    "seed": 0,
}
EVALUATION = {"log_likelihood": 100}
COLUMNS = ["elbo", "log_px", "log_px_error", "parameters", "share", "effective_k", "dead", "acc"]

SIZE = {"hidden": [300, 300], "n_latent": 40}
APART = SIZE | {"shared_layers": False, "start": "random"}
# Widths at which a single VAE has the mixture's number of parameters.
ROWS = [
    {"name": "mixture-vae K=10", "recipe": "mixture-vae", "options": APART | {"n_components": 10}},
    {"name": "mixture-vae K=4", "recipe": "mixture-vae", "options": APART | {"n_components": 4}},
    {"name": "VAE", "recipe": "vae", "options": SIZE},
    {"name": "IWAE-4", "recipe": "iwae", "options": SIZE | {"n_samples": 4}},
    {"name": "IWAE-10", "recipe": "iwae", "options": SIZE | {"n_samples": 10}},
    {
        "name": "VAE, parameters of K=4",
        "recipe": "vae",
        "options": SIZE | {"hidden": [810, 810]},
    },
]

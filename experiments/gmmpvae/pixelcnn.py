"""A PixelCNN as the decoder's last part, on dynamically binarised MNIST: a short run.

VampPrior with gated MLPs of 300-300, 40 latents, 500 pseudo-inputs; the PixelCNN has 4 layers of 16
feature maps. 10,000 training images, 12 epochs, KL warm-up over the first 4, one seed. "log_px" by
importance sampling with 100 codes over 200 test images at even distances: every code is a pass of
the PixelCNN. "paper" is PixelHVAE + VampPrior (two levels, all images, many more epochs), and
VampPrior's own.
"""

DATA = {"name_or_path": "mnist", "binarize": "dynamic", "subset": 10000}
TRAINING = {
    "max_epochs": 12,
    "batch_size": 100,
    "lr": 1e-3,
    "warmup_epochs": 4,
    "seed": 0,
}
EVALUATION = {"log_likelihood": 100, "n_test": 200}
COLUMNS = ["paper", "elbo", "log_px", "log_px_error", "kl", "active_units", "parameters", "seconds"]

SIZE = {"network": "gated-mlp", "hidden": [300, 300], "n_latent": 40}
PIXELS = {"pixelcnn": True, "pixelcnn_features": 16, "pixelcnn_layers": 4}
ROWS = [
    {"name": "VampPrior", "recipe": "vamp-prior", "options": SIZE, "paper": "-82.38"},
    {
        "name": "VampPrior, PixelCNN",
        "recipe": "vamp-prior",
        "options": SIZE | PIXELS,
        "paper": "-78.45",
    },
]

"""Images with known codes: priors, code bank, backgrounds, camera noise."""

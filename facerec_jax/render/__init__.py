"""How a face becomes an image."""

"""Training images: their names, what a registry has of them, and how one is built and pushed. No shell, no daemon of ours."""

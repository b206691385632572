"""Nearest neighbours of embeddings, exact, on CPU threads or a GPU."""

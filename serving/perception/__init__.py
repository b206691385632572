"""Frames of many cameras to detections, embeddings and attributes, computed by engines in batches."""

"""Frames of many cameras to detections, embeddings and attributes, in batches over engines."""

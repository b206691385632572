"""The words all parts share: boxes, image preparation, embeddings, attribute schema, camera, card, settings, errors."""

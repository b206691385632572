"""A challenger beside the champion, on the same test data: what changes, how surely, and whether it may go live."""

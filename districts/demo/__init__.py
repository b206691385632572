"""The demo district: streets, people and weather rendered from a seed, so that every stage runs without a download."""

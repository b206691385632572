"""The synthetic demo district: streets, people and weather rendered from a seed, without any download."""

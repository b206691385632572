"""Re-identification: OSNet against ResNet-50."""

"""The experiment log: everything that speaks to MLflow."""

"""The service over HTTP: the interface under /v1, the operators' page, and access to both."""

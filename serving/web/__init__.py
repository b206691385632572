"""The service as others reach it: the interface under /v1, the operators' page, who may do what."""

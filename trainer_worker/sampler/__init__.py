"""The sampler: a gRPC server that draws text from published models."""

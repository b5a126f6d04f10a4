"""The counter of the house: gRPC in, one verb, gRPC out."""

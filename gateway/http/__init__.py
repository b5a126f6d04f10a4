"""The HTTP door: the same calls for browsers and curl, by the Connect protocol.

It translates, then calls the gateway's own gRPC port, so that every call passes the same interceptors. It has no
permissions of its own.
"""

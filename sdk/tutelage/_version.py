"""The version of the library, which is also that of the command line."""

__version__ = "0.1.0"

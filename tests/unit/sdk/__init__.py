"""The visitor's library and command line, against a service of our own on a real socket."""

"""The whole house on one machine: the real parts as child processes, kept alive by one parent."""

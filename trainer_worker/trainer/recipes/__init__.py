"""Methods of training: one function a file, which yields facts."""

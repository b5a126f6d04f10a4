"""Parts of a training step that know nothing of the process around them."""

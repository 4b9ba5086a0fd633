"""Where a training step runs: devices, processes, and many GANs at once."""

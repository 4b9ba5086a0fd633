"""The same GAN in PyTorch: eager, tuned, compiled, and as a CUDA graph."""

"""What is looked at in a browser: runs of a folder, latents, critics, GANs of points.

Functions of folders and arrays; `experiments.explore` shows what they give.
"""

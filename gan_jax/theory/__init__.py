"""The theory: closed forms to compare with, and what fits GANs to known densities.

Closed forms are computed from their definitions, in plain JAX and with none of the
training code, so that what they are compared with can disagree.
"""

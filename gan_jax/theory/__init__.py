"""Closed forms: what the experiments and the tests compare with.

`best_response` and `dirac`: games that can be solved. `optimal`: discriminators at
their optimum. `generator`: what it minimises there. `divergences`: between Gaussians in
closed form, between any densities by quadrature. `lipschitz`: critics whose slope is
bounded, or has a price. Pure functions all; nothing here is trained.
"""

"""Closed forms: what the experiments and the tests compare with.

`best_response` and `dirac`: games that can be solved. `optimal`: discriminators at
their optimum, and what they hand to the generator. `divergences`: between Gaussians in
closed form, between any densities by quadrature. `lipschitz`: critics between two
points. Pure functions all; nothing here is trained.
"""

"""Many runs: what a sweep asks for, how it is trained, and what was found."""

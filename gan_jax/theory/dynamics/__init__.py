"""How training moves: two players on the Dirac-GAN, general games, and SGD's rates."""

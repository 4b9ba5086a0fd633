"""How often a network doubles the sides of its images."""

from gan_jax.errors import UserError

_SMALLEST, _LARGEST = 16, 128


def stages(network: str, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Doublings from the smallest sides to those of the images, and those sides.

    The smaller side begins with 4, 5, 6 or 7: 28 with 7, 32 and 64 with 4.

    Args:
      network: for the message.
      shape: of an image, ``(height, width, channels)``.

    Returns:
      ``(doublings, rows, columns)``.

    Raises:
      UserError: the sides cannot be reached, or are not from 16 to 128.
    """
    height, width, _ = shape
    least = min(height, width)
    count = 0
    while least >> count >= 8:
        count += 1
    block = 2**count
    fits = height % block == 0 == width % block
    if not (fits and least >= _SMALLEST and max(height, width) <= _LARGEST):
        possible = [n * 2**k for k in range(2, 6) for n in range(4, 8)]
        near = min((n for n in possible if n <= _LARGEST), key=lambda n: abs(n - least))
        other = "mlp" if height % 4 or width % 4 else "reference"
        raise UserError(
            f"--network={network} makes images whose sides are 4, 5, 6 or 7 times a"
            f" power of two, from {_SMALLEST} to {_LARGEST}, and these are {height} x"
            f" {width}: use images of {near} x {near}, or --network={other}"
        )
    return count, height // block, width // block

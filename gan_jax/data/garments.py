"""Drawn garments: the ten classes of Fashion-MNIST as a pure function of a key.

A data set that needs no download: ``draw(key, label)`` draws one 28 x 28 image as a
stack of antialiased shapes, ``make(seed, size)`` a whole balanced split of them.

Lengths are in pixels. x runs right from the middle of the image (-14 to 13), y down
from its top (0 to 27), and a shape is a signed distance, negative inside. Brightness
is in [0, 1], and higher means a darker cloth: Fashion-MNIST shows its photographs as
negatives, so shadows are light here, too. A part that an image lacks is painted with
a cover of zero, because a branch would be drawn by every image of a batch anyway.
"""

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_SIZE = 28
_CHUNK = 500  # images of one class that are drawn by one call: about 20 MB

# Brightness of the cloth at the quantiles 0, 1/4, 1/2, 3/4 and 1 of each class.
_TONES = (
    (0.13, 0.43, 0.70, 0.88, 0.97),
    (0.36, 0.74, 0.88, 0.96, 0.99),
    (0.16, 0.50, 0.80, 0.93, 0.98),
    (0.22, 0.60, 0.80, 0.92, 0.98),
    (0.24, 0.72, 0.88, 0.95, 0.99),
    (0.36, 0.62, 0.76, 0.90, 0.98),
    (0.13, 0.42, 0.68, 0.86, 0.97),
    (0.28, 0.60, 0.76, 0.88, 0.96),
    (0.28, 0.68, 0.84, 0.92, 0.97),
    (0.40, 0.78, 0.90, 0.96, 0.99),
)
# Odds of stripes, of checks and of a blotched print; the rest is plain.
_PATTERNS = (
    (0.10, 0.00, 0.10),
    (0.00, 0.00, 0.08),
    (0.14, 0.00, 0.06),
    (0.08, 0.00, 0.22),
    (0.00, 0.03, 0.06),
    (0.00, 0.00, 0.10),
    (0.06, 0.28, 0.18),
    (0.00, 0.00, 0.12),
    (0.06, 0.03, 0.12),
    (0.00, 0.00, 0.08),
)
_TOPS = (0, 2, 3, 4, 6)
# The five garments for the upper body, in the order of _TOPS: ranges of half widths,
# then odds of the parts. Of sleeves, "short" counts for those that are not long.
_TOP_RANGES = {
    "shoulder": ((6.5, 7.8), (6.0, 7.5), (4.2, 5.6), (6.0, 7.2), (5.5, 7.0)),
    "chest": ((6.3, 8.0), (6.0, 7.6), (4.2, 5.6), (5.7, 7.0), (5.6, 7.2)),
    "waist": ((6.2, 7.6), (6.0, 7.6), (3.4, 5.0), (5.2, 7.0), (5.6, 7.2)),
    "hem": ((6.3, 8.2), (5.8, 7.4), (4.6, 8.5), (5.8, 7.8), (5.8, 7.6)),
    "bottom": ((26.0, 27.6), (23.8, 26.4), (26.8, 27.8), (25.5, 27.8), (25.0, 27.6)),
    "reach": ((10.3, 12.3), (10.4, 12.2), (6.8, 8.6), (9.6, 11.6), (9.6, 11.6)),
}
_TOP_ODDS = {
    "long": (0.0, 1.0, 0.35, 1.0, 0.72),
    "short": (0.85, 0.0, 0.5, 0.0, 0.9),
    "crew": (1.0, 0.8, 1.0, 0.0, 0.0),
    "turtle": (0.0, 0.2, 0.0, 0.0, 0.0),
    "knit": (0.0, 1.0, 0.0, 0.1, 0.0),
    "motif": (0.4, 0.3, 0.0, 0.0, 0.0),
    "belt": (0.0, 0.0, 0.55, 0.12, 0.0),
    "pleats": (0.0, 0.0, 0.6, 0.0, 0.0),
    "open": (0.0, 0.0, 0.0, 1.0, 0.0),
    "hood": (0.0, 0.0, 0.0, 0.4, 0.0),
    "collar": (0.1, 0.0, 0.0, 0.0, 1.0),
}


def _upsampling(coarse: int) -> np.ndarray:
    """Weights [28, coarse] that blend coarse samples smoothly over 28 pixels."""
    place = np.linspace(0, coarse - 1, _SIZE)[:, None] - np.arange(coarse)[None, :]
    weight = np.cos(np.clip(place, -1, 1) * np.pi / 2) ** 2
    return weight.astype(np.float32)


def _smooth(coarse: jax.Array) -> jax.Array:
    """Coarse noise [rows, columns], blended smoothly over [28, 28]."""
    rows, columns = (jnp.asarray(_upsampling(n)) for n in coarse.shape)
    return rows @ coarse @ columns.T


def _beyond(x: jax.Array, t: jax.Array, at: tuple, to: tuple) -> jax.Array:
    """Signed distance of x beyond the polyline through the points (t = at, x = to)."""
    curve, slope = to[0], 0.0
    for (t0, t1), (x0, x1) in zip(pairwise(at), pairwise(to), strict=True):
        rate = (x1 - x0) / (t1 - t0)
        curve = curve + rate * jnp.clip(t - t0, 0.0, t1 - t0)
        slope = slope + jnp.where((t > t0) & (t <= t1), rate, 0.0)
    return (x - curve) * jax.lax.rsqrt(1.0 + slope**2)


def _capsule(x: jax.Array, y: jax.Array, a: tuple, b: tuple, r: float) -> jax.Array:
    """Signed distance to the points within r of the segment from a to b."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = jnp.clip(((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return jnp.hypot(x - a[0] - along * dx, y - a[1] - along * dy) - r


def _ellipse(x: jax.Array, y: jax.Array, rx: float, ry: float) -> jax.Array:
    """Signed distance, exact to first order, to an ellipse around the origin."""
    value = jnp.hypot(x / rx, y / ry)
    slope = jnp.hypot(x / rx**2, y / ry**2)
    return value * (value - 1.0) / (slope + 1e-3)


def _meet(*distances: jax.Array, soft: float = 0.5) -> jax.Array:
    """Intersection of shapes whose corners are rounded over ``soft`` pixels."""

    def smooth_max(a: jax.Array, b: jax.Array) -> jax.Array:
        overlap = jnp.maximum(soft - jnp.abs(a - b), 0.0)
        return jnp.maximum(a, b) + overlap**2 / (4 * soft)

    return functools.reduce(smooth_max, distances)


def _fill(distance: jax.Array) -> jax.Array:
    """Part of each pixel that lies inside a shape."""
    return jnp.clip(0.5 - distance, 0.0, 1.0)


def _line(distance: jax.Array, width: float = 1.0) -> jax.Array:
    """Part of each pixel on the outline of a shape, drawn ``width`` wide."""
    return jnp.clip(0.5 + width / 2 - jnp.abs(distance), 0.0, jnp.minimum(width, 1.0))


def _paint(image: jax.Array, cover: jax.Array, tone: jax.Array) -> jax.Array:
    """The image with a tone laid over it where ``cover`` is 1."""
    return image + cover * (tone - image)


class _Bench(NamedTuple):
    """What every drawing starts from."""

    numbers: jax.Array  # [96], uniform in (0, 1)
    x: jax.Array  # [28, 28], bent a little so that no outline is quite straight
    y: jax.Array
    tone: jax.Array  # brightness of the cloth
    accent: jax.Array  # brightness of trimmings
    cloth: jax.Array  # [28, 28]: tone with pattern, folds and grain
    blotch: jax.Array  # [28, 28]: noise pushed towards 0 and 1, for prints


def _dice(numbers: jax.Array) -> tuple[Callable, Callable]:
    """roll(low, high) and chance(odds), 1.0 or 0.0, that use up uniform numbers."""
    rest = iter(numbers)

    def roll(low: float, high: float) -> jax.Array:
        return low + (high - low) * next(rest)

    def chance(odds: float) -> jax.Array:
        return (next(rest) < odds).astype(jnp.float32)

    return roll, chance


def _bench(key: jax.Array, label: jax.Array) -> _Bench:
    """Lays out the numbers and the cloth for one image of a class."""
    shapes = ((96,), (12,), (5, 5), (5, 5), (19, 19), (3, 11), (_SIZE, _SIZE))
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    # One call for all of them: each would cost its own compilation.
    pool = jnp.split(jax.random.uniform(key, (ends[-1],)), ends[:-1])
    numbers, rolls, *noise = (u.reshape(s) for u, s in zip(pool, shapes, strict=True))
    bend_x, bend_y, print_, folds, grain = (2 * u - 1 for u in noise)
    roll, _ = _dice(rolls)

    y, x = jnp.mgrid[:_SIZE, :_SIZE].astype(jnp.float32)
    x = x - 14.0 + roll(-0.4, 0.4) + 0.5 * _smooth(bend_x)
    y = y + 0.35 * _smooth(bend_y)

    place = roll(0, 4) - jnp.arange(5.0)
    tone = jnp.asarray(_TONES)[label] @ jnp.maximum(1 - jnp.abs(place), 0)
    swing = jnp.where(tone > roll(0.35, 0.65), -1.0, 1.0)  # stays within [0, 1]
    accent = jnp.clip(tone + swing * roll(0.15, 0.55), 0.08, 1.0)
    blotch = jnp.clip(0.5 + 1.1 * _smooth(print_) + 0.4 * grain, 0.0, 1.0)

    period, sharp, phase = roll(3.0, 7.5), roll(0.5, 3.0), roll(0, 6.28)
    across = jnp.clip(0.5 + sharp * jnp.sin(6.28 / period * y + phase), 0, 1)
    down = jnp.clip(0.5 + sharp * jnp.sin(6.28 / period * x), 0, 1)
    stripes, checks, prints = jnp.cumsum(jnp.asarray(_PATTERNS)[label])
    kind = roll(0, 1)
    pattern = jnp.where(kind < stripes, across, (across + down) / 2)
    pattern = jnp.where(kind < checks, pattern, jnp.where(kind < prints, blotch, 0.0))
    cloth = tone + (accent - tone) * pattern
    cloth *= 1 + roll(0.04, 0.15) * _smooth(folds) + roll(0.01, 0.055) * grain
    return _Bench(numbers, x, y, tone, accent, cloth, blotch)


def _top(bench: _Bench, label: jax.Array) -> jax.Array:
    """T-shirt, pullover, dress, coat or shirt, [28, 28]."""
    numbers, x, y, tone, accent, cloth, blotch = bench
    roll, chance = _dice(numbers)
    row = jnp.argmax(jnp.asarray(_TOPS) == label)
    size = {k: roll(*jnp.asarray(v)[row]) for k, v in _TOP_RANGES.items()}
    has = {k: chance(jnp.asarray(v)[row]) for k, v in _TOP_ODDS.items()}
    u = jnp.abs(x)  # the two halves mirror each other up to the bent coordinates
    top, drop, bottom = roll(0.4, 1.8), roll(1.2, 2.6), size["bottom"]

    # Sleeves: long, short or (in a tank top, say) none.
    style = roll(0, 1)
    long = (style < jnp.asarray(_TOP_ODDS["long"])[row]).astype(jnp.float32)
    short = has["short"] * (1 - long)
    sleeved = jnp.maximum(long, short)
    shoulder = size["shoulder"] * (1 - (1 - sleeved) * roll(0.15, 0.4))
    neck = jnp.minimum(roll(2.2, 3.5), shoulder - 1.5)
    hang = jnp.where(long > 0, roll(22.0, 27.3), roll(7.5, 10.0))
    reach = size["reach"]
    elbow = jnp.where(long > 0, 9.5, 4.8)
    out = jnp.where(long > 0, reach - roll(1.0, 2.2), (reach + shoulder) / 2 + 0.3)
    outer = _beyond(u, y, (top + drop, elbow, hang), (shoulder, out, reach))
    inner = -_beyond(u, y, (7.0, hang), (size["chest"] - 1.6, reach - roll(2.6, 3.8)))
    aim = jnp.where(long > 0, 0.1, 0.75)
    cuff = (aim * (u - reach) + y - hang) * jax.lax.rsqrt(1 + aim**2)
    slope = drop / (shoulder - neck)
    yoke = (top + slope * jnp.maximum(u - neck, 0) - y) * jax.lax.rsqrt(1 + slope**2)
    sleeve = _meet(outer, inner, cuff, yoke, soft=0.8)
    cover = sleeved * _fill(sleeve)
    sheen = roll(-0.08, 0.35)
    image = _paint(jnp.zeros_like(x), cover, cloth * (1 + roll(-0.1, 0.22)))
    knit = has["knit"] * roll(0.15, 0.5)
    image *= 1 - knit * _line(cuff + roll(2.0, 3.2), 0.8)
    image *= 1 + roll(-0.2, 0.2) * _line(cuff + 1.0)

    # Body: the side runs from the shoulder to the hem.
    chest, waist = size["chest"], size["waist"]
    rows = (top + drop, 6.5, 9.5, 15.0, bottom)
    armhole = shoulder + 0.4 * sleeved * (chest - shoulder)  # a tank top is cut out
    widths = (shoulder, armhole, chest, waist, size["hem"])
    side = _beyond(u, y, rows, widths)
    hem = y - bottom - roll(-0.5, 1.0) * (1 - (u / 7) ** 2)
    body = _meet(side, hem, yoke, soft=0.8)
    image *= 1 - roll(0.2, 0.7) * _line(side - 0.5, 0.9) * sleeved
    light = 1 + sheen * (jnp.exp(0.6 * jnp.minimum(side, 0)) - 0.15)
    pleats = jnp.sin(x * roll(1.2, 2.2) * 14 / (y + 4)) * jnp.clip(y / 8 - 1.6, 0, 1)
    light += has["pleats"] * roll(0.05, 0.2) * pleats
    image = _paint(image, _fill(body), cloth * light)
    band = roll(1.5, 2.6)
    image *= 1 - knit * _line(hem + band, 0.8) * _fill(body)
    image *= 1 + roll(-0.15, 0.15) * _line(hem + 1.0)
    belt = has["belt"] * _fill(body) * _line(y - roll(10.5, 13.0), roll(0.8, 1.6))
    image = _paint(image, belt * 0.8, accent)

    # A motif on the chest.
    frame = _meet(u - roll(1.5, 4.2), jnp.abs(y - roll(8, 13)) - roll(0.6, 4.0))
    image = _paint(image, has["motif"] * _fill(frame) * blotch, accent)

    # Neck: an opening, round or pointed, that shows the inside of the back.
    deep = top + roll(1.0, 2.6) + (1 - sleeved) * roll(1.0, 4.0)
    pointed = chance(0.25)
    curve = jnp.where(pointed > 0, u / neck, (u / neck) ** 2)
    opening = has["crew"] * (1 - has["turtle"])
    dip = _meet(y - deep + (deep - top) * curve, u - neck)
    image = _paint(image, opening * _fill(dip), 0.55 * tone * _fill(top + 0.8 - y))
    image *= 1 + opening * roll(-0.45, 0.15) * _line(dip - 0.6)
    roll_neck = _meet(u - neck, -y, y - top - 2.5)
    image = _paint(image, has["turtle"] * _fill(roll_neck), cloth * 1.05)
    image *= 1 - 0.4 * has["turtle"] * _line(y - top - 2.0, 0.7) * _fill(u - neck)

    # Coat: the open front or zip, lapels or a hood, pockets.
    crossing, seam = roll(4.0, 13.0), x - roll(-0.8, 0.8)
    front = _fill(body) * _line(seam, roll(0.6, 1.2)) * _fill(top - y)
    image *= 1 - has["open"] * roll(0.3, 0.9) * front
    double = has["open"] * chance(0.25) * _fill(body) * _fill(crossing - y)
    rivet = _line(jnp.mod(y, 4.0) - 2.0) * _line(jnp.abs(seam) - roll(1.2, 2.4))
    image *= 1 - double * 0.6 * rivet
    lapel = _beyond(u, y, (top, crossing), (neck + 0.6, 0.0))
    flap = has["open"] * (1 - has["hood"]) * _fill(y - crossing) * _fill(body)
    image *= 1 - flap * roll(0.2, 0.6) * _line(lapel, 0.8)
    image *= 1 - flap * roll(0.2, 0.6) * _fill(lapel + roll(1.4, 2.8))
    hood = _meet(_ellipse(x, y - 4.0, roll(4.0, 5.2), roll(3.6, 4.4)), y - top - 4.0)
    image = _paint(image, has["hood"] * _fill(hood), cloth * roll(0.95, 1.15))
    shade = 0.25 * _line(hood + 0.3, 0.8) * _fill(2.5 - y)
    shade += roll(0.3, 0.6) * _fill(_ellipse(x, y - top - 1.2, roll(1.8, 3.2), 1.4))
    image *= 1 - has["hood"] * jnp.minimum(shade, 0.7)
    pocket = _capsule(u, y, (3.0, 18.5), (4.8, roll(16.0, 20.5)), 0.0)
    image *= 1 - has["open"] * chance(0.6) * roll(0.2, 0.6) * _line(pocket, 0.9)

    # Shirt: two collar points, a placket and its buttons.
    collared = has["collar"]
    band = _meet(u - neck + 0.4, top - 0.9 - y, y - top - 2.0)
    image = _paint(image, collared * _fill(band), tone * roll(0.5, 0.8))
    leaf = _meet(u - neck - 0.4, y - top - 1.4 - 0.5 * u, top - 0.8 - y + 0.3 * u)
    gap = _beyond(u, y, (top - 1, top + 2.6), (1.7, 0.0))
    leaf = _meet(leaf, -gap)
    image = _paint(image, collared * _fill(leaf), cloth * roll(1.0, 1.25))
    image *= 1 - collared * roll(0.3, 0.5) * _line(leaf - 0.5, 0.8) * _fill(body)
    placket = collared * _fill(body + 0.3) * _fill(top + 2.0 - y)
    placket *= jnp.where(label == 6, 1.0, _fill(y - top - 7))  # polo shirts
    image *= 1 + placket * roll(0.0, 0.25) * _line(x, 1.6)
    image *= 1 - placket * roll(0.15, 0.45) * _line(x - roll(0.8, 1.3), 0.7)
    spacing = roll(2.8, 4.2)
    button = _line(jnp.mod(y - top, spacing) - spacing / 2) * _line(x, 1.0)
    return image * (1 - roll(0.3, 0.8) * placket * button)


def _trousers(bench: _Bench, label: jax.Array) -> jax.Array:
    """Trousers, [28, 28]."""
    numbers, x, y, _, accent, cloth, _ = bench
    roll, chance = _dice(numbers)
    top, bottom, crotch = roll(-0.3, 0.8), roll(26.5, 28.0), roll(7.0, 10.5)
    shorts = chance(0.06)
    waist, hip = roll(3.6, 4.8), roll(4.6, 5.8)
    knee, ankle, gap = roll(3.9, 5.0), roll(3.2, 5.0), roll(0.3, 1.3)
    hip, knee, ankle = (v + shorts * e for v, e in ((hip, 1), (knee, 3), (ankle, 4)))
    width = roll(2.2, 3.6) + shorts * 2.5
    # In a stride, one leg bends outwards.
    stride = chance(0.3) * roll(0.6, 2.2) * jnp.sin(jnp.clip(y / 9 - 1, 0, 2) * 1.6)
    x = x + jnp.where(x > 0, stride * roll(-1, 1), stride * roll(0, 1))
    u = jnp.abs(x)
    outer = _beyond(u, y, (top, 6.5, 17.0, bottom), (waist, hip, knee, ankle))
    inner = -_beyond(u, y, (crotch, crotch + 5, bottom), (0.0, gap, ankle - width))
    leg = _meet(outer, jnp.where(y < crotch, -1.0, inner), top - y, y - bottom)
    fade = jnp.exp(-((u - knee + 1.8) ** 2) / 2 - ((y - 14) / 8) ** 2)
    light = 1 + roll(-0.1, 0.4) * jnp.exp(0.8 * outer) + roll(-0.25, 0.25) * fade
    image = _paint(jnp.zeros_like(x), _fill(leg), cloth * light)
    image *= 1 - roll(0.1, 0.5) * _line(y - top - roll(1.2, 2.0), 0.7)
    image *= 1 - roll(0.0, 0.5) * _line(x, 0.8) * _fill(y - crotch)
    pocket = _capsule(u, y, (2.6, top + 1.5), (4.6, 5.0), 0.0)
    image *= 1 - roll(0.0, 0.35) * _line(pocket, 0.8)
    image *= 1 - roll(0.0, 0.4) * _line(y - bottom + 1.2, 0.7)
    seam = chance(0.15) * _line(outer + 1.2, 1.0)
    return _paint(image, seam * _fill(leg), accent)


def _shoe(bench: _Bench, label: jax.Array) -> jax.Array:
    """Sneaker or ankle boot, toe to the left, [28, 28]."""
    numbers, x, y, tone, accent, cloth, _ = bench
    roll, chance = _dice(numbers)
    boot = (label == 9).astype(jnp.float32)

    def pick(sneaker: tuple[float, float], ankle: tuple[float, float]) -> jax.Array:
        low, high = (s + boot * (a - s) for s, a in zip(sneaker, ankle, strict=True))
        return roll(low, high)

    heeled = boot * chance(0.35)
    height = pick((8.8, 12.8), (15.5, 22.5)) + heeled * roll(2.0, 5.0)
    x, up = x + 14.0, 14.0 + height / 2 + roll(-0.3, 0.8) - y  # from toe and ground
    lift = boot * jnp.where(heeled > 0, roll(3.5, 8.0), roll(0.8, 2.0))
    toe, tongue = pick((2.8, 4.2), (3.0, 4.6)), pick((14.0, 17.5), (12.5, 16.0))
    instep = height * roll(0.6, 0.75)
    instep = jnp.where(boot > 0, 6.0 + 0.2 * height + 0.5 * lift, instep)
    back = pick((26.0, 27.0), (23.5, 26.8))
    dip = pick((0.6, 0.78), (0.92, 1.0)) * height
    ball, ankle = toe + pick((1.4, 2.4), (1.6, 3.2)), pick((3.8, 4.8), (1.5, 3.0))
    places = (0.0, 2.0, 8.0, tongue - ankle, tongue, tongue + 1.8, tongue + 5.5, back)
    heights = (toe - 1.2, toe + roll(0.0, 1.0), ball, instep)
    heights += (height * 0.97, height, dip, height * roll(0.86, 1.0))
    top = _beyond(up, x, places, heights)
    arch = _beyond(up, x, (0.0, 3.0, 9.0, 18.0, 28.0), (0.9, 0.0, 0.0, lift, lift))
    backs = (back + 0.4, back + 0.4, back - roll(0, 2))
    rear = _beyond(x, up, (0.0, lift + 3, height), backs)
    upper = _meet(top, -arch, rear, 0.2 - x, soft=1.2)
    shade = 1 + roll(-0.25, 0.2) * jnp.exp(0.5 * jnp.maximum(top, rear))
    shade += roll(0.05, 0.18) * jnp.sin(x * 0.3 + up * roll(-0.3, 0.3) + roll(0, 6))
    image = _paint(jnp.zeros_like(x), _fill(upper), cloth * shade)

    # Trims that follow the shape: toe cap, heel patch, collar, laces, stripes.
    inside = _fill(upper + 1.0)
    cap = _beyond(x, up, (0.0, 8.0), (roll(5.0, 8.0), roll(5.0, 9.0)))
    image = _paint(image, inside * chance(0.3) * _fill(cap) * 0.6, accent)
    image *= 1 - roll(0.0, 0.5) * _line(cap, 0.8) * inside
    patch = _beyond(-x, up, (0.0, height), (-roll(19.0, 22.0), -roll(22.0, 25.0)))
    image = _paint(image, inside * chance(0.4) * _fill(patch) * 0.6, accent)
    image *= 1 + roll(-0.5, 0.2) * _line(top + 1.5, 0.8) * _fill(tongue - x)
    laced = chance(0.9 - 0.4 * boot)
    tick = jnp.clip(2 * jnp.sin(roll(1.8, 2.4) * (x + boot * (up - x))), 0, 1)
    eyelets = _line(top + 1.8, 2.0) * _line(x - tongue + 2.0 - boot, 7.0 - 4 * boot)
    image *= 1 - laced * roll(0.2, 0.65) * tick * eyelets
    bars = jnp.clip(3 * jnp.sin((x - up * roll(0.3, 0.9)) * roll(1.4, 2.2)), 0, 1)
    bars *= _line(x - up * 0.5 - roll(10.0, 13.0), roll(2.0, 6.0))
    image = _paint(image, (1 - boot) * chance(0.5) * bars * inside, accent)
    gore = _meet(jnp.abs(x - tongue - 6) - 1 - 0.1 * up, height * roll(0.3, 0.5) - up)
    image = _paint(image, boot * chance(0.3) * _fill(gore) * inside * 0.7, accent)
    zipper = boot * chance(0.3) * _line(x - tongue - roll(4, 8), 0.8) * _fill(7 - up)
    image *= 1 - zipper * roll(0.2, 0.6) * inside
    strap = _line(
        up - roll(0.5, 0.95) * height + roll(-0.2, 0.3) * (x - 18), roll(1, 3)
    )
    image = _paint(image, boot * chance(0.35) * strap * inside * 0.8, accent)

    # Sole and heel.
    sole_tone = jnp.where(chance(0.5) > 0, jnp.clip(accent, 0.25, 1), tone * 1.1)
    thick = pick((1.2, 2.8), (0.7, 2.0)) * (1 - 0.4 * heeled)
    sole = _meet(-arch, arch - thick, x - back - 0.5, 0.2 - x, soft=2.0)
    image *= 1 - roll(0.2, 0.6) * _line(arch - thick - 0.5, 0.8)
    image = _paint(image, _fill(sole), sole_tone)
    tip = back - jnp.where(heeled > 0, roll(1.2, 5.0), roll(5.0, 8.0))
    front = _beyond(-x, up, (0.0, lift + 1), (-tip, 2.0 * heeled - tip))
    stack = _meet(front, rear, -up, up - lift - 1, soft=0.8)
    return _paint(image, boot * _fill(stack), sole_tone)


def _sandal(bench: _Bench, label: jax.Array) -> jax.Array:
    """Sandal, flat, with a wedge or a high heel, toe to the left, [28, 28]."""
    del label
    numbers, x, y, _, accent, cloth, _ = bench
    roll, chance = _dice(numbers)
    style = roll(0, 1)
    flat, wedge = style < 0.5, (style >= 0.5) & (style < 0.65)
    lift = jnp.where(flat, roll(0.0, 1.0), roll(4.0, 12.0))
    thick = jnp.where(wedge, roll(2.0, 3.5), roll(1.0, 2.0))
    shaft = jnp.where(flat, roll(3.5, 8.0), roll(5.0, 11.0))
    shaft = jnp.minimum(shaft, 24.5 - lift)
    x, up = x + 14.0, jnp.minimum(16.5 + (lift + shaft) / 2, 27.0) - y
    heel = thick + lift  # height of the footbed under the heel
    profile = (thick - 0.4, thick, thick + 0.3 * lift, heel - 0.06 * lift, heel)
    bed = _beyond(up, x, (0.0, 8.0, 13.0, 20.0, 27.0), profile)
    ends = jnp.maximum(-x, x - 27.2)
    sole = _meet(bed, jnp.where(wedge, -up, -bed - thick), ends, soft=0.8)
    foot, neck = roll(0.9, 4.5), roll(0.8, 2.5)
    stem = _beyond(-x, up, (0.0, lift + 0.3), (foot - 26.8, foot + neck - 26.8))
    stem = _meet(stem, x - 26.8, -up, bed, soft=0.8)
    sole_tone = jnp.clip(accent, 0.35, 1.0) * (1 + roll(-0.2, 0.2) * jnp.sin(up * 2))
    cover = jnp.maximum(_fill(sole), jnp.where(flat | wedge, 0.0, _fill(stem)))
    image = _paint(jnp.zeros_like(x), cover, sole_tone)
    image *= 1 - roll(0.0, 0.6) * _line(bed + 1.0, 0.8)

    # Straps: arches over the toes, then over the heel and around the ankle.
    above = _fill(-bed - 0.3)
    leather = cloth * roll(0.85, 1.25)

    def strap(image: jax.Array, distance: jax.Array, odds: float) -> jax.Array:
        return _paint(image, chance(odds) * _fill(distance) * above, leather)

    for place, odds in ((4.5, 1.0), (7.5, 0.6), (11.0, 0.45)):
        at = place + roll(-1.5, 1.5)
        base = thick + jnp.clip((at - 8) / 12, 0, 1) * lift
        lean = roll(-0.1, 0.9) * (up - base)
        arch = _ellipse(x - at - lean, up - base, roll(2.6, 5.6), roll(2.4, 4.8))
        ring = jnp.abs(arch + 0.7) - roll(0.4, 1.2)
        image = strap(image, jnp.where(roll(0, 1) < 0.4, arch, ring), odds)
    ankle, width = (roll(21.5, 24.5), heel + shaft), roll(0.6, 1.5)
    low = (roll(10.0, 15.0), thick + 0.3 * lift)
    image = strap(image, _capsule(x, up, low, ankle, width), jnp.where(flat, 0.6, 0.25))
    closed = chance(0.85)  # a strap around the ankle hangs on the one at the heel
    image = strap(image, _capsule(x, up, (25.8, heel), ankle, width), closed)
    image = strap(image, _capsule(x, up, (20.0, heel), ankle, width), 0.3 * closed)
    counter = _meet(_ellipse(x - 26, up - heel, roll(2, 5), roll(2, 6)), x - 27.0)
    image = strap(image, counter, 0.35)
    front = (ankle[0] - roll(3.0, 6.0), ankle[1] - roll(-0.5, 2.5))
    return strap(image, _capsule(x, up, front, ankle, width), 0.75 * closed)


def _bag(bench: _Bench, label: jax.Array) -> jax.Array:
    """Bag, with or without handles, [28, 28]."""
    numbers, x, y, tone, accent, cloth, _ = bench
    roll, chance = _dice(numbers)
    u = jnp.abs(x)
    style = roll(0, 1)  # clutch below 0.35, hoop below 0.8, then a pointed strap
    clutch, hoop = style < 0.35, style < 0.8
    tall = jnp.where(clutch, roll(13.0, 22.0), roll(13.0, 19.0))
    bottom = jnp.where(clutch, 14.0 + tall / 2, roll(25.5, 27.5))
    top = bottom - tall
    low = jnp.where(clutch, roll(11.5, 13.6), roll(9.0, 13.7))
    high = low + jnp.where(clutch, roll(-1.0, 0.3), roll(-4.0, 1.5))
    side = _beyond(u, y, (top, bottom), (high, low))
    bulge = roll(0.0, 1.2) * (1 - (u / low) ** 2)
    body = _meet(side, top - y - bulge, y - bottom - 0.3 * bulge, soft=roll(0.5, 5.0))

    # The handle goes behind the body.
    span, reach = roll(2.5, 6.0), jnp.maximum(top - roll(0.3, 2.0), 3.0)
    width = roll(0.45, 0.9)
    ring = jnp.abs(_ellipse(x, y - top - 1, span, reach)) - width
    peak = (roll(-0.6, 0.6), top - reach)
    cord = _capsule(u, y, (jnp.minimum(span + 3, high - 0.5), top + 1), peak, width)
    handle = jnp.where(clutch, 9.0, jnp.where(hoop, ring, cord))
    image = _paint(jnp.zeros_like(x), _fill(handle), accent * 0.4 + tone * 0.6)
    loop = jnp.abs(_ellipse(u - high, y - top - 5, 1.6, roll(4.0, 6.5))) - 0.5
    image = _paint(image, clutch * chance(0.5) * _fill(loop), tone)
    light = 1 + roll(-0.2, 0.25) * jnp.exp(0.5 * body)
    light += roll(-0.15, 0.15) * ((y - top) / tall - 0.5)
    image = _paint(image, _fill(body), cloth * light)

    # Seams, flap, clasp, pocket, zip.
    inside = _fill(body + 0.8)
    image *= 1 - roll(0.0, 0.5) * _line(body + roll(1.2, 2.0), 0.8)
    flap = y - top - roll(0.3, 0.7) * tall + roll(0.0, 4.0) * (u / low) ** 2
    image *= 1 + chance(0.55) * roll(-0.1, 0.2) * _fill(flap) * inside
    image *= 1 - chance(0.6) * roll(0.3, 0.7) * _line(flap, 0.8) * inside
    clasp = _meet(u - roll(0.5, 1.6), jnp.abs(flap + 0.3) - roll(0.5, 1.0))
    image = _paint(image, chance(0.5) * _fill(clasp), jnp.where(tone > 0.5, 0.15, 0.95))
    pocket = _meet(u - roll(3.0, 7.0), top + roll(5.0, 8.0) - y, y - bottom + 2)
    image *= 1 - chance(0.3) * roll(0.3, 0.6) * _line(pocket, 0.8) * inside
    image *= 1 - chance(0.5) * roll(0.3, 0.6) * _line(y - top - 2.0, 0.8) * inside
    strip = _line(u - roll(3.0, 7.0), roll(0.8, 1.4)) * inside
    return _paint(image, chance(0.25) * strip, accent)


def draw(key: jax.Array, label: int | jax.Array) -> jax.Array:
    """Draws one garment.

    Args:
      key: a JAX random key; equal keys draw equal images.
      label: int32 scalar, an index into ``CLASS_NAMES``. Under ``vmap``, a label that
        is shared by the batch (``in_axes=(0, None)``) draws one class only; a batch of
        labels is allowed, but costs the drawing of every kind of garment.

    Returns:
      float32 [28, 28, 1] in [0, 1]; the background is exactly 0.
    """
    label = jnp.asarray(label, jnp.int32)
    kinds = (_top, _trousers, _shoe, _sandal, _bag)
    kind = jnp.asarray((0, 1, 0, 0, 0, 3, 0, 2, 4, 2))[label]
    image = jax.lax.switch(kind, kinds, _bench(key, label), label)
    # Like film, highlights bend towards 1 instead of being cut off.
    image = jnp.maximum(image, 0.0)
    return (image / jnp.sqrt(jnp.sqrt(jnp.sqrt(1.0 + image**8))))[:, :, None]


@jax.jit
def _draw_chunk(root: jax.Array, places: jax.Array, label: jax.Array) -> jax.Array:
    """Images uint8 [n, 28, 28, 1] of one class, at ``places`` [n] of the data set."""
    keys = jax.vmap(lambda i: jax.random.fold_in(root, i))(places)
    images = jax.vmap(draw, in_axes=(0, None))(keys, label)
    return jnp.round(images * 255).astype(jnp.uint8)


def make(seed: int, size: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Draws a balanced, shuffled split; another split is another seed.

    Image i and its label depend on the seed and i only, so a smaller data set is the
    beginning of a larger one.

    Args:
      seed: of everything random in it.
      size: number of images.

    Returns:
      Images uint8 [size, 28, 28, 1] and labels int32 [size], whose counts differ by at
      most one.
    """
    # Each block of ten is a shuffle of the ten classes.
    order = np.random.default_rng(seed).random((-(-size // 10), 10))
    labels = order.argsort(axis=1).ravel()[:size].astype(np.int32)
    root = jax.random.key(seed)
    images = np.empty((size, _SIZE, _SIZE, 1), np.uint8)
    for label in range(len(CLASS_NAMES)):
        places = np.flatnonzero(labels == label)
        for start in range(0, len(places), _CHUNK):
            part = places[start : start + _CHUNK]
            padded = np.resize(part, _CHUNK)  # one shape, so one compilation
            images[part] = _draw_chunk(root, padded, label)[: len(part)]
    return images, labels

"""T-shirts, pullovers, dresses, coats and shirts; trousers."""

import jax
import jax.numpy as jnp

from gan_jax.data.garments.cloth import Bench, dice
from gan_jax.data.garments.shapes import (
    beyond,
    capsule,
    ellipse,
    fill,
    line,
    meet,
    paint,
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


def draw_top(bench: Bench, label: jax.Array) -> jax.Array:
    """T-shirt, pullover, dress, coat or shirt, [28, 28]."""
    numbers, x, y, tone, accent, cloth, blotch = bench
    roll, chance = dice(numbers)
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
    outer = beyond(u, y, (top + drop, elbow, hang), (shoulder, out, reach))
    inner = -beyond(u, y, (7.0, hang), (size["chest"] - 1.6, reach - roll(2.6, 3.8)))
    aim = jnp.where(long > 0, 0.1, 0.75)
    cuff = (aim * (u - reach) + y - hang) * jax.lax.rsqrt(1 + aim**2)
    slope = drop / (shoulder - neck)
    yoke = (top + slope * jnp.maximum(u - neck, 0) - y) * jax.lax.rsqrt(1 + slope**2)
    sleeve = meet(outer, inner, cuff, yoke, soft=0.8)
    cover = sleeved * fill(sleeve)
    sheen = roll(-0.08, 0.35)
    image = paint(jnp.zeros_like(x), cover, cloth * (1 + roll(-0.1, 0.22)))
    knit = has["knit"] * roll(0.15, 0.5)
    image *= 1 - knit * line(cuff + roll(2.0, 3.2), 0.8)
    image *= 1 + roll(-0.2, 0.2) * line(cuff + 1.0)

    # Body: the side runs from the shoulder to the hem.
    chest, waist = size["chest"], size["waist"]
    rows = (top + drop, 6.5, 9.5, 15.0, bottom)
    armhole = shoulder + 0.4 * sleeved * (chest - shoulder)  # a tank top is cut out
    widths = (shoulder, armhole, chest, waist, size["hem"])
    side = beyond(u, y, rows, widths)
    hem = y - bottom - roll(-0.5, 1.0) * (1 - (u / 7) ** 2)
    body = meet(side, hem, yoke, soft=0.8)
    image *= 1 - roll(0.2, 0.7) * line(side - 0.5, 0.9) * sleeved
    light = 1 + sheen * (jnp.exp(0.6 * jnp.minimum(side, 0)) - 0.15)
    pleats = jnp.sin(x * roll(1.2, 2.2) * 14 / (y + 4)) * jnp.clip(y / 8 - 1.6, 0, 1)
    light += has["pleats"] * roll(0.05, 0.2) * pleats
    image = paint(image, fill(body), cloth * light)
    band = roll(1.5, 2.6)
    image *= 1 - knit * line(hem + band, 0.8) * fill(body)
    image *= 1 + roll(-0.15, 0.15) * line(hem + 1.0)
    belt = has["belt"] * fill(body) * line(y - roll(10.5, 13.0), roll(0.8, 1.6))
    image = paint(image, belt * 0.8, accent)

    # A motif on the chest.
    frame = meet(u - roll(1.5, 4.2), jnp.abs(y - roll(8, 13)) - roll(0.6, 4.0))
    image = paint(image, has["motif"] * fill(frame) * blotch, accent)

    # Neck: an opening, round or pointed, that shows the inside of the back.
    deep = top + roll(1.0, 2.6) + (1 - sleeved) * roll(1.0, 4.0)
    pointed = chance(0.25)
    curve = jnp.where(pointed > 0, u / neck, (u / neck) ** 2)
    opening = has["crew"] * (1 - has["turtle"])
    dip = meet(y - deep + (deep - top) * curve, u - neck)
    image = paint(image, opening * fill(dip), 0.55 * tone * fill(top + 0.8 - y))
    image *= 1 + opening * roll(-0.45, 0.15) * line(dip - 0.6)
    roll_neck = meet(u - neck, -y, y - top - 2.5)
    image = paint(image, has["turtle"] * fill(roll_neck), cloth * 1.05)
    image *= 1 - 0.4 * has["turtle"] * line(y - top - 2.0, 0.7) * fill(u - neck)

    # Coat: the open front or zip, lapels or a hood, pockets.
    crossing, seam = roll(4.0, 13.0), x - roll(-0.8, 0.8)
    front = fill(body) * line(seam, roll(0.6, 1.2)) * fill(top - y)
    image *= 1 - has["open"] * roll(0.3, 0.9) * front
    double = has["open"] * chance(0.25) * fill(body) * fill(crossing - y)
    rivet = line(jnp.mod(y, 4.0) - 2.0) * line(jnp.abs(seam) - roll(1.2, 2.4))
    image *= 1 - double * 0.6 * rivet
    lapel = beyond(u, y, (top, crossing), (neck + 0.6, 0.0))
    flap = has["open"] * (1 - has["hood"]) * fill(y - crossing) * fill(body)
    image *= 1 - flap * roll(0.2, 0.6) * line(lapel, 0.8)
    image *= 1 - flap * roll(0.2, 0.6) * fill(lapel + roll(1.4, 2.8))
    hood = meet(ellipse(x, y - 4.0, roll(4.0, 5.2), roll(3.6, 4.4)), y - top - 4.0)
    image = paint(image, has["hood"] * fill(hood), cloth * roll(0.95, 1.15))
    shade = 0.25 * line(hood + 0.3, 0.8) * fill(2.5 - y)
    shade += roll(0.3, 0.6) * fill(ellipse(x, y - top - 1.2, roll(1.8, 3.2), 1.4))
    image *= 1 - has["hood"] * jnp.minimum(shade, 0.7)
    pocket = capsule(u, y, (3.0, 18.5), (4.8, roll(16.0, 20.5)), 0.0)
    image *= 1 - has["open"] * chance(0.6) * roll(0.2, 0.6) * line(pocket, 0.9)

    # Shirt: two collar points, a placket and its buttons.
    collared = has["collar"]
    band = meet(u - neck + 0.4, top - 0.9 - y, y - top - 2.0)
    image = paint(image, collared * fill(band), tone * roll(0.5, 0.8))
    leaf = meet(u - neck - 0.4, y - top - 1.4 - 0.5 * u, top - 0.8 - y + 0.3 * u)
    gap = beyond(u, y, (top - 1, top + 2.6), (1.7, 0.0))
    leaf = meet(leaf, -gap)
    image = paint(image, collared * fill(leaf), cloth * roll(1.0, 1.25))
    image *= 1 - collared * roll(0.3, 0.5) * line(leaf - 0.5, 0.8) * fill(body)
    placket = collared * fill(body + 0.3) * fill(top + 2.0 - y)
    placket *= jnp.where(label == 6, 1.0, fill(y - top - 7))  # polo shirts
    image *= 1 + placket * roll(0.0, 0.25) * line(x, 1.6)
    image *= 1 - placket * roll(0.15, 0.45) * line(x - roll(0.8, 1.3), 0.7)
    spacing = roll(2.8, 4.2)
    button = line(jnp.mod(y - top, spacing) - spacing / 2) * line(x, 1.0)
    return image * (1 - roll(0.3, 0.8) * placket * button)


def draw_trousers(bench: Bench, label: jax.Array) -> jax.Array:
    """Trousers, [28, 28]."""
    numbers, x, y, _, accent, cloth, _ = bench
    roll, chance = dice(numbers)
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
    outer = beyond(u, y, (top, 6.5, 17.0, bottom), (waist, hip, knee, ankle))
    inner = -beyond(u, y, (crotch, crotch + 5, bottom), (0.0, gap, ankle - width))
    leg = meet(outer, jnp.where(y < crotch, -1.0, inner), top - y, y - bottom)
    fade = jnp.exp(-((u - knee + 1.8) ** 2) / 2 - ((y - 14) / 8) ** 2)
    light = 1 + roll(-0.1, 0.4) * jnp.exp(0.8 * outer) + roll(-0.25, 0.25) * fade
    image = paint(jnp.zeros_like(x), fill(leg), cloth * light)
    image *= 1 - roll(0.1, 0.5) * line(y - top - roll(1.2, 2.0), 0.7)
    image *= 1 - roll(0.0, 0.5) * line(x, 0.8) * fill(y - crotch)
    pocket = capsule(u, y, (2.6, top + 1.5), (4.6, 5.0), 0.0)
    image *= 1 - roll(0.0, 0.35) * line(pocket, 0.8)
    image *= 1 - roll(0.0, 0.4) * line(y - bottom + 1.2, 0.7)
    seam = chance(0.15) * line(outer + 1.2, 1.0)
    return paint(image, seam * fill(leg), accent)

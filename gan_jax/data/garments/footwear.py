"""Sneakers, ankle boots and sandals."""

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


def draw_shoe(bench: Bench, label: jax.Array) -> jax.Array:
    """Sneaker or ankle boot, toe to the left, [28, 28]."""
    numbers, x, y, tone, accent, cloth, _ = bench
    roll, chance = dice(numbers)
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
    top = beyond(up, x, places, heights)
    arch = beyond(up, x, (0.0, 3.0, 9.0, 18.0, 28.0), (0.9, 0.0, 0.0, lift, lift))
    backs = (back + 0.4, back + 0.4, back - roll(0, 2))
    rear = beyond(x, up, (0.0, lift + 3, height), backs)
    upper = meet(top, -arch, rear, 0.2 - x, soft=1.2)
    shade = 1 + roll(-0.25, 0.2) * jnp.exp(0.5 * jnp.maximum(top, rear))
    shade += roll(0.05, 0.18) * jnp.sin(x * 0.3 + up * roll(-0.3, 0.3) + roll(0, 6))
    image = paint(jnp.zeros_like(x), fill(upper), cloth * shade)

    # Trims that follow the shape: toe cap, heel patch, collar, laces, stripes.
    inside = fill(upper + 1.0)
    cap = beyond(x, up, (0.0, 8.0), (roll(5.0, 8.0), roll(5.0, 9.0)))
    image = paint(image, inside * chance(0.3) * fill(cap) * 0.6, accent)
    image *= 1 - roll(0.0, 0.5) * line(cap, 0.8) * inside
    patch = beyond(-x, up, (0.0, height), (-roll(19.0, 22.0), -roll(22.0, 25.0)))
    image = paint(image, inside * chance(0.4) * fill(patch) * 0.6, accent)
    image *= 1 + roll(-0.5, 0.2) * line(top + 1.5, 0.8) * fill(tongue - x)
    laced = chance(0.9 - 0.4 * boot)
    tick = jnp.clip(2 * jnp.sin(roll(1.8, 2.4) * (x + boot * (up - x))), 0, 1)
    eyelets = line(top + 1.8, 2.0) * line(x - tongue + 2.0 - boot, 7.0 - 4 * boot)
    image *= 1 - laced * roll(0.2, 0.65) * tick * eyelets
    bars = jnp.clip(3 * jnp.sin((x - up * roll(0.3, 0.9)) * roll(1.4, 2.2)), 0, 1)
    bars *= line(x - up * 0.5 - roll(10.0, 13.0), roll(2.0, 6.0))
    image = paint(image, (1 - boot) * chance(0.5) * bars * inside, accent)
    gore = meet(jnp.abs(x - tongue - 6) - 1 - 0.1 * up, height * roll(0.3, 0.5) - up)
    image = paint(image, boot * chance(0.3) * fill(gore) * inside * 0.7, accent)
    zipper = boot * chance(0.3) * line(x - tongue - roll(4, 8), 0.8) * fill(7 - up)
    image *= 1 - zipper * roll(0.2, 0.6) * inside
    strap = line(up - roll(0.5, 0.95) * height + roll(-0.2, 0.3) * (x - 18), roll(1, 3))
    image = paint(image, boot * chance(0.35) * strap * inside * 0.8, accent)

    # Sole and heel.
    sole_tone = jnp.where(chance(0.5) > 0, jnp.clip(accent, 0.25, 1), tone * 1.1)
    thick = pick((1.2, 2.8), (0.7, 2.0)) * (1 - 0.4 * heeled)
    sole = meet(-arch, arch - thick, x - back - 0.5, 0.2 - x, soft=2.0)
    image *= 1 - roll(0.2, 0.6) * line(arch - thick - 0.5, 0.8)
    image = paint(image, fill(sole), sole_tone)
    tip = back - jnp.where(heeled > 0, roll(1.2, 5.0), roll(5.0, 8.0))
    front = beyond(-x, up, (0.0, lift + 1), (-tip, 2.0 * heeled - tip))
    stack = meet(front, rear, -up, up - lift - 1, soft=0.8)
    return paint(image, boot * fill(stack), sole_tone)


def draw_sandal(bench: Bench, label: jax.Array) -> jax.Array:
    """Sandal, flat, with a wedge or a high heel, toe to the left, [28, 28]."""
    del label
    numbers, x, y, _, accent, cloth, _ = bench
    roll, chance = dice(numbers)
    style = roll(0, 1)
    flat, wedge = style < 0.5, (style >= 0.5) & (style < 0.65)
    lift = jnp.where(flat, roll(0.0, 1.0), roll(4.0, 12.0))
    thick = jnp.where(wedge, roll(2.0, 3.5), roll(1.0, 2.0))
    shaft = jnp.where(flat, roll(3.5, 8.0), roll(5.0, 11.0))
    shaft = jnp.minimum(shaft, 24.5 - lift)
    x, up = x + 14.0, jnp.minimum(16.5 + (lift + shaft) / 2, 27.0) - y
    heel = thick + lift  # height of the footbed under the heel
    profile = (thick - 0.4, thick, thick + 0.3 * lift, heel - 0.06 * lift, heel)
    bed = beyond(up, x, (0.0, 8.0, 13.0, 20.0, 27.0), profile)
    ends = jnp.maximum(-x, x - 27.2)
    sole = meet(bed, jnp.where(wedge, -up, -bed - thick), ends, soft=0.8)
    foot, neck = roll(0.9, 4.5), roll(0.8, 2.5)
    stem = beyond(-x, up, (0.0, lift + 0.3), (foot - 26.8, foot + neck - 26.8))
    stem = meet(stem, x - 26.8, -up, bed, soft=0.8)
    sole_tone = jnp.clip(accent, 0.35, 1.0) * (1 + roll(-0.2, 0.2) * jnp.sin(up * 2))
    cover = jnp.maximum(fill(sole), jnp.where(flat | wedge, 0.0, fill(stem)))
    image = paint(jnp.zeros_like(x), cover, sole_tone)
    image *= 1 - roll(0.0, 0.6) * line(bed + 1.0, 0.8)

    # Straps: arches over the toes, then over the heel and around the ankle.
    above = fill(-bed - 0.3)
    leather = cloth * roll(0.85, 1.25)

    def strap(image: jax.Array, distance: jax.Array, odds: float) -> jax.Array:
        return paint(image, chance(odds) * fill(distance) * above, leather)

    for place, odds in ((4.5, 1.0), (7.5, 0.6), (11.0, 0.45)):
        at = place + roll(-1.5, 1.5)
        base = thick + jnp.clip((at - 8) / 12, 0, 1) * lift
        lean = roll(-0.1, 0.9) * (up - base)
        arch = ellipse(x - at - lean, up - base, roll(2.6, 5.6), roll(2.4, 4.8))
        ring = jnp.abs(arch + 0.7) - roll(0.4, 1.2)
        image = strap(image, jnp.where(roll(0, 1) < 0.4, arch, ring), odds)
    ankle, width = (roll(21.5, 24.5), heel + shaft), roll(0.6, 1.5)
    low = (roll(10.0, 15.0), thick + 0.3 * lift)
    image = strap(image, capsule(x, up, low, ankle, width), jnp.where(flat, 0.6, 0.25))
    closed = chance(0.85)  # a strap around the ankle hangs on the one at the heel
    image = strap(image, capsule(x, up, (25.8, heel), ankle, width), closed)
    image = strap(image, capsule(x, up, (20.0, heel), ankle, width), 0.3 * closed)
    counter = meet(ellipse(x - 26, up - heel, roll(2, 5), roll(2, 6)), x - 27.0)
    image = strap(image, counter, 0.35)
    front = (ankle[0] - roll(3.0, 6.0), ankle[1] - roll(-0.5, 2.5))
    return strap(image, capsule(x, up, front, ankle, width), 0.75 * closed)

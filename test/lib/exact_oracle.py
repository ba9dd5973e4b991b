#!/usr/bin/env python3
"""Adversarial inputs for the exact aggregates, and the only right answers.

usage: exact_oracle.py SEED DIRECTORY

Writes into DIRECTORY files for COPY, text format:

    <kind>.data   id, g, fits, value, or id, g, fits, y, x for pairs
    <kind>.want   g, family, exact, stats   (exact is empty for pairs)

with the kinds f8 f4 i2 i4 i8, named for their types, and the pairs pair (both
float8), ipair (both bigint), iypair and ixpair (y or x is bigint);
it prints how many inputs and groups each kind has.  "exact" and "stats" are
arrays of bytea: the answer's bits as float8send gives them, NULL for a null
answer, an empty bytea where the rounded answer does not fit and the server has
to raise an error.  "fits" has a bit set for each answer of the row's group that
is no such error: bits 0 to 5 for "exact", from 6 on for "stats".

How the answers come about: every finite float8 is an integer times 2^-1074, so
sums, sums of squares and sums of products are kept as Python integers, which
cannot round.  The result is then one fraction, or the square root of one, and
it is rounded once, half to even, by integer arithmetic alone (round_ratio and
round_sqrt).  No floating-point operation takes part.  check_oracle compares
this with the fractions module and with Python's own division, value by value.

Each family of groups is there for one way in which a summing algorithm fails;
the functions named family_* say which.
"""

import math
import os
import random
import struct
import sys
from fractions import Fraction

SCALE = 1074  # every finite float8 is an integer times 2^-SCALE
DBL_MAX = sys.float_info.max
TINY = 5e-324
OVERFLOW = b""

# (significand bits, exponent of the smallest unit, exponent of the largest unit)
FLOAT8 = (53, -1074, 971)
FLOAT4 = (24, -149, 104)


class Overflow(Exception):
    """The rounded answer does not fit."""


# ---------------------------------------------------------------- rounding


def assemble(negative, units, exponent, fmt):
    """units * 2^exponent as a float, units already rounded to fmt."""
    bits, _, top = fmt
    if units.bit_length() > bits:  # a carry out of the rounding: a power of two
        units >>= 1
        exponent += 1
    if units and exponent > top:
        raise Overflow
    value = math.ldexp(units, exponent)  # exact: it fits
    return -value if negative else value


def half_even(floor2, inexact):
    """Rounds floor2 / 2, of which floor2 is the floor and inexact the rest."""
    units, half = divmod(floor2, 2)
    if half and (inexact or units & 1):
        units += 1
    return units


def unit_exponent(magnitude, fmt):
    """The exponent of the unit in which a value of [2^magnitude, 2^(magnitude+1)) is rounded."""
    bits, least, _ = fmt
    return max(magnitude - bits + 1, least)


def round_ratio(value, fmt=FLOAT8):
    """The float nearest to a Fraction."""
    n, d = abs(value.numerator), value.denominator
    if n == 0:
        return 0.0
    magnitude = n.bit_length() - d.bit_length()
    if (n << max(0, -magnitude)) < (d << max(0, magnitude)):
        magnitude -= 1
    e = unit_exponent(magnitude, fmt)
    floor2, rest = divmod(n << max(0, 1 - e), d << max(0, e - 1))
    return assemble(value < 0, half_even(floor2, rest != 0), e, fmt)


def round_sqrt(value, fmt=FLOAT8):
    """The float nearest to the square root of a non-negative Fraction."""
    n, d = value.numerator, value.denominator
    if n == 0:
        return 0.0
    # floor(sqrt) of a value scaled so that the root has hundreds of bits tells the magnitude
    shift = max(0, d.bit_length() - n.bit_length() + 400) // 2
    magnitude = math.isqrt((n << (2 * shift)) // d).bit_length() - 1 - shift
    e = unit_exponent(magnitude, fmt)
    # root / 2^(e-1), floored; exact where its square gives the scaled ratio back
    n, d = n << max(0, 2 - 2 * e), d << max(0, 2 * e - 2)
    floor2 = math.isqrt(n // d)
    return assemble(False, half_even(floor2, floor2 * floor2 * d != n), e, fmt)


# ---------------------------------------------------------------- inputs


def f4(x):
    """The float4 nearest to x; out of range becomes the largest."""
    try:
        return struct.unpack("f", struct.pack("f", x))[0]
    except OverflowError:
        return math.copysign(math.ldexp((1 << 24) - 1, 104), x)


def any_finite8(r):
    """A random finite bit pattern: every exponent is equally likely."""
    while True:
        x = struct.unpack("d", struct.pack("Q", r.getrandbits(64)))[0]
        if math.isfinite(x):
            return x


def any_finite4(r):
    while True:
        x = struct.unpack("f", struct.pack("I", r.getrandbits(32)))[0]
        if math.isfinite(x):
            return x


def family_money(r, n):
    """What people store: two decimals, none of them representable."""
    return [round(r.uniform(-5000, 20000), 2) for _ in range(n)]


def family_patterns(r, n):
    """Any finite bits, kept low enough that sums fit: the whole exponent range."""
    return [math.ldexp(any_finite8(r), -r.randint(0, 60) - 40) for _ in range(n)]


def family_patterns_small(r, n):
    """The same between 1e-120 and 1e+120: variances fit as well."""
    return [math.ldexp(r.uniform(-1, 1), r.randint(-400, 400)) for _ in range(n)]


def family_cancel(r, n):
    """Huge values that cancel and leave a few small ones."""
    big = [r.choice([1e308, 1.5e308, DBL_MAX, 1e300, 2.0**1000]) for _ in range(n // 3)]
    xs = big + [-x for x in big]
    xs += [r.choice([1.0, 0.1, TINY, -3 * TINY, 1e-300, 1e16]) for _ in range(n - len(xs))]
    return xs


def family_cancel_all(r, n):
    """Everything cancels: the sum is +0, whatever came between."""
    xs = family_patterns(r, n // 2)
    return xs + [-x for x in xs]


def family_near_overflow(r, n):
    """Partial sums overflow, or nearly, the whole sum lies around the largest float8."""
    xs = [DBL_MAX] * r.randint(1, 4)
    xs += [-DBL_MAX] * (len(xs) - 1)
    half_ulp = 2.0**969
    xs += [half_ulp] * r.randint(0, 2)
    xs += [r.choice([-1, 1]) * r.choice([TINY, 1.0, 2.0**900]) for _ in range(r.randint(0, 2))]
    return xs


def family_overflow(r, n):
    """The sum does not fit; the mean of it may."""
    return [r.choice([DBL_MAX, 1.7e308]) for _ in range(2 + n % 7)]


def family_big_variance(r, n):
    """Sums fit, variances do not, standard deviations do."""
    return [r.choice([-1, 1]) * r.uniform(1e160, 1e300) for _ in range(n)]


def family_subnormal(r, n):
    return [r.choice([-1, 1]) * TINY * r.getrandbits(r.randint(1, 52)) for _ in range(n)]


def family_tiny(r, n):
    """Means fall below the smallest unit, variances underflow, deviations do not."""
    return [r.choice([0.0, TINY, TINY, -TINY, 2 * TINY, 1e-200, -1e-200]) for _ in range(n)]


def family_zeros(r, n):
    return [r.choice([0.0, -0.0]) for _ in range(n)]


def family_negative_zeros(r, n):
    return [-0.0] * n


def family_ties(r, n):
    """The sum is half-way between two floats, or off that by far less than a float sees."""
    e = r.randint(-900, 900)
    one = math.ldexp(r.getrandbits(52) | 1 << 52, e)
    xs = [one, math.ldexp(0.5, e)]
    for _ in range(n - 2):
        noise = math.ldexp(r.random(), r.randint(-1000, e - 80))
        xs += [noise, -noise]
    sticky = r.choice([0.0, TINY, -TINY, math.ldexp(1, e - 70), -math.ldexp(1, e - 70)])
    return xs + [sticky]


def family_split_ties(r, n):
    """The half-way sum, its parts cut to pieces."""
    e = r.randint(-500, 500)
    total = (r.getrandbits(53) | 1 << 53) | 1
    xs = [math.ldexp(total >> 1 << 1, e), math.ldexp(1, e)]
    while len(xs) < n:
        x = xs.pop(r.randrange(len(xs)))
        part = x * r.choice([0.5, 0.25, 0.75, 1.5])
        part = math.ldexp(math.floor(math.ldexp(part, -e)), e)
        rest = Fraction(x) - Fraction(part)
        if part == 0 or Fraction(float(rest)) != rest:
            return xs + [x]
        xs += [part, float(rest)]
    return xs


def family_equal(r, n):
    """One value throughout: the variance is exactly 0, which naive sums miss."""
    x = r.choice([0.1, 1 / 3, 1e15 + 0.3, -7.7e-310, 1e300, any_finite8(r) / 1e30])
    return [x] * n


def family_ulps(r, n):
    """Neighbours of one value: squares differ only beyond double precision."""
    x = r.choice([1.0, 1e9 + 0.1, 1e15, 3e-200, 1e100])
    return [x + r.randint(-3, 3) * math.ulp(x) for _ in range(n)]


def family_offset(r, n):
    """A large mean, a small spread."""
    mean = r.choice([1e8, 1e12, -1e15])
    return [mean + r.gauss(0, 1) for _ in range(n)]


def family_integers(r, n):
    """Integers around 2^53."""
    return [float(r.choice([-1, 1]) * (2**53 + r.randint(-4, 4))) for _ in range(n)]


def family_carries(r, n):
    """All ones, alternating in sign by runs: carries and borrows run through every limb."""
    e = r.randint(-900, 800)
    ones = math.ldexp((1 << 53) - 1, e)
    xs = []
    while len(xs) < n:
        xs += [r.choice([-1, 1]) * math.ldexp(ones, -32 * r.randint(0, 4))] * r.randint(1, 40)
    return xs[:n]


def family_special(r, n):
    """NaN and infinities among ordinary values."""
    pick = r.choice([[math.nan], [math.inf], [-math.inf], [math.inf, -math.inf],
                     [math.nan, math.inf]])
    xs = family_patterns_small(r, n)
    for _ in range(r.randint(1, 3)):
        for x in pick:
            xs.insert(r.randrange(len(xs) + 1), x)
    return xs


def family_only_special(r, n):
    return [r.choice([math.nan, math.inf, -math.inf]) for _ in range(1 + n % 3)]


def family_nulls(r, n):
    """NULL among the values, in some groups nothing else."""
    density = r.choice([0.2, 0.9, 1.0])
    return [None if r.random() < density else x for x in family_money(r, n)]


FAMILIES = [f for name, f in sorted(globals().items()) if name.startswith("family_")]


def sizes(r, small, large):
    """Group sizes: mostly small, ones and twos among them, some beyond any buffer."""
    for _ in range(small):
        yield r.choice([1, 2, 3, r.randint(4, 40), r.randint(4, 40), r.randint(41, 300)])
    for _ in range(large):
        yield r.randint(1000, 4000)


def float_groups(r, small, large, convert):
    for family in FAMILIES:
        for n in sizes(r, small, large):
            xs = [x if x is None else convert(x) for x in family(r, n)]
            if xs:
                r.shuffle(xs)
                yield family.__name__[7:], xs


def float4_scaled(x):
    """A float8 family's value moved into the range of float4."""
    if x == 0 or not math.isfinite(x):
        return x
    m, e = math.frexp(x)
    return f4(math.ldexp(m, max(-160, min(128, e if abs(e) < 130 else e // 8))))


def float4_groups(r, small):
    """The families in float4, and what only float4 has: sums at its own limits and ties."""
    yield from float_groups(r, small, 0, float4_scaled)
    most = f4(math.ldexp((1 << 24) - 1, 104))
    for _ in range(small):
        yield "patterns4", [any_finite4(r) for _ in range(r.randint(1, 200))]
        half_ulp = math.ldexp(1.0, 103)
        for halves in range(3):
            yield "near_overflow4", ([most, -most, most] + [half_ulp] * halves
                                     + [r.choice([-1, 1]) * math.ldexp(1.0, -149)])
        e = r.randint(-60, 60)
        xs = [math.ldexp((1 << 23) + r.getrandbits(23), e), math.ldexp(0.5, e)]
        xs += [r.choice([0.0, -1.0, 1.0]) * math.ldexp(1.0, -149)]
        r.shuffle(xs)
        yield "ties4", xs


def integer_groups(r, bits, count):
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    pick = {
        "full_range": lambda: r.randint(low, high),
        "extremes": lambda: r.choice([low, high, low + 1, high - 1, 0]),
        "highest": lambda: high,
        "lowest": lambda: low,
        "small": lambda: r.randint(-3, 3),
        "nulls": lambda: r.choice([None, None, 7]),
        "near_53": lambda: max(low, min(high, r.choice([-1, 1]) * ((1 << 53) + r.randint(-9, 9)))),
    }
    for name, draw in sorted(pick.items()):
        for n in sizes(r, count, 1):
            yield name, [draw() for _ in range(n)]


def mixed_pair_groups(r, count, y_integer, x_integer):
    """Pairs (y, x) of which one or both are bigint."""
    for low, high in ((-3, 3), (-2**63, 2**63 - 1), (2**53 - 4, 2**53 + 4), (7, 7)):
        for family in (family_money, family_ulps, family_special, family_patterns_small):
            for n in sizes(r, count, 0):
                ys, xs = ([r.randint(low, high) for _ in range(n)] if integer else family(r, n)
                          for integer in (y_integer, x_integer))
                yield f"{low} {family.__name__[7:]}", list(zip(ys, xs))


def pair_groups(r, count, large):
    """Pairs (y, x) out of every combination of a few families, and straight lines."""
    names = ["money", "patterns_small", "offset", "ulps", "equal", "tiny", "zeros", "subnormal",
             "special", "nulls", "big_variance", "integers", "cancel", "patterns"]
    families = {n: globals()["family_" + n] for n in names}
    for a in names:
        for b in names:
            for n in sizes(r, count, large if a in ("money", "offset") and b == a else 0):
                pairs = list(zip(families[a](r, n), families[b](r, n)))
                r.shuffle(pairs)
                if pairs:
                    yield a + "/" + b, pairs
    for n in sizes(r, 20 * count, large):
        a, b = r.randint(-8, 8) / 4, r.randint(-100, 100) / 4
        xs = [r.randint(-1000, 1000) / 8 for _ in range(n)]
        yield "line", [(a * x + b, x) for x in xs]
        yield "nearly_line", [(math.nextafter(a * x + b, math.inf) if r.random() < 0.1 else a * x + b, x)
                              for x in xs]


# ---------------------------------------------------------------- answers


def scaled(x):
    """A finite number as an integer multiple of 2^-SCALE."""
    if isinstance(x, int):
        return x << SCALE
    m, e = math.frexp(x)
    e += SCALE - 53
    m = int(math.ldexp(m, 53))
    return m << e if e >= 0 else m >> -e  # nothing but zeros is shifted out


def bits8(answer):
    """Bits of an answer, which is None, a float, or a function that may raise Overflow."""
    if callable(answer):
        try:
            answer = answer()
        except Overflow:
            return OVERFLOW
    return None if answer is None else struct.pack(">d", float(answer))


def bits4(answer):
    try:
        answer = answer()
    except Overflow:
        return OVERFLOW
    return None if answer is None else struct.pack(">f", answer)


def special_sum(xs):
    """What NaN and infinities make of a sum, None where there are none."""
    odd = [x for x in xs if isinstance(x, float) and not math.isfinite(x)]
    if not odd:
        return None
    if any(math.isnan(x) for x in odd) or len(set(odd)) > 1:
        return math.nan
    return odd[0]


def negative_zeros(xs):
    return all(x == 0 and math.copysign(1, x) < 0 for x in xs)


class Moments:
    """Exact sums of one variable, and the answers that follow from them."""

    def __init__(self, values):
        self.xs = xs = [x for x in values if x is not None]
        self.n = n = len(xs)
        self.odd = special_sum(xs)
        if n and self.odd is None:
            units = [scaled(x) for x in xs]
            s, s2 = sum(units), sum(u * u for u in units)
            self.total = Fraction(s, 1 << SCALE)
            self.deviations = Fraction(n * s2 - s * s, n << (2 * SCALE))  # sum of (x - mean)^2

    def sum(self, fmt=FLOAT8):
        if self.n == 0:
            return None
        if self.odd is not None:
            return self.odd
        if negative_zeros(self.xs):
            return -0.0
        return round_ratio(self.total, fmt)

    def avg(self):
        if self.n == 0:
            return None
        if self.odd is not None:
            return self.odd
        if negative_zeros(self.xs):
            return -0.0
        return round_ratio(self.total / self.n)

    def spread(self, samp, root):
        """Variance (or its root, rounded once from the exact variance)."""
        if self.n <= samp:
            return None
        if self.odd is not None:
            return math.nan
        value = self.deviations / (self.n - samp)
        return (round_sqrt if root else round_ratio)(value)

    def spreads(self):
        return [bits8(lambda s=samp, q=root: self.spread(s, q))
                for root in (False, True) for samp in (0, 1)]

    def exact(self, single):
        """exact_sum, _avg, _var_pop, _var_samp, _stddev_pop, _stddev_samp."""
        total = bits4(lambda: self.sum(FLOAT4)) if single else bits8(self.sum)
        return [total, bits8(self.avg)] + self.spreads()

    def extreme(self, greatest):
        """Least or greatest; NaN counts as the greatest of all, and -0 as less than 0."""
        if self.n == 0:
            return None
        value = (max if greatest else min)(
            self.xs, key=lambda x: (x != x, x, math.copysign(1, x)))
        return round_ratio(Fraction(value)) if isinstance(value, int) else value

    def stats(self):
        """num_vals, sum, average, variance and stddev of both methods, min_val, max_val.

        The state of no inputs is NULL, so num_vals is never 0.
        """
        return ([bits8(self.n or None), bits8(self.sum), bits8(self.avg)] + self.spreads()
                + [bits8(self.extreme(False)), bits8(self.extreme(True))])


def pair_stats(pairs):
    """num_vals, corr, covariance of both methods, slope, intercept, determination_coeff.

    The null rules are those of core's regr functions, with exact zeros in the place of computed ones.
    """
    pairs = [(y, x) for y, x in pairs if y is not None and x is not None]
    n = len(pairs)
    odd_y = special_sum([y for y, _ in pairs]) is not None
    odd_x = special_sum([x for _, x in pairs]) is not None
    ys = [0 if odd_y else scaled(y) for y, _ in pairs]
    xs = [0 if odd_x else scaled(x) for _, x in pairs]
    sy, sx = sum(ys), sum(xs)
    # each n times the centred sum, in units of 2^(-2 SCALE); NaN where a special value takes part
    syy = math.nan if odd_y else n * sum(y * y for y in ys) - sy * sy
    sxx = math.nan if odd_x else n * sum(x * x for x in xs) - sx * sx
    sxy = math.nan if odd_x or odd_y else n * sum(y * x for y, x in zip(ys, xs)) - sy * sx
    undefined = sxy != sxy

    def covariance(samp):
        if n <= samp:
            return None
        return math.nan if undefined else round_ratio(
            Fraction(sxy, n * (n - samp) << (2 * SCALE)))

    def corr():
        if n == 0 or sxx == 0 or syy == 0:
            return None
        if undefined:
            return math.nan
        root = round_sqrt(Fraction(sxy * sxy, sxx * syy))
        return -root if sxy < 0 else root

    def slope():
        if n == 0 or sxx == 0:
            return None
        return math.nan if undefined else round_ratio(Fraction(sxy, sxx))

    def intercept():
        if n == 0 or sxx == 0:
            return None
        return math.nan if undefined else round_ratio(
            Fraction(sy * sxx - sx * sxy, sxx * n << SCALE))

    def determination():
        if n == 0 or sxx == 0:
            return None
        if syy == 0:
            return 1.0
        return math.nan if undefined else round_ratio(Fraction(sxy * sxy, sxx * syy))

    return [bits8(n or None)] + [bits8(f) for f in (corr, lambda: covariance(0), lambda: covariance(1),
                                            slope, intercept, determination)]


# ---------------------------------------------------------------- output


def check_oracle(r):
    """The rounding above against Python's own, and the moments against fractions."""
    for _ in range(3000):
        a, b = Fraction(any_finite8(r)), Fraction(any_finite8(r))
        value = a / b if b else a
        if r.random() < 0.3:  # a tie, or nearly
            value = Fraction(2 * r.getrandbits(53) + 1, 2) * Fraction(2) ** r.randint(-1130, 900)
            value += r.choice([0, 0, 1, -1]) * value / 10**40
        try:
            want = bits8(value.numerator / value.denominator)
        except OverflowError:
            want = OVERFLOW
        got = bits8(lambda: round_ratio(value))
        assert got == want, (value, want, got)
        # a root is right if no float lies nearer: compare squares of the midpoints around it
        try:
            root = round_sqrt(abs(value))
        except Overflow:
            continue
        if root:
            below = (Fraction(math.nextafter(root, 0)) + Fraction(root)) / 2
            above = (Fraction(math.nextafter(root, math.inf)) + Fraction(root)) / 2 if root < DBL_MAX else None
            assert below * below <= abs(value), (value, root)
            assert above is None or abs(value) <= above * above, (value, root)
    for _ in range(40):
        xs = [any_finite8(r) for _ in range(r.randint(2, 12))]
        m, fs = Moments(xs), [Fraction(x) for x in xs]
        mean = sum(fs) / len(fs)
        assert m.total == sum(fs) and m.deviations == sum((f - mean) ** 2 for f in fs)


def text(value):
    return "\\N" if value is None else repr(value)


def bytea_array(answers):
    return "{" + ",".join("NULL" if b is None else '"\\\\\\\\x' + b.hex() + '"' for b in answers) + "}"


def write(directory, kind, groups, answers):
    """Writes one kind's answers, and its inputs shuffled over the groups."""
    rows, count = [], 0
    with open(os.path.join(directory, kind + ".want"), "w") as out:
        for g, (family, values) in enumerate(groups, 1):
            count += 1
            exact, stats = answers(values)
            fits = sum(1 << i for i in range(6) if exact[i:i + 1] != [OVERFLOW])
            fits += sum(64 << i for i, bits in enumerate(stats) if bits != OVERFLOW)
            rows += [(g, fits, v) for v in values]
            out.write(f"{g}\t{family}\t{bytea_array(exact)}\t{bytea_array(stats)}\n")
    random.Random(len(rows)).shuffle(rows)
    with open(os.path.join(directory, kind + ".data"), "w") as out:
        for i, (g, fits, v) in enumerate(rows, 1):
            columns = v if isinstance(v, tuple) else (v,)
            out.write(f"{i}\t{g}\t{fits}\t" + "\t".join(map(text, columns)) + "\n")
    print(f"{kind}: {len(rows)} inputs in {count} groups")


def main():
    seed, directory = int(sys.argv[1]), sys.argv[2]
    r = random.Random(seed)
    check_oracle(r)

    def one(single):
        def answers(xs):
            moments = Moments(xs)
            return moments.exact(single), moments.stats()
        return answers

    write(directory, "f8", float_groups(r, 30, 3, float), one(False))
    write(directory, "f4", float4_groups(r, 14), one(True))
    for kind, bits in (("i2", 16), ("i4", 32), ("i8", 64)):
        write(directory, kind, integer_groups(r, bits, 6), one(False))
    pairs = {"pair": pair_groups(r, 3, 1), "ipair": mixed_pair_groups(r, 3, True, True),
             "iypair": mixed_pair_groups(r, 3, True, False),
             "ixpair": mixed_pair_groups(r, 3, False, True)}
    for kind, groups in pairs.items():
        write(directory, kind, groups, lambda values: ([], pair_stats(values)))


if __name__ == "__main__":
    main()

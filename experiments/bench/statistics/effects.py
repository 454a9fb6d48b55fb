"""Main effects and two-factor interactions of a grid's factors, from resampled responses.

The main effect of a level is the mean, over all settings of the other factors, of its response less that of the
factor's first level. The interaction of two levels is their joint effect less the sum of their separate effects. On a
logarithmic response an effect is a factor: exp(effect). Only settings with all sides measured count; without any there
is no effect.
Source: Montgomery, Design and Analysis of Experiments, chapter 5 (factorial designs).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array

Setting = Mapping[str, str]  # factor -> level of one variant
QUANTILES = (0.5, 0.025, 0.975)


@dataclass(frozen=True)
class Effect:
    """`level` of `factor` against its first level; an interaction is with `with_level` of `with_factor`.

    `weights` (variants,) give the effect as their sum with a response; `settings`: how many differences it averages.
    """

    factor: str
    level: str
    with_factor: str | None
    with_level: str | None
    weights: Array
    settings: int

    def of(self, response: Array) -> tuple[float, float, float]:
        """The effect on a response (variants, resamples): median and 95% interval over the resamples."""
        median, lo, hi = np.quantile(self.weights @ response, QUANTILES)
        return float(median), float(lo), float(hi)


def effects(settings: Sequence[Setting]) -> list[Effect]:
    """All main effects and then all interactions of two factors, of the variants in their order.

    A factor's levels are in the order in which they appear; a factor of one level has no effect.
    """
    factors = {factor: list(dict.fromkeys(one[factor] for one in settings)) for factor in settings[0]}
    place = {tuple(one[factor] for factor in factors): number for number, one in enumerate(settings)}
    alone = [_effect(place, factors, {factor: level}) for factor in factors for level in factors[factor][1:]]
    together = [
        _effect(place, factors, {first: level, second: other})
        for first, second in itertools.combinations(factors, 2)
        for level in factors[first][1:]
        for other in factors[second][1:]
    ]
    return [effect for effect in (*alone, *together) if effect.settings]


def _effect(place: Mapping[tuple[str, ...], int], factors: Mapping[str, list[str]], chosen: Setting) -> Effect:
    """The mean difference (of differences) due to `chosen`, over the other factors' settings."""
    weights, settings = np.zeros(len(place)), 0
    for rest in itertools.product(*([""] if name in chosen else levels for name, levels in factors.items())):
        background = dict(zip(factors, rest, strict=True))
        corners = {}
        for levels in itertools.product(*((factors[name][0], level) for name, level in chosen.items())):
            changed = background | dict(zip(chosen, levels, strict=True))
            sign = (-1) ** sum(changed[name] == factors[name][0] for name in chosen)
            corners[place.get(tuple(changed.values()))] = sign
        if None in corners:
            continue
        settings += 1
        for number, sign in corners.items():
            weights[number] += sign
    (factor, level), *more = chosen.items()
    with_factor, with_level = more[0] if more else (None, None)
    return Effect(factor, level, with_factor, with_level, weights / max(1, settings), settings)

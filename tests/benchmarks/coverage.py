"""The statistics of a comparison in simulation: how often intervals hold the truth and verdicts are right.

`python -m tests.benchmarks.coverage` takes some minutes. For each kind of noise: comparisons of equal variants (the
share of intervals that hold 1, of control alarms and of false verdicts), of a variant that is 3% and one that is 10%
faster (the share found), and of eight equal variants at once (any false verdict), with the real stopping rule at the
default budget. Goals: coverage of at least 94%, at most 6% false verdicts. No goal for a drift of one variant alone
that lasts as long as the measuring: no interval of one sitting can hold it.
"""

from statistics import median

from tests.benchmarks.sizes import size
from tests.experiments.bench.statistics.simulation import NOISES, simulate

COMPARISONS = size(1000, 10)
MANY = 8


def main() -> None:
    print("noise, coverage, control alarms, false verdicts, of 8 equals, 3% found, 10% found, blocks, half-width")
    for name, noise in NOISES.items():
        equal, several = simulate(noise, COMPARISONS), simulate(noise, COMPARISONS // 5, variants=MANY)
        found = [simulate(noise, COMPARISONS // 5, truth).share("found") for truth in (1.03, 1.10)]
        shares = [equal.share(one) for one in ("covered", "control_alarms", "false_verdicts")]
        shown = ", ".join(f"{one:.1%}" for one in (*shares, several.share("false_verdicts"), *found))
        print(f"{name}: {shown}, {equal.share('blocks'):.0f}, {median(equal.widths):.2%}", flush=True)


if __name__ == "__main__":
    main()

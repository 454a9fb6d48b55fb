"""The loads of one run of the serving experiment, on servers that are ready."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.bench.columns import Value
from experiments.bench.rows import Row, Sample
from experiments.bench.session import Bench
from experiments.deployment.serving.loads import LoadPlan, highest_rate
from experiments.deployment.serving.spec import PARTS, ServingSpec, ServingVariant

if TYPE_CHECKING:
    from experiments.bench.arrays import Array

TARGET_REQUESTS = 200  # at the expected rate: enough for a p99 that is not the slowest request
INITIAL_CONNECTIONS = 64  # of an open load
OFFLINE_CLIENTS = 8
MAX_LENGTHENING = 3  # of the load at the expected rate, relative to the others
SEARCH_START, SEARCH_TRIALS = 1000.0, 6
TRIES = 2  # a rate fails only if it fails twice: one failure may be caused by other load on the machine
WARM: dict[str, Value] = {"arrival": "closed", "clients": 8, "seconds": 0.3}
NOT_LATENCIES = ("max_wait_ms", "objective_ms", *PARTS)  # the other columns in ms are latencies


class ServingSession:
    """The loads of one run, on servers that are ready."""

    def __init__(
        self, spec: ServingSpec, bench: Bench, ports: Mapping[ServingVariant, int], payload: Path, limit: float
    ) -> None:
        self._spec, self._bench, self._ports, self._payload, self._limit = spec, bench, ports, payload, limit
        self._rng = random.Random(0)  # noqa: S311 - for an order
        self._done, self._all = 0, 1

    def warm(self) -> None:
        """Sends a short load to each server and discards its results."""
        for variant in self._ports:
            self._send(variant, WARM)

    def measure(self) -> Iterator[Row]:
        """Each load on all servers in random order; then the search, one server after the other."""
        loads = self._loads()
        searched = [one for one in self._ports if one.path == "fast"] if "search" in self._spec.arrival else []
        self._all = len(loads) * len(self._ports) + 4 * len(searched)
        for load in loads:
            variants = [one for one in self._ports if one.path == "fast" or load["arrival"] != "open"]
            rows = {variant: self._row(variant, load) for variant in self._rng.sample(variants, len(variants))}
            yield from (rows[variant] for variant in variants)
        for variant in searched:
            yield from self._search(variant)

    def _loads(self) -> list[dict[str, Value]]:
        spec = self._spec
        found: list[dict[str, Value]] = []
        if "single" in spec.arrival:
            found.append({"arrival": "single", "clients": 1, "seconds": spec.seconds})
        if "closed" in spec.arrival:
            found += [{"arrival": "closed", "clients": one, "seconds": spec.seconds} for one in spec.clients]
        if "open" in spec.arrival:
            found += [self._open(rate) for rate in dict.fromkeys((spec.target_per_s, *spec.rate_per_s))]
        if "offline" in spec.arrival:
            found.append({"arrival": "offline", "clients": OFFLINE_CLIENTS})
        return found

    def _open(self, rate: float) -> dict[str, Value]:
        wanted = TARGET_REQUESTS / rate if rate == self._spec.target_per_s else 0.0
        seconds = max(self._spec.seconds, min(wanted, MAX_LENGTHENING * self._spec.seconds))
        return {"arrival": "open", "rate_per_s": rate, "seconds": seconds}

    def _search(self, variant: ServingVariant) -> Iterator[Row]:
        """Trials of the rate; the row of the highest rate that met the SLO is marked."""
        rows: list[Row] = []

        def meets(rate: float) -> bool:
            load: dict[str, Value] = {"arrival": "open", "rate_per_s": rate, "seconds": self._spec.seconds}
            for _ in range(TRIES):
                rows.append(self._row(variant, load, detailed=False))
                if rows[-1].values["slo_met"]:
                    return True
            return False

        best = highest_rate(meets, start=SEARCH_START, trials=SEARCH_TRIALS)
        for row in rows:
            row.values["highest"] = row.values["rate_per_s"] == best and row.values["slo_met"]
            yield row

    def _row(self, variant: ServingVariant, load: Mapping[str, Value], detailed: bool = True) -> Row:
        from experiments.deployment.serving.results import distribution, latencies_ms, summary, timeline

        self._done += 1
        at = f"{load['rate_per_s']:.0f}/s" if "rate_per_s" in load else f"{load['clients']} clients"
        self._bench.progress(0.15 + 0.85 * self._done / self._all, f"{variant.name}: {load['arrival']}, {at}")
        records = self._send(variant, load)
        point = {name: load.get(name) for name in ("arrival", "clients", "rate_per_s")}
        where = {"variant": variant.name, **point}
        if detailed:
            self._bench.detail("requests", [{**where, **one} for one in timeline(records)])
        if detailed and load["arrival"] != "offline":
            self._bench.detail("distribution", [{**where, **one} for one in distribution(records)])
        values: dict[str, Value] = {
            **where,
            "policy": variant.policy,
            "path": variant.path,
            "max_batch": variant.max_batch,
            "max_wait_ms": variant.max_wait_ms,
            "objective_ms": self._spec.objective_ms,
            **summary(records, self._spec.objective_ms, self._limit),
        }
        if load["arrival"] == "offline":  # all arrive at once: a latency only reflects the position in the queue
            values |= {name: None for name in values if name.endswith("_ms") and name not in NOT_LATENCIES}
            values |= dict.fromkeys(("in_time", "in_time_lo", "in_time_hi", "slo_met", "remark"))
        seconds = (latencies_ms(records) / 1e3).round(7).tolist()
        return Row(values, [Sample("single", 1, seconds)])

    def _send(self, variant: ServingVariant, load: Mapping[str, Value]) -> "Array":
        from experiments.deployment.serving.generator import generate

        return generate(self._plan(variant, load), self._payload)

    def _plan(self, variant: ServingVariant, load: Mapping[str, Value]) -> LoadPlan:
        given = {"clients": INITIAL_CONNECTIONS, **load}
        if load["arrival"] == "offline":
            given |= {"rows": variant.max_batch, "requests": max(1, self._spec.samples // variant.max_batch)}
        return LoadPlan(self._ports[variant], **given)  # type: ignore[arg-type]

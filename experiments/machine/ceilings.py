"""The ceilings of a device: copy bandwidth by size, and the throughput of matrix products."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from experiments.bench.columns import TIMED, Column
from experiments.bench.machine.roofline import CEILINGS
from experiments.bench.rows import Row
from experiments.bench.session import Bench, timed_row
from experiments.bench.spec import MeasuredSpec, Need, experiment

if TYPE_CHECKING:
    import pandas as pd


class CeilingsSpec(MeasuredSpec):
    """Sizes of the arrays to copy and of the matrices to multiply."""

    moved_bytes: list[Annotated[int, Field(ge=2**10, le=2**33)]] = Field(
        [2**16, 2**18, 2**20, 2**22, 2**24, 2**26, 2**28],
        min_length=1,
        max_length=16,
        title="Bytes moved",
        description="bytes read and written by a copy: small arrays stay in a cache",
    )
    n: list[Annotated[int, Field(ge=16, le=16384)]] = Field(
        [300, 600, 1000],
        min_length=1,
        max_length=8,
        title="Matrix sizes n",
        description="sizes of the float32 products; powers of two suffer from cache conflicts",
    )

    def need(self) -> Need:
        """The largest copy with its source, or three matrices; each twice, as numpy holds them too."""
        return Need(max(2 * max(self.moved_bytes), 24 * max(self.n) ** 2), "the largest copy or product")


@experiment(
    section="Machine",
    title="Ceilings",
    question="What are this device's peak rates: bytes per second by size, and operations per second?",
    compares="copies by size and matrix products, tinygrad and numpy",
    spec=CeilingsSpec,
    presets={
        "standard": CeilingsSpec(),
        "gpu": CeilingsSpec(moved_bytes=[2**20, 2**24, 2**28, 2**32], n=[1000, 2000, 4000, 8000]),
        "quick": CeilingsSpec(moved_bytes=[2**21, 2**27], n=[600], budget_s=0.3, half_width=0.05),
    },
    columns=[
        Column("what", "text", "copy: y = x + 1 over an array; matmul: a square float32 product"),
        Column("moved_bytes", "integer", "bytes read and written by the copy"),
        Column("n", "integer", "size of the matrices"),
        *TIMED,
        *("kernel_ms", "gflops", "gb_s"),
    ],
    grid=("what", "moved_bytes", "n"),
    summary=("what", "moved_bytes", "n", "variant", "latency_ms", "gb_s", "gflops", "speedup", "verdict"),
    details={"ceilings": CEILINGS},
    answer=lambda frame: answer(frame),
)
def ceilings(spec: CeilingsSpec, bench: Bench) -> Iterator[Row]:
    """Times copies and matrix products of several sizes, replayed by tinygrad, and on a CPU also by numpy.

    Latency is of the whole call, launch included; rates are of tinygrad's kernel alone, and of numpy's call. They
    are the ceilings of the roofline: a kernel should not move bytes faster than the copy of its size, nor compute
    faster than the best product. numpy runs on one thread, as tinygrad's CPU device does; it shows how far
    tinygrad's kernels are from the hardware. Not measured: half precision, tensor cores with BEAM, several cores
    or devices. Source: the approach of the empirical roofline toolkit, with tinygrad.
    """
    from experiments.bench.machine.ceilings import NUMPY, TINYGRAD, Peak, copy, launch_floor, matmul
    from experiments.bench.tinygrad.runtime import synchronizer

    bench.detail("ceilings", [launch_floor(bench.device)])
    synchronize = synchronizer(bench.device)
    points: list[tuple[str, int, Callable[[str, int], Peak]]] = [
        ("moved_bytes", size, copy) for size in dict.fromkeys(spec.moved_bytes)
    ]
    points += [("n", size, matmul) for size in dict.fromkeys(spec.n)]
    for number, (axis, size, measure) in enumerate(points):
        bench.progress(number / len(points), f"{measure.__name__}: {axis} {size:,}")
        peak = measure(bench.device, size)
        measured = bench.compare(peak.calls, NUMPY if NUMPY in peak.calls else TINYGRAD, movers=peak.movers)
        for by in peak.calls:
            seconds = peak.seconds(by, measured, synchronize)
            reached = peak.record(by, seconds)
            bench.detail("ceilings", [reached])
            rate = "gb_s" if peak.what == "copy" else "gflops"
            values: dict[str, Any] = {
                "what": peak.what,
                axis: size,
                rate: reached[rate],
                "kernel_ms": seconds * 1e3 if by == TINYGRAD else None,
            }
            yield timed_row(measured, by, **values)


def answer(frame: "pd.DataFrame") -> str:
    """The best copy and the best product, and which library reached them."""
    copies, products = frame[frame["gb_s"].notna()], frame[frame["gflops"].notna()]
    if copies.empty or products.empty:
        return ""
    largest = copies[copies["moved_bytes"] == copies["moved_bytes"].max()].nlargest(1, "gb_s").iloc[0]
    fastest, product = copies.nlargest(1, "gb_s").iloc[0], products.nlargest(1, "gflops").iloc[0]
    return (
        f"{frame['device'].iloc[0]} copies {fastest['gb_s']:.3g} GB/s at best ({fastest['variant']}) and "
        f"{largest['gb_s']:.3g} GB/s at the largest size ({largest['variant']}), and multiplies float32 matrices at "
        f"{product['gflops']:.4g} GFLOP/s ({product['variant']})."
    )

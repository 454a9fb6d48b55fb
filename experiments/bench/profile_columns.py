"""The details that every inspected call leaves: its kernels, one replay in time, its memory plan."""

from experiments.bench.columns import Column

REASON = ("bound", "roof_fraction", "launch_share", "kernel_ms")  # columns of a row that `Bench.inspect` fills

KERNELS = (
    Column("variant", "text", "the inspected variant"),
    Column("number", "integer", "place of the kernel in the call, from 1"),
    Column("name", "text", "tinygrad's name of the kernel; a copy is called COPY"),
    Column("device", "text", "where it runs"),
    Column("renderer", "text", "tinygrad's target: renderer and architecture"),
    Column("global_size", "text", "work groups"),
    Column("local_size", "text", "work items of a group"),
    Column("ops", "integer", "arithmetic operations, as tinygrad counts them"),
    Column("bytes", "integer", "unique bytes: the least that must move"),
    Column("loaded_bytes", "integer", "bytes of all loads and stores, cached or not"),
    Column("opts", "text", "optimisations that were applied"),
    Column("uops", "integer", "instructions of tinygrad's own intermediate form"),
    Column("binary_bytes", "integer", "size of the compiled kernel"),
    Column("kernel_ms", "number", "time on the device, median over replays"),
    Column("host_us", "number", "time of the host around the kernel: its launch", "µs"),
    Column("gflops", "number", "achieved operations per second"),
    Column("gb_s", "number", "achieved unique bytes per second"),
    Column("share", "number", "of the time of all kernels of the call"),
    Column("bound", "text", "the roof that the kernel meets first: memory or compute"),
    Column("roof_fraction", "number", "of that roof reached"),
    Column("batched", "boolean", "launched as part of one graph in a replay; timed here one by one"),
    Column("source", "text", "the code that was compiled"),
)
REPLAY = (
    Column("variant", "text", "the inspected variant"),
    Column("number", "integer", "place of the kernel in the call"),
    Column("name", "text", "the kernel"),
    Column("start_ms", "number", "since the start of the replay"),
    Column("host_ms", "number", "from the start of the launch to its return, waiting for the kernel included"),
    Column("kernel_ms", "number", "of this the kernel on the device"),
)
MEMORY = (
    Column("variant", "text", "the inspected variant"),
    Column("planned_bytes", "integer", "intermediate buffers as the memory planner lays them into one arena"),
    Column("unplanned_bytes", "integer", "the same without the planner, each in a buffer of its own"),
)

"""Moves the memory of calls and prints what test_redraw checks, as JSON."""

import json

import numpy as np
from tinygrad import Device, Tensor, TinyJit

from experiments.bench.machine import ceilings
from experiments.bench.tinygrad import redraw
from experiments.bench.tinygrad.redraw import Memory
from experiments.bench.tinygrad.runtime import normal
from experiments.deployment.multi_device import processes

rng, seen = np.random.default_rng(0), {}


def place(one):
    """The address of a tensor's memory."""
    return one.uop.base.buffer.get_buf(one.device).va_addr


# ---- a captured network with weights, input, intermediate memory and a view of the input
weights = [normal(rng, 32, 32, device="CPU") for _ in range(3)]
batch = normal(rng, 64, 32, device="CPU")
view = batch[16:48]  # a slice is an offset into the batch's memory


def network(x):
    for weight in weights:
        x = (x @ weight).relu()
    return x.realize()


jit, jit_of_view = TinyJit(network), TinyJit(lambda x: (x * 2).realize())
expected = [jit(batch).numpy() for _ in range(3)][-1]
expected_of_view = [jit_of_view(view).numpy() for _ in range(3)][-1]
counter = Tensor.zeros(4, device="CPU").contiguous().realize()
count = TinyJit(lambda: counter.assign(counter + 1).realize())
for _ in range(3):
    count()

memory = Memory(
    {
        "jit": lambda: jit(batch),
        "eager": lambda: network(batch),
        "count": count,
        "view": lambda: jit_of_view(view),
        "python": lambda: sum(range(3)),
    }
)
before = [place(one) for one in (*weights, batch)]
seen["moved"] = {name: memory.redraw(name) for name in ("jit", "python")}
after = [place(one) for one in (*weights, batch)]
seen["elsewhere"] = [one != other for one, other in zip(before, after, strict=True)]
seen["draws"] = len({memory.redraw("jit") and place(weights[0]) for _ in range(20)})
seen["jit"] = np.array_equal(jit(batch).numpy(), expected)
memory.redraw("eager")
seen["eager"] = np.array_equal(network(batch).numpy(), expected)
memory.redraw("view")
seen["view"] = np.array_equal(jit_of_view(view).numpy(), expected_of_view)
seen["base of the view"] = np.array_equal(jit(batch).numpy(), expected)

counted = counter.tolist()  # the call that finds the buffers counts too
memory.redraw("count")
found = counter.tolist()
memory.redraw("count")
count()
seen["state"] = [found[0] - counted[0], counter.tolist()[0] - counted[0]]

# ---- what must stay: memory given by its address, and variants that are not asked for
array = np.arange(16, dtype=np.float32)
given = Tensor.from_blob(array.ctypes.data, (16,), device="CPU")
other = normal(rng, 8, 8, device="CPU")
double = TinyJit(lambda x: (x * 2).realize())
for _ in range(3):
    double(given)
external, stays = Memory({"given": lambda: double(given)}), place(other)
seen["output of given memory"] = external.redraw("given")
seen["given memory"] = place(given) == array.ctypes.data and double(given).tolist() == (array * 2).tolist()
seen["others stay"] = place(other) == stays

# ---- several devices in one call
split = Tensor.ones(8, 8).shard(("CPU", "CPU:1"), axis=0).realize()
both = TinyJit(lambda x: (x + 1).to("CPU").realize())
for _ in range(3):
    both(split)
two = Memory({"both": lambda: both(split)})
seen["two devices"] = [two.redraw("both"), two.redraw("both"), both(split).tolist() == [[2.0] * 8] * 8]

# ---- bounds: left memory, large buffers
redraw.MAX_BUFFER_BYTES, redraw.QUARANTINE_BYTES = 5000, 20_000
bounded = Memory({"jit": lambda: jit(batch)})
bounded.redraw("jit")
places, held = [], []
for _ in range(10):
    held.append(place(weights[0]))
    bounded.redraw("jit")
    places.append([place(one) for one in (*weights, batch)])
    held.append(sum(one.nbytes for one in bounded._left))
seen["left bytes"] = max(one for one in held[1::2])
seen["weights move"] = len({one[0] for one in places}) > 1
seen["batch stays"] = len({one[3] for one in places}) == 1  # 8 kB do not fit
eager = Memory({"eager": lambda: network(batch)})
for _ in range(10):
    eager.redraw("eager")
    network(batch)  # leaves its temporary memory in tinygrad's cache
seen["left by eager calls"] = max(eager._left_bytes, sum(one.nbytes for one in eager._left))
eager.release()
bounded.release()
seen["after release"] = len(bounded._left)
seen["still right"] = np.array_equal(jit(batch).numpy(), expected)
seen["cache"] = sum(len(blocks) for blocks in Device["CPU"].allocator.cache.values())

# ---- what moves without tinygrad: arrays of numpy, and replicas in processes
ceilings.MAX_BUFFER_BYTES, ceilings.QUARANTINE_BYTES = 5000, 20_000
small, large = np.ones(8, np.float32), np.ones(2000, np.float32)
adding = ceilings.NumpyCall(lambda one, two, out: np.add(one, two[:8], out=out), [small, large])
for _ in range(10):
    adding.move()
adding()
[moved, stayed, out] = adding._arrays
seen["arrays"] = [moved is not small, stayed is large, out.tolist() == [2.0] * 8]
seen["left arrays"] = sum(one.nbytes for one in adding._left)

replica = processes.replica("CPU", {"kind": "matmul", "size": 8, "rows": 4, "batches": 2}, 0, 1)
first = replica(processes.RESULTS)
replica(processes.MOVE)
seen["replica"] = replica(processes.RESULTS) == first
print(json.dumps(seen))

"""The header of a packed model: JSON, compressed, since it weighs as much as a tenth of a very small model."""

import json
import zlib
from typing import Any

MAX_BYTES = 2**16  # unpacked
RAW = -15  # no frame around the compressed bytes: the file has its own checksum
# Text that headers have in common, packed as nothing; a change of it is a change of the file's version.
DICTIONARY = (
    b'{"network":{"name":"lenet_5","image":[1,28,28],"layers":[{"kind":"conv","inputs":1,"outputs":20,"ker'
    b'nel":5,"stride":1,"padding":0,"relu":true,"pool":"max2"},{"kind":"conv","inputs":20,"outputs":50,"ke'
    b'rnel":5,"stride":1,"padding":0,"relu":true,"pool":"max2"},{"kind":"linear","inputs":800,"outputs":50'
    b'0,"relu":true},{"kind":"linear","inputs":500,"outputs":10,"relu":false}]},"spec":{"scheme":"static",'
    b'"weight_bits":8,"activation_bits":8,"granularity":"per_channel","symmetry":"symmetric","observer":"m'
    b'inmax","weight_observer":"minmax","percentile":0.999,"layer_bits":[]}}{"network":{"name":"lenet_300_'
    b'100","image":[784],"layers":[{"kind":"linear","inputs":784,"outputs":300,"relu":true},{"kind":"linea'
    b'r","inputs":300,"outputs":100,"relu":true},{"kind":"linear","inputs":100,"outputs":10,"relu":false}]'
    b'},"spec":{"scheme":"float16","weight_bits":16,"activation_bits":null,"granularity":"per_channel","sy'
    b'mmetry":"symmetric","observer":"minmax","weight_observer":"minmax","percentile":0.999,"layer_bits":['
    b"]}}"
)


def write_header(header: Any) -> bytes:
    """JSON values, compressed; ValueError where they are too long for a header."""
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > MAX_BYTES:
        raise ValueError(f"a header of {len(text)} bytes; at most {MAX_BYTES} are allowed")
    packer = zlib.compressobj(9, wbits=RAW, zdict=DICTIONARY)
    return packer.compress(text) + packer.flush()


def read_header(content: bytes) -> Any:
    """The JSON values; ValueError where there are none or they are too long, seen before they are unpacked."""
    reader = zlib.decompressobj(RAW, zdict=DICTIONARY)
    try:
        text = reader.decompress(content, MAX_BYTES)
        if not reader.eof or reader.unused_data:
            raise ValueError("its header has no end or goes on behind it")
        return json.loads(text)
    except (zlib.error, RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("its header is no JSON") from None

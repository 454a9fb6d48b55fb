"""The type of numpy arrays of any shape and element type. Does not import numpy: declared experiments name the type."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
else:
    Array = Any

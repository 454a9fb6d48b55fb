"""Which environment variables reach a process that measures: those listed here, and what the lab itself sets.

A list of what is allowed, because no list of what changes a measurement is complete: tinygrad alone reads more than
150 variables, and numpy's libraries, the allocator, the loader and the drivers read others.
"""

import os
from collections.abc import Mapping

from experiments.bench.tinygrad.variables import is_read_by_tinygrad

ALLOWED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONIOENCODING"),
        *("LD_LIBRARY_PATH", "CUDA_PATH", "CUDA_HOME", "NVRTC_PATH", "ROCM_PATH", "ZIG_GLOBAL_CACHE_DIR"),
        *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
        *("DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DEVELOPER_DIR", "SDKROOT"),  # macOS
        *("SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP"),  # Windows
        *("USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
    )
)
ALLOWED_PREFIXES = ("TINYLAB_", "LC_", "XDG_")  # the lab's own and its users'; language; folders of data and caches

# What is not allowed is told only where it would have changed a measurement: a desktop sets dozens of harmless ones.
INFLUENTIAL = frozenset(
    (
        *("LD_PRELOAD", "LD_AUDIT", "LD_BIND_NOW", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES"),
        *("NVIDIA_TF32_OVERRIDE", "CCC_OVERRIDE_OPTIONS", "CPATH", "C_INCLUDE_PATH"),
        *("CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_ORDER", "CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_MODULE_LOADING"),
        *("CUDA_FORCE_PTX_JIT", "CUDA_DISABLE_PTX_JIT", "CUDA_INJECTION64_PATH", "CUDA_MPS_PIPE_DIRECTORY"),
        *("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_AUTO_BOOST"),
        *("PYTHONOPTIMIZE", "PYTHONDEVMODE", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONHASHSEED"),
        *("PYTHONPROFILEIMPORTTIME", "PYTHONFAULTHANDLER", "PYTHONDEBUG", "PYTHON_GIL", "PYTHON_JIT"),
    )
)
INFLUENTIAL_PREFIXES = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_", "NUMEXPR_", "NPY_"),
    *("MALLOC_", "CUDA_CACHE_", "HSA_", "HIP_", "ROCR_", "GPU_", "MTL_", "METAL_"),
)


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of this process that a process which measures inherits."""
    return {name: value for name, value in environment.items() if _is_allowed(name)}


def set_aside(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of the variables of this process that would have changed a measurement and are not inherited."""
    return sorted(name for name in environment if not _is_allowed(name) and _is_influential(name))


def _is_allowed(name: str) -> bool:
    return name in ALLOWED or name.startswith(ALLOWED_PREFIXES)


def _is_influential(name: str) -> bool:
    return name in INFLUENTIAL or name.startswith(INFLUENTIAL_PREFIXES) or is_read_by_tinygrad(name)

"""What a trainer's environment holds: names from a list, and nothing else."""

import pathlib
from collections.abc import Mapping

# Paths, locale, time zone, certificates and device selection. No secret has one of these names.
_ALLOWED = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "TUTELAGE_TICK_LIMIT_SECONDS",
)  # fmt: skip
# Only when the artifact store is a bucket: the one credential that a trainer needs.
_ALLOWED_FOR_S3 = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)  # fmt: skip
# An allocator that keeps its pages: 1.07 to 1.25 times the speed, since fresh pages of activations are dear.
_GLIBC_TUNABLES = (
    "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
)


def trainer_environment(
    environ: Mapping[str, str],
    *,
    threads: int,
    artifacts_url: str,
    scratch_dir: pathlib.Path,
    temporary_dir: pathlib.Path,
) -> dict[str, str]:
    """The environment of one trainer that may use `threads` threads."""
    allowed = _ALLOWED + (_ALLOWED_FOR_S3 if artifacts_url.startswith("s3://") else ())
    return {name: environ[name] for name in allowed if name in environ} | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",  # spinning threads slow a shared machine down 28 times
        "GLIBC_TUNABLES": _GLIBC_TUNABLES,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it cuBLAS is not reproducible
        "TORCHINDUCTOR_CACHE_DIR": str(
            scratch_dir / "inductor"
        ),  # shared: 2 s to compile what another run has compiled
        "TORCHINDUCTOR_COMPILE_THREADS": str(threads),
        "TMPDIR": str(temporary_dir),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",  # SIGABRT from the watchdog writes the stack
    }


def bell_environment(
    environ: Mapping[str, str], *, broker_url: str, bell_fd: int, name: str, canary_s: float
) -> dict[str, str]:
    """The environment of the bell listener."""
    return {name: environ[name] for name in _ALLOWED if name in environ} | {
        "TUTELAGE_BROKER_URL": broker_url,
        "TUTELAGE_BELL_FD": str(bell_fd),
        "TUTELAGE_BELL_NAME": name,
        "TUTELAGE_BELL_CANARY_SECONDS": str(canary_s),
        "PYTHONUNBUFFERED": "1",
    }

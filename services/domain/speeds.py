"""What a cluster has measured of its own speed."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredSpeed:
    """What one attempt achieved: floating-point operations of its measured steps over their time."""

    parameters: int
    flops_per_second: float

"""What a node reports and accepts over its HTTP API; the one vocabulary of all clients.

Values only. Nothing here can hold a key bit: pools and blocks appear as lengths and counts.
"""

from __future__ import annotations

from enum import StrEnum

from qnx_hw.api.delays import DelaysView
from qnx_hw.api.loops import LoopView
from qnx_hw.api.recordings import RecordingView
from qnx_hw.api.traffic import HopView, PlanView, PoolView, TunnelView
from qnx_hw.api.value import Estimate, Value


class LinkPhase(StrEnum):
    """What a link is doing."""

    IDLE = "idle"
    CONNECTING = "connecting"
    WARMING_UP = "warming_up"
    SYNCHRONISING = "synchronising"
    GENERATING = "generating"
    STOPPED = "stopped"
    FAULT = "fault"


class BlockStage(StrEnum):
    """How far the current block has come on its way from tags to key."""

    COLLECTING = "collecting"
    SIFTING = "sifting"
    ESTIMATING = "estimating"
    RECONCILING = "reconciling"
    VERIFYING = "verifying"
    AMPLIFYING = "amplifying"
    RELEASING = "releasing"


class Level(StrEnum):
    """How much an event matters."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


class Reading(Value, frozen=True, kw_only=True):
    """One live number of an instrument, ready to be shown."""

    name: str
    value: float
    unit: str


class InstrumentView(Value, frozen=True, kw_only=True):
    """An instrument as the screens show it."""

    name: str
    node: str
    family: str
    driver: str
    model: str
    serial: str
    state: str
    error: str
    is_simulated: bool
    readings: tuple[Reading, ...] = ()
    age_s: float | None = None
    """Seconds since the readings were taken; None where there are none."""


class NodeView(Value, frozen=True, kw_only=True):
    """A site."""

    name: str
    is_online: bool
    position: tuple[float, float]
    """Place on the map, both coordinates from 0 to 1, y downwards."""
    pool_bits: int
    pool_capacity_bits: int
    instruments: tuple[InstrumentView, ...] = ()


class ChannelRate(Value, frozen=True, kw_only=True):
    """Counts per second of one detector."""

    station: str
    """`alice` or `bob`."""
    label: str
    """Polarization the detector stands for: `H`, `V`, `D`, `A`."""
    rate_cps: float


class Histogram(Value, frozen=True, kw_only=True):
    """Coincidences against delay, summed over all detector pairs unless said otherwise."""

    start_ps: int
    bin_ps: int
    counts: tuple[int, ...]
    peak_ps: float | None = None
    fwhm_ps: float | None = None


class ClockView(Value, frozen=True, kw_only=True):
    """How Bob's clock stands against Alice's."""

    is_locked: bool
    offset_ps: float | None = None
    drift_ppb: float | None = None
    jitter_ps: float | None = None


class LinkView(Value, frozen=True, kw_only=True):
    """A link: two stations, the fibre between them, and the key they make."""

    name: str
    alice: str
    bob: str
    protocol: str
    phase: LinkPhase
    stage: BlockStage
    message: str = ""
    """Why the link is in this phase, in words; empty when all is well."""
    block: int = 0
    progress: float = 0.0
    """Part of the current block that is collected, 0 to 1."""
    running_s: float = 0.0
    rates: tuple[ChannelRate, ...] = ()
    coincidence_rate_cps: float | None = None
    accidental_rate_cps: float | None = None
    car: float | None = None
    window_ps: int = 0
    slots: int = 1
    """To how many slots of the window Bob's times are rounded; 0 where they are not."""
    histogram: Histogram | None = None
    matrix: tuple[tuple[int, ...], ...] = ()
    """Coincidences, Alice's H V D A down, Bob's H V D A across, over the last seconds."""
    clock: ClockView = ClockView(is_locked=False)
    qber_z: Estimate = Estimate()
    qber_x: Estimate = Estimate()
    qber: Estimate = Estimate()
    qber_limit: float = 0.11
    chsh_s: Estimate = Estimate()
    sifted_rate_bps: float | None = None
    secret_rate_bps: float | None = None
    epsilon: float = 0.0
    pairs: int = 0
    sifted_bits: int = 0
    leaked_bits: int = 0
    secret_bits: int = 0
    last_block_secret_bits: int = 0
    pool_bits: int = 0
    blocks_done: int = 0
    blocks_aborted: int = 0


class Event(Value, frozen=True, kw_only=True):
    """Something that happened."""

    number: int
    time_s: float
    """Unix time."""
    level: Level
    source: str
    message: str
    is_acknowledged: bool = False
    acknowledged_by: str = ""
    is_muted: bool = False
    """Said by something that was under maintenance; screens show it, and raise no alarm."""
    about: str = ""
    """What of the source it tells of; what it says is over when a better word comes about it."""
    cleared_s: float | None = None
    """Unix time at which a warning or an alarm was over; None while it is not, or cannot be."""

    @property
    def is_trouble(self) -> bool:
        """Whether it is a warning or an alarm."""
        return self.level in (Level.WARNING, Level.ALARM)

    @property
    def is_standing(self) -> bool:
        """Whether it tells of a trouble that will be told to be over, and is not yet."""
        return self.is_trouble and self.about != "" and self.cleared_s is None

    @property
    def is_open(self) -> bool:
        """Whether it is a trouble that asks for somebody's attention."""
        return (
            self.is_trouble
            and self.cleared_s is None
            and not (self.is_acknowledged or self.is_muted)
        )


class MaintenanceView(Value, frozen=True, kw_only=True):
    """A link, node or instrument that somebody works on, so that it raises no alarm."""

    name: str
    is_active: bool
    until_s: float = 0.0
    """Unix time."""
    by: str = ""
    reason: str = ""


class Snapshot(Value, frozen=True, kw_only=True):
    """Everything a client needs to draw its first picture."""

    number: int
    time_s: float
    network: str
    is_simulated: bool
    """Whether any instrument is an emulator."""
    nodes: tuple[NodeView, ...]
    links: tuple[LinkView, ...]
    events: tuple[Event, ...]
    pools: tuple[PoolView, ...] = ()
    loops: tuple[LoopView, ...] = ()
    tunnels: tuple[TunnelView, ...] = ()
    hops: tuple[HopView, ...] = ()
    plans: tuple[PlanView, ...] = ()
    """One, or none where no controller decides."""
    recordings: tuple[RecordingView, ...] = ()
    """Those begun since the process started."""
    maintenances: tuple[MaintenanceView, ...] = ()
    delays: tuple[DelaysView, ...] = ()


View = (
    NodeView
    | LinkView
    | PoolView
    | LoopView
    | TunnelView
    | HopView
    | PlanView
    | RecordingView
    | MaintenanceView
    | DelaysView
)
"""What changes while a client watches; each has a `name`."""
VIEWS: dict[str, type[View]] = {
    "node": NodeView,
    "link": LinkView,
    "pool": PoolView,
    "loop": LoopView,
    "tunnel": TunnelView,
    "hop": HopView,
    "plan": PlanView,
    "recording": RecordingView,
    "maintenance": MaintenanceView,
    "delay": DelaysView,
}
"""The kinds of views by the name that the event stream gives them; `KINDs` in the snapshot."""


class Series(Value, frozen=True, kw_only=True):
    """History of one quantity of one thing; all arrays have the same length."""

    link: str
    """Name of the link, pool, hop, tunnel, loop or node."""
    name: str
    unit: str
    times_s: tuple[float, ...]
    values: tuple[float | None, ...]
    """Means, where a point stands for a span of time."""
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    """Extremes in each point's span; empty where points are single samples."""
    kind: str = "link"
    step_s: float = 1.0
    """Time from point to point."""


class Quantity(Value, frozen=True, kw_only=True):
    """Something that has a history."""

    kind: str
    name: str
    unit: str


class Problem(Value, frozen=True, kw_only=True):
    """Why a request was refused, in one sentence a person can act on."""

    error: str
    field: str = ""

"""What the screens see of keys in stock, user traffic, and the routes it takes."""

from __future__ import annotations

from enum import StrEnum

from qnx_hw.api.value import Value


class PoolView(Value, frozen=True, kw_only=True):
    """Key that two nodes hold in common, as one of them sees it; lengths and rates only."""

    name: str
    """`NODE PEER`, unique in the network."""
    node: str
    peer: str
    link: str = ""
    """The link that fills it; empty where it is filled by relay."""
    stock_bits: int
    capacity_bits: int
    reserve_bits: int = 0
    """Kept back for authentication and critical classes."""
    in_bps: float | None = None
    out_bps: float | None = None
    exhausted_in_s: float | None = None
    """When it runs dry if it goes on so; None where it does not."""


class KeyPolicy(StrEnum):
    """What a tunnel does when key runs short."""

    BLOCK = "block"
    STORE = "store"
    STRETCH = "stretch"
    HYBRID = "hybrid"


class TunnelState(StrEnum):
    """How a tunnel is."""

    IDLE = "idle"
    UP = "up"
    DEGRADED = "degraded"
    """Passing data by its key policy; `message` says which."""
    BLOCKED = "blocked"
    DOWN = "down"


class TunnelView(Value, frozen=True, kw_only=True):
    """User traffic from one edge node to another."""

    name: str
    source: str
    destination: str
    state: TunnelState
    message: str = ""
    mode: str
    """`aes-256-gcm` or `otp`."""
    policy: KeyPolicy
    route: tuple[str, ...] = ()
    """The nodes that the newest frames went through, both ends included."""
    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    saved_bytes: int = 0
    """What local processing took away before encryption."""
    added_delay_s: float | None = None
    """How long local processing kept a record, on average."""
    rate_bps: float = 0.0
    frames: int = 0
    failures: int = 0
    """Frames refused: forged, replayed, truncated, out of order."""
    retransmits: int = 0
    """TCP segments that this end sent again."""
    epoch: int = 0
    """How often the key was renewed."""
    key_draw_bps: float = 0.0
    queue_bytes: int = 0
    queue_age_s: float | None = None
    rtt_s: float | None = None
    rate_limit_bps: float | None = None
    """What its users are held to in each direction; None where nothing holds them."""


class HopView(Value, frozen=True, kw_only=True):
    """The way from one node to the next as user traffic sees it; one direction."""

    name: str
    """`SOURCE TARGET`."""
    source: str
    target: str
    is_up: bool
    capacity_bps: float
    load_bps: float = 0.0
    delay_s: float | None = None
    loss: float | None = None
    queue_bytes: int = 0
    retransmits: int = 0
    """TCP segments sent again by the sessions and relays that run."""


class Route(Value, frozen=True, kw_only=True):
    """How the plan carries what goes from one node to another."""

    source: str
    destination: str
    demand_bps: float
    """As forecast for the time of the plan."""
    paths: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...]
    """Of the demand over `paths`; they sum to 1."""
    reason: str = ""


PLAN = "plan"
"""The model of forecasts that are what the plan in force was expected to do."""


class Forecast(Value, frozen=True, kw_only=True):
    """What was expected of one quantity and what came, step by step; equal lengths."""

    name: str
    unit: str
    model: str
    times_s: tuple[float, ...]
    expected: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    actual: tuple[float | None, ...]


class PlanView(Value, frozen=True, kw_only=True):
    """What the controller decided, why, and what came of it."""

    name: str = "plan"
    revision: int
    time_s: float
    objective: str
    objectives: tuple[str, ...] = ()
    """What `objective` may be set to."""
    reason: str = ""
    experts: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    """How much of the plan is each expert's."""
    expected_utilisation: float | None = None
    measured_utilisation: float | None = None
    routes: tuple[Route, ...] = ()
    acknowledged: tuple[str, ...] = ()
    """The nodes that follow this revision."""
    refused: tuple[str, ...] = ()
    """The nodes that do not, each with its reason: `NODE: REASON`."""

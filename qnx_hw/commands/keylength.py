"""`qnx keylength PROTOCOL`: how many secret bits a block holds, from its counts alone."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.inspect import Metadata

from qnx_hw.config.complaint import complaint
from qnx_hw.errors import ConfigError

EXAMPLE = """examples:
  qnx keylength bbm92 --n 90000 --k 10000 --errors 200 --leak 14767
  qnx keylength decoy --means 0.5,0.1,0 --shares 0.7,0.2,0.1 \\
      --key-detections 3000000,175000,600 --key-errors 32000,2100,290 \\
      --test-detections 330000,19500,70 --test-errors 3500,235,34 --leak 317693
  qnx keylength e91 --input block.json --json result.json"""

ALIASES = {
    "errors": "x",
    "leak": "leak_ec",
    "means": "mus",
    "shares": "ps",
    "key_detections": "n_x",
    "key_errors": "m_x",
    "test_detections": "n_z",
    "test_errors": "m_z",
    "eps_cor": "eps_ev",
}
"""The papers' short names; options and input files may use either."""

MOST = 10**15
"""More in one block than any link makes; beyond that the exact bound takes minutes."""
Count = Annotated[int, Meta(ge=0, le=MOST)]
Counts = Annotated[tuple[Count, ...], Meta(min_length=2, max_length=3)]
Epsilon = Annotated[float, Meta(gt=0.0, lt=1.0)]
KeyBits = Annotated[Count, Meta(description="key bits of this basis that were reconciled")]
TestBits = Annotated[Count, Meta(description="test bits of the other basis")]
Errors = Annotated[Count, Meta(description="errors among the test bits")]
Leak = Annotated[Count, Meta(description="bits that reconciliation published about the key")]
Secrecy = Annotated[Epsilon, Meta(description="distance from an ideal key (default: 1e-10)")]
Correctness = Annotated[
    Epsilon, Meta(description="probability that the keys differ unnoticed (default: 1e-15)")
]
Game = Annotated[
    tuple[Count, ...],
    Meta(
        min_length=16,
        max_length=16,
        description="16 counts: ++ +- -+ -- of the settings a0b0, a0b1, a1b0, a1b1",
    ),
]
Doubt = Annotated[
    Epsilon, Meta(description="probability that the true S is below its bound (default: 1e-6)")
]
Means = Annotated[
    tuple[float, ...], Meta(description="mean photons per pulse, falling: two or three values")
]
Shares = Annotated[tuple[float, ...], Meta(description="probability of each intensity")]
KeyClicks = Annotated[Counts, Meta(description="detections in the key basis, per intensity")]
KeyErrors = Annotated[Counts, Meta(description="errors among them")]
TestClicks = Annotated[Counts, Meta(description="detections in the test basis, per intensity")]
TestErrors = Annotated[Counts, Meta(description="errors among them")]
Vacuum = Annotated[
    Literal["published", "tight"],
    Meta(description="how one decoy bounds empty pulses: published (default) or tight"),
]


class Bbm92Inputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One basis of a BBM92 block."""

    n: KeyBits
    k: TestBits
    errors: Errors
    leak: Leak
    eps_sec: Secrecy = 1e-10
    eps_cor: Correctness = 1e-15


class E91Inputs(Bbm92Inputs, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same for E91, with the counts of its CHSH test, which never enter the length."""

    counts: Game
    eps_s: Doubt = 1e-6


class DecoyInputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A block of decoy BB84."""

    means: Means
    shares: Shares
    key_detections: KeyClicks
    key_errors: KeyErrors
    test_detections: TestClicks
    test_errors: TestErrors
    leak: Leak
    vacuum: Vacuum = "published"
    eps_sec: Secrecy = 1e-10
    eps_cor: Correctness = 1e-15


class Bbm92Result(msgspec.Struct, frozen=True, kw_only=True):
    """What the block of one basis holds."""

    bits: int
    phase_error_bound: float
    phase_errors: int
    tag_bits: int


class E91Result(Bbm92Result, frozen=True, kw_only=True):
    """The same, and what the CHSH test says."""

    chsh_s: float
    chsh_sigma: float
    chsh_s_low: float
    device_independent_fraction: float
    """An indicator: with the detection loophole open it secures nothing."""


class DecoyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the key basis of a decoy block holds."""

    bits: int
    safety_bits: int
    """Taken off already, since the bound's steps are not monotonous."""
    phase_error_bound: float
    vacuum_key: float
    single_photon_key: float
    single_photon_test: float
    single_photon_test_errors: float


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    protocols = parser.add_subparsers(dest="protocol", metavar="PROTOCOL", required=True)
    for name, protocol in _PROTOCOLS.items():
        child = protocols.add_parser(
            name,
            help=protocol.summary,
            description=f"Key length of {protocol.summary}.",
            epilog=EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for field in msgspec.structs.fields(protocol.inputs):
            _add_option(child, field)
        child.add_argument(
            "--input", metavar="FILE", help="JSON object with these numbers; - is standard input"
        )
        child.add_argument(
            "--json",
            metavar="FILE",
            nargs="?",
            const="-",
            help="write the result as JSON; - or no name is standard output",
        )


def run(arguments: argparse.Namespace) -> int:
    """Compute and show the length."""
    protocol = _PROTOCOLS[arguments.protocol]
    try:
        given = _given(arguments, protocol.inputs)
        _check_whole(given, protocol.inputs)
        inputs = _inputs(given, protocol.inputs)
        result = protocol.compute(inputs)
    except ValueError as error:  # msgspec's too: a number is missing or cannot be
        print(f"qnx keylength {arguments.protocol}: {error}", file=sys.stderr)
        return 2
    if arguments.json is None:
        for name in result.__struct_fields__:
            print(f"{name.replace('_', ' '):28}{_shown(getattr(result, name))}")
        return 0
    document = {"protocol": arguments.protocol, "inputs": inputs, "result": result}
    text = msgspec.json.format(msgspec.json.encode(document)).decode()
    if arguments.json == "-":
        print(text)
        return 0
    try:
        Path(arguments.json).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {arguments.json}: {error.strerror}") from error
    return 0


def _add_option(parser: argparse.ArgumentParser, field: msgspec.structs.FieldInfo) -> None:
    names = [field.name, *([ALIASES[field.name]] if field.name in ALIASES else [])]
    information = msgspec.inspect.type_info(field.type)
    notes = information.extra_json_schema if isinstance(information, Metadata) else None
    parser.add_argument(
        *(f"--{name.replace('_', '-')}" for name in names),
        dest=field.name,
        metavar="N,N,..." if _is_list(field) else "N",
        help=str((notes or {}).get("description", "")),
    )


def _is_list(field: msgspec.structs.FieldInfo) -> bool:
    information = msgspec.inspect.type_info(field.type)
    if isinstance(information, Metadata):
        information = information.type
    return isinstance(information, msgspec.inspect.VarTupleType)


def _given(arguments: argparse.Namespace, inputs: type[msgspec.Struct]) -> dict[str, object]:
    """Join the numbers of the input file and of the options, which win."""
    found = _read(arguments.input) if arguments.input else {}
    for name, alias in ALIASES.items():
        if alias in found and name in inputs.__struct_fields__:
            found[name] = found.pop(alias)
    if "counts" in found:
        found["counts"] = list(_flat(found["counts"]))
    for field in msgspec.structs.fields(inputs):
        word = getattr(arguments, field.name)
        if word is not None:
            found[field.name] = word.split(",") if _is_list(field) else word
    return found


def _inputs(given: Mapping[str, object], inputs: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(given, inputs, strict=False)
    except msgspec.ValidationError as error:
        place, words = complaint(given, inputs, error)
        raise ConfigError(f"{place}: {words}") from error


def _check_whole(given: Mapping[str, object], inputs: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(inputs)
    missing = [field.name for field in fields if field.required and field.name not in given]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ConfigError(f"numbers are missing: give {options}, or a file of them with --input")


def _flat(counts: object) -> Iterator[object]:
    """Yield what nested lists hold: counts may be grouped by setting."""
    if isinstance(counts, list):
        for each in counts:
            yield from _flat(each)
    else:
        yield counts


def _read(name: str) -> dict[str, object]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return msgspec.json.decode(text, type=dict[str, object])
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{name} is not a JSON object of numbers: {error}") from error


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _bbm92(inputs: Bbm92Inputs) -> Bbm92Result:
    from qnx_hw.qkd.finite_key import EpsilonBudget, bbm92_key_length

    budget = EpsilonBudget(inputs.eps_sec, inputs.eps_cor)
    length = bbm92_key_length(inputs.n, inputs.k, inputs.errors, inputs.leak, budget=budget)
    return Bbm92Result(
        bits=length.bits,
        phase_error_bound=length.phase_error_bound,
        phase_errors=length.phase_errors,
        tag_bits=length.tag_bits,
    )


def _e91(inputs: E91Inputs) -> E91Result:
    from qnx_hw.qkd.finite_key import ChshTest, Correlator, device_independent_fraction

    settings = (inputs.counts[start : start + 4] for start in range(0, 16, 4))
    test = ChshTest(*itertools.starmap(Correlator, settings))
    qber = min(1.0, inputs.errors / inputs.k) if inputs.k else 0.5
    return E91Result(
        **msgspec.structs.asdict(_bbm92(inputs)),
        chsh_s=test.s,
        chsh_sigma=test.sigma,
        chsh_s_low=test.lower_bound(inputs.eps_s),
        device_independent_fraction=device_independent_fraction(test.s, qber),
    )


def _decoy(inputs: DecoyInputs) -> DecoyResult:
    from qnx_hw.qkd.finite_key import DecoyBasis, EpsilonBudget, decoy_key_length
    from qnx_hw.qkd.finite_key.decoy import SAFETY_BITS

    length = decoy_key_length(
        DecoyBasis(inputs.key_detections, inputs.key_errors),
        DecoyBasis(inputs.test_detections, inputs.test_errors),
        inputs.leak,
        means=inputs.means,
        shares=inputs.shares,
        budget=EpsilonBudget(inputs.eps_sec, inputs.eps_cor),
        vacuum=inputs.vacuum,
    )
    return DecoyResult(
        bits=length.bits,
        safety_bits=SAFETY_BITS,
        phase_error_bound=length.phase_error_bound,
        vacuum_key=length.vacuum_x,
        single_photon_key=length.single_x,
        single_photon_test=length.single_z,
        single_photon_test_errors=length.single_errors_z,
    )


class _Protocol(NamedTuple):
    summary: str
    inputs: type[msgspec.Struct]
    compute: Callable[[Any], msgspec.Struct]  # each takes its own inputs


_PROTOCOLS = {
    "bbm92": _Protocol("one basis of BBM92, or of BB84 with single photons", Bbm92Inputs, _bbm92),
    "e91": _Protocol("one basis of E91, keys from Z and X, with its CHSH test", E91Inputs, _e91),
    "decoy": _Protocol("decoy BB84 with one decoy or two", DecoyInputs, _decoy),
}

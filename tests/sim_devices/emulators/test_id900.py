"""The ID900 by its guide's examples, and on ZeroMQ."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from sim_devices.emulators.id900 import Id900Emulator
from sim_devices.emulators.server import serving
from sim_devices.emulators.station import RandomStation

PATIENCE_MS = 120_000


def ask(device: Id900Emulator, request: str, now_s: float = 0.0, port: int = 0) -> str:
    outputs = device.feed(port, 1, request.encode(), now_s)
    return outputs[-1].payload.decode()


class Echoes(RandomStation):
    """Ten times a second inputs 1 to 3 click together, and input 4 after 5 ns."""

    def __init__(self) -> None:
        super().__init__((0.0,) * 4, 0)
        self._from_s = 0.0

    def take_tags(self, until_s: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        first, last = (round(at_s * 1e12) for at_s in (self._from_s, until_s))
        starts_ps = np.arange(50_000_000_000, 10**13, 10**11)
        starts_ps = starts_ps[(starts_ps >= first) & (starts_ps < last)]
        self._from_s = until_s
        times_ps = (starts_ps[:, None] + np.array([0, 0, 0, 5000])).ravel()
        channels = np.tile(np.arange(1, 5, dtype=np.uint8), len(starts_ps))
        return times_ps.astype(np.int64), channels


def test_settings_echo_what_the_device_took() -> None:
    device = Id900Emulator()

    reply = ask(device, "INPU1:ENAB ON;THRE 0.5V;SELE UNSHAPED;:INPU2:COUN?")

    assert reply == "ON\n0.499712V\nUNSHAPED\n0"
    assert ask(device, "inpu1:threshold 1;:INPUt1:THREshold?") == "0.999424V\n0.999424V"


@pytest.mark.parametrize(
    ("request_text", "reply"),
    [
        ("*IDN?", "ID Quantique,ID900,00000001,1.0.0"),
        ("FLY:HIGH 3", "SCPI_ERR_INVALID_CMD"),
        ("GENE2:TRIG:ARM:MODE MANU;:GENE2:PLAY;STOP", "MANUAL\nPLAY\nSTOP"),
        ("INPU9:ENAB ON", "SCPI_ERR_INVALID_CMD"),
        ("INPU5:COUN?;:TSCO33:COUN:RESE;:HIST5:DATA?", "\n".join(["SCPI_ERR_INVALID_CMD"] * 3)),
        ("TSCO32:COUN?;:HIST4:BCOU 1;DATA?", "0\n1\n[0]"),
        ("INPU1:ENAB MAYBE", "SCPI_ERR_PARAM_TYPE"),
        ("INPU1:COUN:INTE 0", "SCPI_ERR_PARAM_TYPE"),
        ("DELA1:VALU 1500", "1500TB"),
        ("DELAy2:VALUe 1.5ns", "1500TB"),
        ("INPU1:COUN:RESE", "Counter value set to 0 "),
        ("INPU1:HIRE:ERROR?", "0"),
        ("HIST1:FLUS", "Flushed Histogram!"),
        ("HIST1:BCOU 3;DATA?", "3\n[0,0,0]"),
        ("RECord:TRIGger:ARM:MODE MANUal", "MANUAL"),
        ("REC:STAG?", "STOPPED"),
        ("RAW1:ERRORS?", "0"),
        ("TSCO6:FIR:LINK INPU1;:TSCO6:SECO:LINK INPU2", "INPU1\nINPU2"),
        # As other people's drivers write it.
        ("DELAY3:INPORT:LINK INPU3;:DELAY3:VALUE 700;:DELA3:LINK?", "INPU3\n700TB\nINPU3"),
        (":HIST2:INPORT:STOP:LINK TSCO5;:HIST2:STOP:LINK?", "TSCO5\nTSCO5"),
        (":HIST1:INPORT:ENAB:LINK TSGE8;:TSGE8:ENABLE ON", "TSGE8\nON"),
        ("HIST1:ENAB:LINK REC;:HIST1:MINIMUM 100;:HIST1:BWIDTH 200", "REC\n100TB\n200TB"),
        (":RAW1:INPORT:REF:LINK NONE;:START:DELAY 5", "NONE\n5TB"),
        ("DELA:VALU 9;:DELA1:VALU?;:INPU:ENAB?", "9TB\n9TB\nON"),
        ("INPU2:COUN:INTE 1500.0;MODE ACCU;RESEt", "1500\nACCUM\nCounter value set to 0 "),
        ("DELA1:LINK INPU7", "No connection"),
        ("RAW1:STOP:LINK elsewhere;:RAW1:STOP:LINK?", "No connection\nNONE"),
    ],
)
def test_replies(request_text: str, reply: str) -> None:
    assert ask(Id900Emulator(), request_text) == reply


def test_counters_hold_the_last_full_cycle() -> None:
    device = Id900Emulator(options={"rate_cps": 10_000.0})
    ask(device, "INPU1:COUN:INTE 500;MODE CYCL")

    for tick in range(120):
        device.tick(tick / 100)

    assert 4500 < int(ask(device, "INPU1:COUN?", 1.2)) < 5500


def test_combiners_and_histograms_hear_delays_and_combiners() -> None:
    device = Id900Emulator(Echoes())
    ask(device, "DEVI:CONF:LOAD COUNT;:TSCO13:COUN:MODE ACCUM;:TSCO24:COUN:MODE ACCUM")
    ask(
        device,
        "DELA1:INPORT:LINK INPU1;:DELA1:VALU 5000;:TSCO1:FIR:LINK DELA1;:TSCO1:SECO:LINK INPU4",
    )
    assert ask(device, "TSCO1:COUN:MODE ACCUM;:DELA1:LINK?") == "ACCUM\nINPU1"
    ask(device, "HIST1:REF:LINK TSCO13;:HIST1:STOP:LINK INPU4;:HIST1:BCOU 8;BWID 1000")

    device.tick(1.0)

    assert ask(device, "TSCO13:COUN?;:TSCO24:COUN?;:TSCO1:COUN?", 1.0) == "10\n0\n10"
    assert ask(device, "HIST1:DATA?", 1.0) == "[0,0,0,0,0,10,0,0]"
    ask(device, "TSCO24:WIND:ENAB ON;BEGI:DELA 4000;:TSCO24:WIND:END:DELA 6000", 1.0)
    device.tick(2.0)
    assert ask(device, "TSCO24:COUN?", 2.0) == "10"


@pytest.mark.parametrize(
    ("inside", "outside", "counted"),
    [
        ("AND", "MUTE", 10),
        ("ONLYFIR", "MUTE", 0),
        ("ONLYSEC", "MUTE", 10),
        ("OR", "MUTE", 10),
        ("MUTE", "ONLYFIR", 10),
        ("MUTE", "ONLYSEC", 0),
        ("ONLYSEC", "ONLYFIR", 20),
        ("MUTE", "MUTE", 0),
    ],
)
def test_a_combiner_tells_what_is_in_its_window_from_the_rest(
    inside: str, outside: str, counted: int
) -> None:
    device = Id900Emulator(Echoes())
    ask(device, "TSCO1:FIR:LINK INPU1;:TSCO1:SECO:LINK INPU4;:TSCO1:COUN:MODE ACCUM")
    ask(device, "TSCO1:WIND:BEGI:LINK INPU2;DELA 4000;:TSCO1:WIND:END:LINK INPU2;DELA 6000")
    ask(device, f"TSCO1:WIND:ENAB ON;:TSCO1:OPIN {inside};OPOU {outside}")

    device.tick(1.0)

    assert ask(device, "TSCO1:COUN?", 1.0) == str(counted)


def test_a_window_opens_with_one_input_and_closes_with_another() -> None:
    device = Id900Emulator(Echoes())
    ask(device, "TSCO1:FIR:LINK INPU1;:TSCO1:SECO:LINK INPU4;:TSCO1:COUN:MODE ACCUM")
    ask(device, "TSCO1:WIND:BEGI:LINK INPU2;DELA 1000;:TSCO1:WIND:END:LINK INPU4;DELA 1000")
    ask(device, "TSCO1:WIND:ENAB ON;:TSCO1:OPIN ONLYSEC;OPOU MUTE")

    device.tick(1.0)
    opened = ask(device, "TSCO1:COUN?", 1.0)
    ask(device, "TSCO1:WIND:END:DELA -2000", 1.0)
    device.tick(2.0)

    assert (opened, ask(device, "TSCO1:COUN?", 2.0)) == ("10", "10")


def test_a_short_cycle_counts_no_longer_than_it_is() -> None:
    device = Id900Emulator(options={"rate_cps": 1_000_000.0})
    ask(device, "INPU1:COUN:MODE CYCL;INTE 1")

    device.tick(0.05)

    # A thousand on average, with a standard deviation of 32.
    assert 800 < int(ask(device, "INPU1:COUN?", 0.05)) < 1200


def test_a_bin_is_no_finer_than_the_slots() -> None:
    device = Id900Emulator()

    assert ask(device, "HIST1:BWID 12") == "SCPI_ERR_PARAM_TYPE"
    assert ask(device, "HIST1:BWID 13;:DEVI:RES LOWRES;:HIST1:BWID 50").endswith("PARAM_TYPE")


def test_a_generator_gates_a_histogram() -> None:
    device = Id900Emulator(Echoes())
    ask(device, "HIST1:REF:LINK INPU1;:HIST1:STOP:LINK INPU4;:HIST1:BCOU 2;BWID 10000")
    ask(device, "HIST1:ENAB:LINK TSGE8")

    device.tick(1.0)
    assert ask(device, "HIST1:DATA?", 1.0) == "[0,0]"
    ask(device, "TSGE8:ENAB ON", 1.0)
    device.tick(2.0)
    assert ask(device, "HIST1:DATA?", 2.0) == "[10,0]"


def test_links_in_a_ring_carry_nothing() -> None:
    device = Id900Emulator()
    ask(device, "TSCO1:FIR:LINK TSCO2;:TSCO1:SECO:LINK INPU1;:TSCO2:FIR:LINK TSCO1")

    device.tick(1.0)

    assert ask(device, "TSCO1:COUN?", 1.0) == "0"


def test_an_acquisition_streams_its_stamps_and_ends_with_nothing() -> None:
    device = Id900Emulator(options={"rate_cps": 10_000.0})
    ask(device, "REC:TRIG:ARM:MODE MANU;:REC:ENAB ON;:REC:STOP;:REC:NUM 2;:REC:DUR 200000000000")
    ask(device, "RAW1:ERRORS:CLEAR")
    started = json.loads(
        ask(device, "start-stream --address 127.0.0.1 --channel 1 --stream-port 7001", port=1)
    )
    ask(device, "RAW1:SEND ON")
    ask(device, "REC:PLAY")

    assert ask(device, "REC:STAGe?") == "PLAYING"
    streamed = [out for tick in range(60) for out in device.tick(tick / 100)]
    status = json.loads(ask(device, f"status --id {started['id']}", 0.6, port=1))
    assert json.loads(ask(device, f"status {started['id']}", 0.6, port=1)) == status
    ended = device.feed(1, 1, f"stop --id {started['id']}".encode(), 0.6)

    stamps = [np.frombuffer(out.payload, dtype="<u8") for out in streamed]
    assert {(out.port, out.client) for out in streamed} == {(2, 7001)}
    assert len(stamps) == status["acquisitions_count"] == 2
    assert sum(map(len, stamps)) == status["timestamps_count"]
    assert all(1700 < len(part) < 2300 and part.max() <= 2.1e11 for part in stamps)
    assert (ended[0].client, ended[0].payload) == (7001, b"")
    assert ask(device, "list", port=1) == "[]"


def test_the_data_link_takes_both_forms_of_an_option() -> None:
    device = Id900Emulator()
    for request_text in ("--channel=2 --stream-port=7001", "--channel 3 --stream-port 7002"):
        reply = ask(device, f"start-stream --address=127.0.0.1 {request_text}", port=1)
        assert json.loads(reply)["id"] in json.loads(ask(device, "list", port=1))


@pytest.mark.parametrize("request_text", ["", "fly", "stop --id 9", "start-stream", 'x "'])
def test_the_data_link_explains_what_is_wrong(request_text: str) -> None:
    reply = json.loads(ask(Id900Emulator(), request_text, port=1))

    assert reply["error"]["description"]


def test_both_services_answer_on_zeromq() -> None:
    with serving(Id900Emulator()) as (scpi, link), zmq.Context() as context:
        for place, request, expected in (
            (scpi, "INPU1:THRE 0.5V", "0.499712V"),
            (scpi, "*IDN?", "ID Quantique,ID900,00000001,1.0.0"),
            (link, "list", "[]"),
        ):
            with context.socket(zmq.REQ) as socket:
                socket.linger = 0
                socket.rcvtimeo = PATIENCE_MS
                socket.connect(place.url)
                socket.send_string(request)
                assert socket.recv_string() == expected


def test_a_stream_arrives_on_its_port() -> None:
    device = Id900Emulator(options={"rate_cps": 10_000.0})
    with serving(device) as (scpi, link), zmq.Context() as context:
        with context.socket(zmq.PAIR) as probe:
            port = probe.bind_to_random_port("tcp://127.0.0.1")
        with (
            context.socket(zmq.REQ) as control,
            context.socket(zmq.REQ) as service,
            context.socket(zmq.PAIR) as stream,
        ):
            for socket, url in (
                (control, scpi.url),
                (service, link.url),
                (stream, f"tcp://127.0.0.1:{port}"),
            ):
                socket.linger = 0
                socket.rcvtimeo = PATIENCE_MS
                socket.connect(url)
            service.send_string(f"start-stream --address x --channel 2 --stream-port {port}")
            name = json.loads(service.recv_string())["id"]
            control.send_string("RAW2:SEND ON;:REC:DUR 100000000000;:REC:NUM INF;:REC:PLAY")
            control.recv_string()

            part = np.frombuffer(stream.recv(), dtype="<u8")
            service.send_string(f"stop --id {name}")
            service.recv_string()
            while stream.recv():
                continue

    assert 500 < len(part) < 1500

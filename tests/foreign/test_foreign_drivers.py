"""Drivers by other people run against our emulators: two readings of a manual agree on the bytes.

Opt in with `--foreign`. Each driver gets an environment of its own below the temporary folder, so
its dependencies touch nothing of ours. All of these are under the MIT licence.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from foreign import INSTALL_TIMEOUT_S, environment, run

from sim_devices.emulators.server import serving

REQUIREMENTS = {
    "S15lib": ["S15lib==0.3.0", "setuptools<81"],
    "pymeasure": ["pymeasure", "pyvisa-py"],
    "QMI": ["qmi==0.54.2"],
    "qcodes": ["qcodes==0.58.0", "qcodes-contrib-drivers==0.24.1", "pyvisa-py"],
}

PROGRAMS = {
    ("S15lib", "tdc1"): """
from S15lib.instruments.usb_counter_fpga import TimestampTDC1
tagger = TimestampTDC1(place)
tagger.int_time = 0.5
assert tagger.int_time == 500, tagger.int_time  # set in seconds, read in milliseconds
counts = tagger.get_counts()
assert len(counts) == 4 and all(3_000 < count < 15_000 for count in counts), counts
assert tagger.mode == "singles"
times, patterns = tagger.get_timestamps(0.5, legacy=False)
assert len(times) > 10_000 and (times[1:] >= times[:-1]).all()
assert {1, 2, 4, 8} <= set(patterns.tolist())
""",
    ("S15lib", "s15spd"): """
from S15lib.instruments.single_photon_detector import SinglePhotonDetector
detector = SinglePhotonDetector(place)
assert "SPD" in detector.identity()
detector.settemperature = -12
assert detector.settemperature == -12
assert detector.hvolt > 0 and detector.counts(0.2) > 0
""",
    ("pymeasure", "pm100"): """
from pymeasure.instruments.thorlabs import ThorlabsPM100USB
host, port = place.split(":")
meter = ThorlabsPM100USB(
    f"TCPIP0::{host}::{port}::SOCKET", visa_library="@py",
    read_termination="\\n", write_termination="\\n",
)
assert "THORLABS" in meter.id and meter.is_power_sensor
meter.wavelength = 1310
assert meter.wavelength == 1310
assert 0 < meter.power < 1
""",
    ("QMI", "sim900"): """
import qmi
qmi.start("check")
from qmi.instruments.stanford_research_systems import Srs_Sim900
frame = qmi.make_instrument("frame", Srs_Sim900, f"tcp:{place}")
frame.open()
frame.send_terminated_message(1, "TERM LF")
assert "SIM928" in frame.ask_module(1, "*IDN?")
frame.send_terminated_message(1, "VOLT 1.250")
assert float(frame.ask_module(1, "VOLT?")) == 1.25
frame.close()
qmi.stop()
""",
    ("QMI", "epc400"): """
import qmi
qmi.start("check")
from qmi.instruments.ozoptics import OzOptics_EPC
squeezers = qmi.make_instrument("squeezers", OzOptics_EPC, f"tcp:{place}")
squeezers.open()
squeezers.set_operating_mode_dc()
squeezers.set_voltage(2, -1234)
assert squeezers.get_voltages()[1] == -1234
assert squeezers.get_operating_mode().upper() == "DC"
squeezers.close()
qmi.stop()
""",
    ("QMI", "agiltron"): """
import qmi
qmi.start("check")
from qmi.instruments.agiltron import Agiltron_Ff1x8
switch = qmi.make_instrument("switch", Agiltron_Ff1x8, f"serial:{place}:baudrate=9600")
switch.open()
switch.set_channel_active(5)
assert switch.get_active_channel() == 5
switch.close()
qmi.stop()
""",
    ("qcodes", "sim900"): """
from qcodes_contrib_drivers.drivers.StanfordResearchSystems.SIM928 import SIM928
host, port = place.split(":")
frame = SIM928("frame", f"TCPIP0::{host}::{port}::SOCKET", visalib="@py")
assert {1, 2} <= set(frame.modules), frame.modules
assert frame.get_module_idn(1)["model"] == "SIM928"
frame.set_voltage(2, -0.5)
assert frame.get_voltage(2) == -0.5
frame.close()
""",
}
# Who wants a port of the system, and not a socket.
ON_A_PTY = {("S15lib", "tdc1"), ("S15lib", "s15spd"), ("QMI", "agiltron")}


@pytest.mark.foreign
@pytest.mark.slow
@pytest.mark.timeout(INSTALL_TIMEOUT_S)
@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("S15lib", "tdc1"),
        ("S15lib", "s15spd"),
        ("pymeasure", "pm100"),
        ("QMI", "sim900"),
        ("QMI", "epc400"),
        ("QMI", "agiltron"),
        ("qcodes", "sim900"),
    ],
)
def test_a_foreign_driver_finds_its_instrument(name: str, driver: str) -> None:
    python = environment(name, REQUIREMENTS[name])
    (entry,) = entry_points(group="qnx_hw.emulators", name=driver)
    listen = "pty" if (name, driver) in ON_A_PTY else "tcp://127.0.0.1:0"

    with serving(entry.load()(), listen) as (place,):
        run(python, "import sys\nplace = sys.argv[1]" + PROGRAMS[name, driver], [place.address])

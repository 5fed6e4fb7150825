"""Drivers by other people run against our emulators: two readings of a manual agree on the bytes.

Opt in with `--foreign`. Each driver gets an environment of its own below the temporary folder, so
its dependencies touch nothing of ours. Their licences are permissive: MIT (S15lib, pymeasure,
qcodes, srsinst, tl-elliptec), a like one (QMI) and Apache 2.0 (pyKDC101).
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
    "srsinst": ["srsinst-dg645==0.1.0"],
    "tl-elliptec": ["tl-elliptec==1.0.1"],
    "pyKDC101": ["pykdc101==0.26", "pyserial"],
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
    ("QMI", "mpc320"): """
import time
import qmi
qmi.start("check")
from qmi.instruments.thorlabs import Thorlabs_Mpc320
paddles = qmi.make_instrument("paddles", Thorlabs_Mpc320, f"serial:{place}:baudrate=115200")
paddles.open()
assert b"MPC" in paddles.get_idn().model
paddles.enable_channels([1, 2, 3])
paddles.move_absolute(2, 40.0)
for _ in range(100):
    if paddles.is_move_completed(2, 0.5):
        break
    time.sleep(0.05)
assert abs(paddles.get_status_update(2).position - 40.0) < 0.5
paddles.close()
qmi.stop()
""",
    ("QMI", "kdc101"): """
import qmi
qmi.start("check")
from qmi.instruments.thorlabs import Thorlabs_Kdc101
mount = qmi.make_instrument(
    "mount", Thorlabs_Kdc101, f"serial:{place}:baudrate=115200", "PRMTZ8"
)
mount.open()
assert "KDC101" in str(mount.get_idn().model)
mount.set_velocity(20.0)
mount.move_home()
mount.wait_move_complete(60.0)
mount.move_absolute(10.0)
mount.wait_move_complete(60.0)
assert abs(mount.get_absolute_position() - 10.0) < 0.05
mount.close()
qmi.stop()
""",
    ("QMI", "pm100"): """
import qmi
qmi.start("check")
from qmi.instruments.thorlabs import Thorlabs_Pm100d
meter = qmi.make_instrument("meter", Thorlabs_Pm100d, f"tcp:{place}")
meter.open()
assert "PM100" in meter.get_idn().model
meter.set_wavelength(1310.0)
assert meter.get_wavelength() == 1310.0
meter.set_autorange(True)
assert meter.get_autorange() and 0 < meter.get_power() < 1
meter.close()
qmi.stop()
""",
    ("srsinst", "dg645"): """
from srsinst.dg645 import DG645
host, port = place.split(":")
generator = DG645("tcpip", host, int(port))
assert generator.check_id()[0] == "DG645"
generator.delays.delay["B"]["A"] = 2.5e-9
reference, delay_s = generator.delays.delay["B"]
assert (int(reference), float(delay_s)) == (2, 2.5e-9), (reference, delay_s)
generator.outputs.amplitude["AB"] = 3.5
assert abs(float(generator.outputs.amplitude["AB"]) - 3.5) < 0.01
generator.trigger.trigger_source = "internal"
generator.trigger.trigger_rate = 1000.0
assert float(generator.trigger.trigger_rate) == 1000.0
generator.disconnect()
""",
    ("tl-elliptec", "ell14"): """
from tl_elliptec import ElliptecBus, discover_devices
with ElliptecBus(place) as bus:
    mounts = discover_devices(bus)
    assert list(mounts) == ["0"], mounts
    mount = mounts["0"]
    assert mount.get_info().pulses_per_unit > 100
    mount.home()
    mount.move_absolute(90.0)
    assert abs(mount.get_position() - 90.0) < 0.1
    mount.set_velocity(60)
    assert mount.get_velocity() == 60
""",
    ("pyKDC101", "kdc101"): """
from pyKDC101 import KDC
mount = KDC(port=place)
mount.move_home_wait()
mount.move_abs_wait(10.0)
assert abs(mount.get_pos_angle() - 10.0) < 0.05, mount.get_pos_angle()
mount.closestage()
""",
    ("qcodes", "websq"): """
import time
from qcodes_contrib_drivers.drivers.SingleQuantum.SingleQuantum import CommunicationHandler
host, port = place.split(":")
class Root:
    npts = staticmethod(lambda: 3)
unit = CommunicationHandler(Root(), None, host, int(port), int(sys.argv[2].split(":")[1]))
assert unit.NUMBER_OF_DETECTORS == 4
unit.enable_detectors(True)
unit.set_bias_current([18.0, 18.5, 19.0, 19.5])
unit.set_measurement_periode(20)
for _ in range(200):
    if unit.get_bias_current() == [18.0, 18.5, 19.0, 19.5]:
        break
    time.sleep(0.05)
assert unit.get_bias_current() == [18.0, 18.5, 19.0, 19.5], unit.get_bias_current()
counts = unit.acquire_cnts_t()
assert counts.shape == (5, 3) and (counts[1:] >= 0).all(), counts
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
ON_A_PTY = {
    ("S15lib", "tdc1"),
    ("S15lib", "s15spd"),
    ("QMI", "agiltron"),
    ("QMI", "mpc320"),
    ("QMI", "kdc101"),
    ("tl-elliptec", "ell14"),
    ("pyKDC101", "kdc101"),
}


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
        ("QMI", "mpc320"),
        ("QMI", "kdc101"),
        ("QMI", "pm100"),
        ("srsinst", "dg645"),
        ("tl-elliptec", "ell14"),
        ("pyKDC101", "kdc101"),
        ("qcodes", "websq"),
    ],
)
def test_a_foreign_driver_finds_its_instrument(name: str, driver: str) -> None:
    python = environment(name, REQUIREMENTS[name])
    (entry,) = entry_points(group="qnx_hw.emulators", name=driver)
    listen = "pty" if (name, driver) in ON_A_PTY else "tcp://127.0.0.1:0"
    ports = [listen] * (2 if driver == "websq" else 1)

    with serving(entry.load()(), *ports) as places:
        program = "import sys\nplace = sys.argv[1]" + PROGRAMS[name, driver]
        run(python, program, [place.address for place in places])

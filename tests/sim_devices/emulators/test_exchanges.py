"""Text instruments, exchange by exchange, as their manuals print them.

A step is (seconds, sent, received): what has been received since the step before by then.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points

import pytest

from sim_devices.emulators.emulator import Emulator

Step = tuple[float, bytes, bytes]

EXCHANGES: dict[str, tuple[str, list[Step]]] = {
    "the detector keeps its settings": (
        "s15spd",
        [
            (0.0, b"*IDN?\r\n", rb"SPD .*\r\n"),
            (0.0, b"hvolt 190.5\r\n", b""),
            (0.0, b"hvolt?\r\n", rb"190\.5\r\n"),
            (0.0, b"hvolt 251\r\nhvolt?\r\n", rb"190\.5\r\n"),
            (0.0, b"loop 0;loop?;", rb"0\r\n"),
            (0.0, b"settemp -25;settemp?;", rb"-25\.0\r\n"),
            (0.0, b"save\r\n", rb"OK\r\n"),
        ],
    ),
    "the detector's counts come after the time": (
        "s15spd",
        [
            (0.0, b"time 500\r\ncounts?\r\n", b""),
            (0.49, b"", b""),
            (0.51, b"", rb"\d+\r\n"),
            (1.0, b"counts?;temp?;time 100;time?;", b""),
            (1.49, b"loop?;", b""),
            (1.51, b"", rb"\d+\r\n-20\.\d+\r\n100\r\n1\r\n"),
            (1.52, b"loop?;", rb"1\r\n"),
        ],
    ),
    "squeezers answer with Done": (
        "epc400",
        [
            (0.0, b"V1,1500\r\n", rb"\r\nDone\r\n"),
            (
                0.0,
                b"V?\r\n",
                rb"Voltage\(mV\): CH1 \+1500 CH2 \+0000 CH3 \+0000 CH4 \+0000\r\nDone\r\n",
            ),
            (0.0, b"V7,100\r\n", rb"Error!\r\n"),
            (0.0, b"V1,5001\r\n", rb"Error!\r\n"),
            (0.0, b"VL2\rVH3\r", rb"\r\nDone\r\n\r\nDone\r\n"),
            (0.0, b"V2,-450\r\nV?\r", rb"\r\nDone\r\nVol.*CH2 -0450 CH3 \+5000 .*\r\nDone\r\n"),
            (0.0, b"M?\r\n", rb"Operating Mode: DC\r\nDone\r\n"),
            (0.0, b"MAC\r\nM?\r\n", rb"\r\nDone\r\nOperating Mode: AC\r\nDone\r\n"),
            (
                0.0,
                b"F?\r\n",
                rb"Frequency\(Hz\): CH1 007  CH2 017  CH3 037  CH4 071\r\nDone\r\n",
            ),
            (0.0, b"ENVF1\rVF2\rVF?\r", rb"(\r\nDone\r\n){2}CH1-V CH2-F .* enabled\r\nDone\r\n"),
            (0.0, b"WF2\r\nWF?\r\n", rb"\r\nDone\r\nAC Waveform: Triangle\r\nDone\r\n"),
            (0.0, b"F1,0050\r\nF?\r\n", rb"\r\nDone\r\nFrequency.*CH1 050  CH2.*\r\nDone\r\n"),
        ],
    ),
    "the liquid crystal echoes and prompts": (
        "lcc25",
        [
            (0.0, b"volt1=2.5\r", rb"volt1=2\.5\r> "),
            (0.0, b"volt1?\r", rb"volt1\?\r2\.500\r> "),
            (0.0, b"volt1=99\r", rb"volt1=99\rCMD_ARG_INVALID\r> "),
            (0.0, b"fly?\r", rb"fly\?\rCMD_NOT_DEFINED\r> "),
            (0.0, b"*idn?\r", rb"\*idn\?\rThorlabs LCC25 ver 1\.01\r> "),
            (0.0, b"\r", rb"\r> "),
            (0.0, b"volt2?\r\nvolt2?\r\n", rb"(volt2\?\r0\.000\r> ){2}"),
            (0.0, b"mode=1.5\r", rb"mode=1\.5\rCMD_ARG_INVALID\r> "),
            (0.0, b"mode=2\rmode?\r", rb"mode=2\r> mode\?\r2\r> "),
            (0.0, b"set=3\rvolt1=1\rget=3\r", rb"set=3\r> volt1=1\r> get=3\r> "),
            (0.0, b"volt1?\r", rb"volt1\?\r2\.500\r> "),
        ],
    ),
    "the coincidence counter": (
        "cc1",
        [
            (0.0, b":ACKN OF\nFIRM?\n", rb"Firmware v2\.2\.0\n"),
            (0.0, b":DWEL 0.5\nDWEL?\n", rb"0\.5 s\n"),
            (0.0, b":WIND 5\nWIND?\n", rb"5 ns\n"),
            (0.0, b":DELA 6\nDELA?\n", rb"6 ns\n"),
            (0.0, b":GATE:ON\nGATE?\nSUBT?\n", rb"ON\nOFF\n"),
            (0.0, b":TRIG:MODE STOP\nTRIG?\n", rb"MODE STOP\n"),
            (0.0, b"fly\n", rb"Unknown command\n"),
            (0.6, b"COUN:C1?\n", rb"(4[5-9]|5[0-5])\d\d\n"),
            (0.6, b"CLEA\nCOUN:CO?\n", rb"0\n"),
            (0.6, b":ACKN ON\n:WIND 4\nWIND?\nfly\n", rb":WIND 4\nWIND\?\n4 ns\nfly\nUnkn.*\n"),
            (0.6, b":ACKN OF\n:WIND 5\nWIND?\n", rb":ACKN OF\n5 ns\n"),
        ],
    ),
    "the matrix switch connects and reports": (
        "polatis",
        [
            (0.0, b"*idn?\n", rb"Polatis,I-OST-16x16-LU1-DMHNS,002414,6\.5\.2\.18\n"),
            (0.0, b":oxc:swit:size?\n", rb"16,16\n"),
            (0.0, b":oxc:swit:conn:stat?\n", rb"\(@\),\(@\)\n"),
            (1.0, b":oxc:swit:conn:add (@1),(@17);*opc?\n", b""),
            (1.03, b"", rb"1\n"),
            (1.1, b":OXC:SWITch:CONNect:ADD (@ 2, 3), (@19:20)\n", b""),
            (1.2, b"oxc:swit:conn:stat?\n", rb"\(@1,2,3\),\(@17,19,20\)\n"),
            (1.2, b":oxc:swit:conn:port? 2;:oxc:swit:conn:port? 16\n", rb'"19";""\n'),
            (1.3, b":oxc:swit:conn:add (@1),(@20)\n", b""),
            (1.4, b":oxc:swit:conn:stat?\n", rb"\(@1,2\),\(@20,19\)\n"),
            (1.4, b":oxc:swit:conn:sub (@1),(@20)\n", b""),
            (1.5, b":oxc:swit:conn:stat?\n", rb"\(@2\),\(@19\)\n"),
            (1.5, b":oxc:swit:conn:only (@4),(@32)\n", b""),
            (1.6, b":oxc:swit:conn:stat?\n", rb"\(@4\),\(@32\)\n"),
            (1.6, b":oxc:swit:port:dis (@4,5)\n:oxc:swit:port:stat? (@4:6)\n", rb"\(D,D,E\)\n"),
            (1.6, b":oxc:swit:conn:add (@99),(@17);fly\n", b""),
            (1.7, b"syst:err:all?\n", rb'-222,"[^"]*",-113,"[^"]*"\n'),
            (1.7, b"syst:err?\n", rb'0,"No error"\n'),
            (1.7, b":oxc:swit:conn:add (@6),(@32)\n", b""),
            (1.8, b":opm:power? (@6,31,32)\n", rb"\(0\.00,-60\.00,-1\.\d\d\)\n"),
            (1.8, b":oxc:swit:conn:port?\nsyst:err?\n", rb'-109,"Missing parameter"\n'),
            (1.8, b"oxc:swit:size?;conn:port? 6;*esr?\n", rb'16,16;"32";176\n'),
        ],
    ),
    "the power meter is silent about what is wrong": (
        "pm100",
        [
            (0.0, b"*IDN?\n", rb"THORLABS,PM100D,P0000001,2\.4\.0\n"),
            (0.0, b"MEAS:POW?\n", rb"1\.2\d{5}E-06\n"),
            (0.0, b"SENS:CORR:WAV 1310\nSENS:CORR:WAV?\n", rb"1\.310000E\+03\n"),
            (0.0, b"SENS:CORR:WAV? MIN\n", rb"8\.000000E\+02\n"),
            (0.0, b"SYST:ERR?\n", rb'\+0,"No error"\n'),
            (0.0, b"SENS:CORR:WAV 99\nSYST:ERR?\n", rb'-222,"Data out of range"\n'),
            (0.0, b"FLY\nSYST:ERR?\n", rb'-113,"Undefined header"\n'),
            (0.0, b"SYST:SENS:IDN?\n", rb"S154C,00000001,01-JAN-2024,1,2,289\n"),
            (0.0, b"SENSe:POWer:DC:RANGe:AUTO 0\nSENS:POW:RANG:AUTO?\n", rb"0\n"),
            (0.0, b"SENS:POW:RANG 1e-7\nREAD?\n", rb"9\.900000E\+37\n"),
            (0.0, b"*RST\n*OPC?\nSENS:POW:UNIT DBM\nREAD?\n", rb"1\n-2\.9\d{5}E\+01\n"),
            (0.0, b"*CLS;SENS:CORR:WAV 1310NM;WAV?\n", rb"1\.310000E\+03\n"),
            (0.0, b"POW:DC:RANG:UPP 1mW;:SENS:POW:RANG?\n", rb"1\.000000E-03\n"),
            (0.0, b"MEASure:SCALar:POWer:DC?\nAVER?\n", rb"-2\.9\d{5}E\+01\n1\n"),
            (0.0, b"SENS:CORR:WAV red\nSYST:ERR?\n", rb'-104,"Data type error"\n'),
            (0.0, b"SENS:AVER:COUN 1001\nREAD?\n", b""),
            (0.29, b"", b""),
            (0.31, b"SENS:AVER:COUN 1\n", rb"-2\.9\d{5}E\+01\n"),
            (0.31, b"*ESE 32\n*ESE?;*ESR?;*ESR?;*STB?\n", rb"32;32;0;0\n"),
            (0.31, b"STAT:OPER:PTR 512;:STATus:OPERation:PTRansition?\n", rb"512\n"),
            (0.31, b"STAT:OPER?;:STAT:QUES:COND?;:STAT:PRES;:SYST:ERR:COUN?\n", rb"0;0;0\n"),
            (0.31, b"STAT:OPER:COND 1;:SYST:ERR?\n", rb'-113,"Undefined header"\n'),
            (
                0.31,
                b"FLY;" * 40 + b"SYST:ERR:ALL?\n",
                rb'(-113,"Undefined header",){31}-350,"Queue overflow"\n',
            ),
        ],
    ),
    "delays": (
        "dg645",
        [
            (0.0, b"*IDN?\n", rb"Stanford Research Systems,DG645,s/n001013,ver1\.10\.00E\r\n"),
            (0.0, b"DLAY 2,0,12.5e-9\r\nDLAY?2\n", rb"0,\+0\.000000012500\r\n"),
            (0.0, b"TSRC 1\nTSRC?\nLERR?\n", rb"1\r\n0\r\n"),
            (0.0, b"TSRC 9\nLERR?\n", rb"10\r\n"),
            (0.0, b"FLY 1\nLERR?\nLERR?\n", rb"110\r\n0\r\n"),
            (0.0, b"LAMP 1,3.5\nLAMP?1\n", rb"\+3\.50\r\n"),
            (0.0, b"*SAV 1\nTSRC 0\n*RCL 1\nTSRC?\n", rb"1\r\n"),
            (0.0, b"LAMP 1,3.5\n*SAV 2\nLAMP 1,1\n*RCL 2\nLAMP?1\n", rb"\+3\.50\r\n"),
            (0.0, b"DISP 11,3\nDISP?\nADVT 1;ADVT?;BURT?\n", rb"11,3\r\n1\r\n0\r\n"),
            (0.0, b"DISP 99,0\nLERR?\n*OPC;*WAI\nLERR?\n", rb"10\r\n0\r\n"),
            (0.0, b"DLAY 3,2,1e-6\nDLAY 2,3,0\nLERR?\nDLAY?2\n", rb"13\r\n0,\+0\.0{7}12500\r\n"),
            (0.0, b"LINK 4,4\nLERR?\nDLAY 2,0,3000\nLERR?\n", rb"13\r\n12\r\n"),
            (0.0, b"BURM 0.5\nLERR?\nBURM?\nTSRC\nLERR?\n", rb"10\r\n0\r\n116\r\n"),
            (0.0, b"TRAT 1,2;TRAT x;FLIT 1;*TRG?;INSR 1\n", b""),
            (0.0, b"LERR?;LERR?;LERR?;LERR?;LERR?\n", b"115\r\n118\r\n111\r\n112\r\n113\r\n"),
            (0.0, b"DLAY5,0,2e-6;DLAY?5;TSRC0;TSRC?\n", rb"0,\+0\.0{5}2000000\r\n0\r\n"),
            (0.0, b"PRES 7;PRES?;PRES?0;PRES 2,9;PRES?2;PRES?\n", b"7\r\n7\r\n9\r\n7\r\n"),
            (0.0, b"PRES 5,9;LERR?;PRES?5;LERR?\n", b"10\r\n10\r\n"),
        ],
    ),
    "the fibre switch obeys one frame after the other": (
        "agiltron",
        [
            (0.0, b"\x01\x12\0\x05\x01\x11\0\0", b""),
            (0.01, b"", b"\x01\x12\0\x05\x01\x11\0\x05"),
            (0.01, b"\x01\x12\0\x09\x01\x11\0\0", b"\x01\x11\0\x05"),
        ],
    ),
    "the small switch": (
        "osw",
        [
            (0.0, b"S?\n", rb"1\r\n"),
            (0.0, b"S 2\n", b""),
            (0.0, b"S 3\nS?\n", rb"2\r\n"),
            (0.0, b"I?\n", rb"OSW12.*\r\n"),
        ],
    ),
    "the attenuator answers when it has moved": (
        "dd100",
        [
            (0.0, b"CD\r", rb"(.*\r\n)*IL:1\.50\r\nMAX ATTEN:60\.00\r\nDone\r\n\r\n"),
            (0.0, b"A10.00\r", b""),
            (1.0, b"", rb"Pos:1502\r\nDone\r\n\r\n"),
            (1.0, b"D\r\n", rb"DPos:1502\r\nATTEN:10\.00\r\nDone\r\n\r\n"),
            (1.0, b"A99\r", rb"Error!\r\n\r\n"),
            (2.0, b"H\r", b""),
            (6.0, b"", rb"Done\r\n\r\n"),
        ],
    ),
    "the visible detector": (
        "id120",
        [
            (0.0, b"BIAS:VOLTAGE 165000000\nBIAS:VOLTAGE?\n", rb"165000000\n"),
            (0.0, b"DEADTIME:TIME?\n", rb"1000\n"),
            (0.0, b"COUNTERS:DETECTION_FREQ?\n", rb"[12]\d{3}\n"),
            (0.0, b"INFO:PRODUCT_NAME?\nINFO:APD_TYPE?\n", rb"ID120\nNONE\n"),
            (0.0, b"BIAS:CAPABILITY?\n", rb"0,250000000,uV\n"),
            (0.0, b"COUNTERS:INTEGRATION_TIME_CAPABILITY?\n", rb"1,100000,ms\n"),
            (0.0, b"REG:TEMP_SET_POINT_CAPABILITY?\n", rb"-50000,20000,mC\n"),
            (0.0, b"REG:MEASURED_TEMP?\nBIAS:ERROR_STATUS?\n", rb"-40000\nFALSE\n"),
            (0.0, b"REG:RUN FALSE\nREG:STATE?\n", rb"FALSE\n"),
        ],
    ),
    "the polarimeter locks before it measures": (
        "pax1000",
        [
            (0.0, b"*IDN?\n", rb"THORLABS,PAX1000IR2/M,.*\n"),
            (0.0, b"INPut:ROTation:STATe 1\nINP:ROT:STAT?\n", rb"1\n"),
            (0.0, b"SENSe:DATA:PRIMary:LATest?\n", rb"(\d+,){3}1,.*\n"),
            (
                2.1,
                b"SENS:DATA:PRIM:LAT?\n",
                rb"(\d+,){3}0,(0,){5}(2\.99|3\.00)\d+E-01,.*,9.8\d+E-01,.*\n",
            ),
            (2.1, b"SENSe:CALCulate:MODE 5;:SENS:CALC?\n", rb"5\n"),
            (2.1, b"SENS:CALC:MOD 9;MOD?;:SENS:CALC:MOD?\n", rb"9;9\n"),
            (2.1, b"INP:ROT:STAT OFF;:INP:ROT:STAT?;STAT ON;STAT?\n", rb"0;1\n"),
            (2.1, b"SENS:CALC ON\nSYST:ERR?\n", rb'-104,"Data type error"\n'),
            (2.1, b"SENS:CORR:WAV? MIN;WAV? MAX\n", rb"9\.0{6}E-07;1\.70{5}E-06\n"),
            (2.1, b"INP:ROT:VEL MAX;VEL?\n", rb"2\.0{6}E\+02\n"),
        ],
    ),
}


def make(kind: str) -> Emulator:
    (point,) = entry_points(group="qnx_hw.emulators", name=kind)
    emulator: Emulator = point.load()(None, {})
    return emulator


@pytest.mark.parametrize("title", EXCHANGES)
def test_exchanges(title: str) -> None:
    kind, steps = EXCHANGES[title]
    device = make(kind)
    before_s = 0.0

    for at_s, sent, expected in steps:
        ticks = range(round(before_s * 100), round(at_s * 100) + 1)
        received = b"".join(out.payload for tick in ticks for out in device.tick(tick / 100))
        received += b"".join(out.payload for out in device.feed(0, 1, sent, at_s))
        assert re.fullmatch(expected, received, re.DOTALL), (at_s, sent, received)
        before_s = at_s


def test_replies_that_wait_behind_a_long_one_are_limited() -> None:
    device = make("s15spd")
    device.connected(0, 1)
    device.feed(0, 1, b"time 60000;counts?;", 0.0)

    for _ in range(50):
        device.feed(0, 1, b"loop?;" * 100, 0.0)

    waited = [output.payload for output in device.tick(61.0)]
    assert waited[0].strip().isdigit()
    assert 100 < len(waited) < 1000
    device.feed(0, 1, b"time 1;counts?;", 61.0)
    assert len(device.tick(62.0)) == 1

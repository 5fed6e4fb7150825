"""Links of QKD networks that were built or worked out, with their secret key rates in bit/s.

Rates are as published or recalled from the papers named; NSFNET-14 is modelled: segments of at most
80 km at 0.2 dB/km, at most 3 Mbit/s.
"""

KEY_NETWORKS: dict[str, tuple[tuple[str, str, float], ...]] = {
    # Peev et al., New J. Phys. 11, 075001 (2009)
    "SECOQC Vienna": (
        ("SIE", "ERD", 2500.0),
        ("ERD", "FRM", 17000.0),
        ("ERD", "GUD", 8000.0),
        ("SIE", "BRE", 3100.0),
        ("STP", "BRE", 600.0),
        ("BRE", "ERD", 1000.0),
        ("SIE", "GUD", 1000.0),
        ("BRE", "GUD", 1000.0),
    ),
    # Stucki et al., New J. Phys. 13, 123001 (2011)
    "SwissQuantum": (
        ("Unige", "CERN", 900.0),
        ("CERN", "hepia", 900.0),
        ("hepia", "Unige", 900.0),
    ),
    # Sasaki et al., Opt. Express 19, 10387 (2011)
    "Tokyo": (
        ("Ot", "Ha", 2000.0),
        ("Ot", "Ko", 81700.0),
        ("Ko", "Ko2", 2100.0),
        ("Ko2", "Ko3", 250.0),
        ("Ot", "Ko2", 304000.0),
        ("Ot", "Ho", 1500.0),
    ),
    # Dynes et al., npj Quantum Inf. 5, 101 (2019)
    "Cambridge": (
        ("Eng", "CAPE", 2600000.0),
        ("CAPE", "TREL", 2600000.0),
        ("TREL", "Eng", 2600000.0),
    ),
    # the research network of 1991
    "NSFNET-14": (
        ("SEA", "PAO", 152639.0),
        ("SEA", "SAN", 158147.0),
        ("SEA", "CMI", 158199.0),
        ("PAO", "SLC", 176599.0),
        ("PAO", "SAN", 184356.0),
        ("SAN", "HOU", 161818.0),
        ("HOU", "ATL", 153665.0),
        ("HOU", "CPK", 158921.0),
        ("HOU", "BOU", 156642.0),
        ("ATL", "PIT", 169598.0),
        ("PIT", "PRI", 170697.0),
        ("PIT", "ITH", 205695.0),
        ("PIT", "CMI", 178418.0),
        ("CMI", "LNK", 162009.0),
        ("LNK", "BOU", 153333.0),
        ("BOU", "SLC", 185472.0),
        ("SLC", "ARB", 166038.0),
        ("ARB", "PRI", 160408.0),
        ("ARB", "ITH", 155829.0),
        ("ITH", "CPK", 172366.0),
        ("PRI", "CPK", 199045.0),
    ),
}

"""Passwords are kept as scrypt hashes that fit one password."""

import pytest

from qnx_hw.errors import ConfigError
from qnx_hw.node.access.passwords import fits, hashed, nobodys


@pytest.mark.slow
def test_a_hash_fits_its_password_alone_and_is_salted() -> None:
    one, other = hashed("correct horse battery"), hashed("correct horse battery")

    assert one != other
    assert fits("correct horse battery", one)
    assert not fits("correct horse batterY", one)
    assert one.startswith("scrypt$32768$8$3$")
    assert not fits("", nobodys())


def test_short_passwords_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 12"):
        hashed("hunter2")

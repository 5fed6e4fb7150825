"""`python -m qnx_hw` is `qnx`."""

import sys

from qnx_hw.cli import main

sys.exit(main())

"""`python -m qnx_hw.node.api`: write the reference page of the HTTP API to standard output."""

import sys

from qnx_hw.node.api.application import reference_page

sys.stdout.write(reference_page())

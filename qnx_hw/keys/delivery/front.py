"""One listener for all ways in which SAEs ask for keys; the path says which."""

from __future__ import annotations

from qnx_hw.config import KeysSection
from qnx_hw.errors import RequestRefused, StoreFailed
from qnx_hw.keys.delivery import json004
from qnx_hw.keys.delivery.http import Request, Response
from qnx_hw.keys.delivery.qkd004 import Streams
from qnx_hw.keys.delivery.qkd014 import Delivery, Registry, refuse
from qnx_hw.keys.delivery.rates import Rates
from qnx_hw.keys.delivery.skip import Skip, is_skip
from qnx_hw.keys.kme import Kme


class Front:
    """Answers in the words of ETSI GS QKD 014, of 004 in JSON, or of SKIP."""

    def __init__(self, kme: Kme, registry: Registry, offer: KeysSection, rates: Rates) -> None:
        self._delivery = Delivery(kme, registry, offer, rates)
        self._streams = json004.StreamBinding(Streams(kme, registry, offer))
        self._skip = Skip(kme, registry, offer)

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        is_stream = request.path.startswith(json004.PATH)
        if not is_stream and not is_skip(request.path):
            return await self._delivery.answer(request)
        try:
            caller = self._delivery.counted(request.client)
            if is_stream:
                return await self._streams.answer(caller, request)
            return await self._skip.answer(caller, request)
        except RequestRefused as error:
            return refuse(error.status, str(error))
        except StoreFailed as error:
            return refuse(503, str(error))

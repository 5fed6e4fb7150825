"""A process with edges shows what their traffic does, also where there is no key for it."""

import asyncio
from pathlib import Path

from edge_net import until
from free_ports import free_port

from qnx_hw.api.traffic import HopView, TunnelState, TunnelView
from qnx_hw.config import parse
from qnx_hw.node.host import Host
from qnx_hw.node.metrics import text


def test_hops_come_up_and_a_tunnel_without_a_link_says_why_it_is_blocked(tmp_path: Path) -> None:
    tunnel_port = free_port()
    network = parse(
        f'[network]\nname = "test"\ndata_dir = "{tmp_path}"\n'
        + "".join(
            f'[nodes.{node}]\nlisten = "127.0.0.1:{free_port()}"\n'
            f'[nodes.{node}.edge]\nlisten = "127.0.0.1:{free_port()}"\n'
            f"hops = {{ {peer} = {{}} }}\n"
            for node, peer in (("alice", "bob"), ("bob", "alice"))
        )
        + '[tunnels.web]\nsource = "alice"\ndestination = "bob"\n'
        f'listen = "127.0.0.1:{tunnel_port}"\ntarget = "127.0.0.1:1"\n'
    )

    async def scene() -> None:
        host = Host(network, ["alice", "bob"])
        async with asyncio.timeout(120), host.running():
            _, writer = await asyncio.open_connection("127.0.0.1", tunnel_port)
            site = host.nodes["alice"].site
            assert site is not None
            await until(lambda: site.edge.hops["bob"].is_up)
            await until(lambda: bool(site.edge.lines["web", True].message))
            await site.reporter.report()
            host.publish()

            hops = {view.name: view for view in host.hub.latest(HopView)}
            (tunnel,) = host.hub.latest(TunnelView)
            assert hops["alice bob"].is_up
            assert tunnel.state is TunnelState.BLOCKED
            assert "no link to 'bob'" in tunnel.message
            assert 'qnx_hop_up{source="alice",target="bob"} 1' in text(host.hub)
            writer.close()

    asyncio.run(scene())

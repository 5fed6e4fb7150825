"""The dashboard's pages and files; the pages read the HTTP API like any other client."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gui.theme import ICONS, Theme, palette

HERE = Path(__file__).resolve().parent
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def routes() -> list[BaseRoute]:
    """Return what the node mounts at `/`."""
    return [
        Route("/", overview),
        Route("/theme.css", theme),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Mount("/icons", StaticFiles(directory=ICONS)),
    ]


async def overview(request: Request) -> Response:
    """Show the whole network on one page."""
    return _page("overview.html", title="Overview", active="overview")


async def theme(request: Request) -> Response:
    """Give the token table as CSS variables, dark by default and light on demand."""
    return Response(stylesheet(), media_type="text/css", headers={"Cache-Control": "max-age=300"})


def stylesheet() -> str:
    """Write both themes' colours as CSS custom properties."""
    blocks = []
    for name, selector in ((Theme.DARK, ":root"), (Theme.LIGHT, ':root[data-theme="light"]')):
        colours, channels, heat = palette(name)
        lines = [f"  --{field}: {getattr(colours, field)};" for field in colours.__struct_fields__]
        lines += [f"  --channel-{index}: {colour};" for index, colour in enumerate(channels)]
        lines += [f"  --heat-{index}: {colour};" for index, colour in enumerate(heat)]
        blocks.append(f"{selector} {{\n  color-scheme: {name};\n" + "\n".join(lines) + "\n}\n")
    return "".join(blocks)


def _page(template: str, **values: str) -> HTMLResponse:
    body = _TEMPLATES.get_template(template).render(**values)
    return HTMLResponse(body, headers={**SECURITY_HEADERS, "Cache-Control": "no-store"})

"""The dashboard's pages and files; the pages read the HTTP API like any other client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: a template and a module of the same name."""

    name: str
    path: str
    title: str
    icon: str = ""
    group: str = ""
    nav: str = ""
    """The page that the list of pages marks; itself where empty."""
    has_charts: bool = False
    has_range: bool = False


PAGES = (
    Page(
        name="overview", path="/", title="Overview", icon="layout-dashboard",
        has_charts=True, has_range=True,
    ),
    Page(name="map", path="/map", title="Network map", icon="workflow", has_charts=True),
    Page(
        name="pools", path="/pools", title="Key pools", icon="key-round",
        has_charts=True, has_range=True,
    ),
    Page(name="links", path="/links", title="Links", icon="link"),
    Page(name="nodes", path="/nodes", title="Nodes", icon="server"),
    Page(name="routing", path="/routing", title="Routing", icon="route", has_charts=True),
    Page(name="alarms", path="/alarms", title="Alarms", icon="bell", group="Operate"),
    Page(
        name="analytics", path="/analytics", title="Analytics", icon="chart-line",
        group="Operate", has_charts=True, has_range=True,
    ),
    Page(
        name="recordings", path="/recordings", title="Recordings", icon="database",
        group="Operate",
    ),
    Page(
        name="settings", path="/settings", title="Settings", icon="sliders-horizontal",
        group="Admin",
    ),
    Page(name="users", path="/users", title="Users & tokens", icon="users", group="Admin"),
    Page(name="audit", path="/audit", title="Audit log", icon="list", group="Admin"),
)  # fmt: skip
MISSING = Page(name="missing", path="/{path:path}", title="No such page")
HIDDEN_PAGES = (
    Page(
        name="link", path="/links/{name}", title="Link", nav="links",
        has_charts=True, has_range=True,
    ),
)  # fmt: skip


def routes() -> list[BaseRoute]:
    """Return what the node mounts at `/`."""
    return [
        *(Route(page.path, _shown(page)) for page in (*PAGES, *HIDDEN_PAGES)),
        Route("/login", login),
        Route("/theme.css", theme),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Mount("/icons", StaticFiles(directory=ICONS)),
        _Missing(MISSING.path, _shown(MISSING, status=404)),
    ]


class _Missing(Route):
    """What a browser gets where no page is; programs get the API's own refusal."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accepts = Headers(scope=scope).get("accept", "") if scope["type"] == "http" else ""
        if "text/html" not in accepts or scope["path"].startswith("/api/"):
            return Match.NONE, {}
        match, child = super().matches(scope)
        return (match, child) if match is Match.FULL else (Match.NONE, {})


async def login(request: Request) -> Response:
    """Ask who it is; says nothing about the network."""
    return _html(_TEMPLATES.get_template("login.html").render())


async def theme(request: Request) -> Response:
    """Give the token table as CSS variables, dark by default and light on demand."""
    text = stylesheet() + icons()
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=300"})


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


def icons() -> str:
    """Write a CSS class for each icon; it takes the colour of the text around it."""
    names = sorted(path.stem for path in ICONS.glob("*.svg"))
    return "".join(f".icon-{name} {{ --shape: url(/icons/{name}.svg); }}\n" for name in names)


def _shown(page: Page, status: int = 200) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        groups = [(name, list(each)) for name, each in groupby(PAGES, lambda one: one.group)]
        template = _TEMPLATES.get_template(f"{page.name}.html")
        marked = Page(
            name=page.name, path=page.path, title=page.title, nav=page.nav or page.name,
            has_charts=page.has_charts, has_range=page.has_range,
        )  # fmt: skip
        return _html(template.render(page=marked, groups=groups), status)

    return show


def _html(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status, headers={**SECURITY_HEADERS, "Cache-Control": "no-store"})

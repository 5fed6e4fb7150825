"""The network as a map: sites, the ways between them, their load, and the routes of a flow."""

from gui.desktop.network_map.view import NetworkMap
from gui.desktop.network_map.ways import Way, places, ways

__all__ = ["NetworkMap", "Way", "places", "ways"]

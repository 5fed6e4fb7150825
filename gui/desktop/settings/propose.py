"""A change of the network file that a dialog proposes: checked, reviewed, applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QWidget

from gui.desktop.desk import Desk
from gui.desktop.settings.review import ReviewDialog
from qnx_hw.api.commands import Change, Draft
from qnx_hw.api.settings import Preview, Settings


def propose(
    desk: Desk,
    parent: QWidget,
    changes: Sequence[Change],
    *,
    then: Callable[[Settings], None],
    otherwise: Callable[[str], None],
) -> None:
    """Show what changes would do, and apply them where the user agrees; nothing here waits."""
    requests = desk.client.requests

    def loaded(settings: Settings) -> None:
        draft = Draft(revision=settings.revision, changes=tuple(changes))
        requests.post(
            ("settings", "preview"),
            Preview,
            draft,
            then=lambda preview: show(preview, draft),
            otherwise=otherwise,
        )

    def show(preview: Preview, draft: Draft) -> None:
        dialog = ReviewDialog(preview, desk.look, parent)
        dialog.finished.connect(dialog.deleteLater)

        def done(settings: Settings) -> None:
            dialog.accept()
            then(settings)

        dialog.agreed.connect(
            lambda: requests.post(
                ("settings", "apply"), Settings, draft, then=done, otherwise=dialog.refuse
            )
        )
        dialog.open()

    requests.get(("settings",), Settings, then=loaded, otherwise=otherwise)

"""The dialog that attaches the desktop to another node."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.desk import Desk


class AttachDialog(QDialog):
    """Asks for a node's address and, where it has users, for a token."""

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Attach to a node")
        self._desk = desk
        self.url = QLineEdit(desk.client.url)
        self.url.setAccessibleName("Address of the node")
        self.token = QLineEdit()
        self.token.setAccessibleName("Token")
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText("only where the node has users")
        self.problem = QLabel()
        self.problem.setObjectName("problem")
        self.problem.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Address", self.url)
        form.addRow("Token", self.token)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.attach_button = self.buttons.addButton(
            "Attach", QDialogButtonBox.ButtonRole.AcceptRole
        )
        self.attach_button.setObjectName("primary")
        self.buttons.accepted.connect(self._attach)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(self.buttons)
        self.resize(440, 150)

    def _attach(self) -> None:
        url = self.url.text().strip().rstrip("/")
        parts = QUrl(url, QUrl.ParsingMode.StrictMode)
        if parts.scheme() not in ("http", "https") or not parts.host():
            self.problem.setText(f"'{url}' is not an address such as http://127.0.0.1:8470")
            return
        self._desk.client.attach(url, self.token.text().strip())
        self.accept()


def attach_tool(desk: Desk, window: QWidget) -> None:
    """Offer to show another node."""

    def show() -> None:
        dialog = AttachDialog(desk, window)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    desk.add_action("attach", "Attach to a node…", show, keys="Ctrl+O", icon="server")

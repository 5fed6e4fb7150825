"""Changes of the network file that are typed and not applied yet, with undo."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from gui.desktop.settings.schema import Field, Group, Held, Path, read_schema
from qnx_hw.api.commands import Change, Draft
from qnx_hw.api.settings import Settings

_NOTHING = object()


class FileDraft(QObject):
    """The file as the node has it, and what shall be different."""

    changed = Signal()
    """An edit came, went or was undone."""
    loaded = Signal()
    """The node's file was loaded anew."""

    def __init__(self, undo: QUndoStack) -> None:
        super().__init__()
        self._undo = undo
        self._edits: dict[Path, Held] = {}
        self._problems: dict[Path, str] = {}
        self._fields: dict[Path, Field] = {}
        self.root = Group(path=())
        self.revision = ""
        self.file = ""
        self.needs_restart = False
        self.overtaken: tuple[Field, ...] = ()
        """Edited fields whose value in the file changed since the edit was made."""

    def load(self, settings: Settings) -> None:
        """Take over the node's file; edits stay, except those that came true."""
        before = self._fields
        self.root = read_schema(settings.json_schema, settings.values)
        self._fields = {f.path: f for group in self.root.walk() for f in group.fields}
        self.revision, self.file = settings.revision, settings.file
        self.needs_restart = settings.needs_restart
        self._edits = {
            path: value
            for path, value in self._edits.items()
            if path in self._fields and not _is_so(self._fields[path], value)
        }
        self._problems = {}
        self.overtaken = tuple(
            self._fields[path]
            for path in self._edits
            if path in before and before[path].value != self._fields[path].value
        )
        self.loaded.emit()
        self.changed.emit()

    def field(self, path: Path) -> Field:
        """Return a field of the file."""
        return self._fields[path]

    @property
    def edited(self) -> tuple[Path, ...]:
        """Where the draft differs from the file, in order of typing."""
        return tuple(self._edits)

    @property
    def problems(self) -> tuple[tuple[Path, str], ...]:
        """What is wrong where."""
        return tuple(self._problems.items())

    @property
    def can_be_reviewed(self) -> bool:
        """Whether there is something to apply and nothing wrong."""
        return bool(self._edits) and not self._problems

    def value(self, path: Path) -> Held:
        """Return what a field would hold."""
        return self._edits.get(path, self._fields[path].value)

    def is_edited(self, path: Path) -> bool:
        """Whether a field differs from the file."""
        return path in self._edits

    def edit(self, path: Path, value: Held) -> None:
        """Change a field; None goes back to the default."""
        self._problems.pop(path, None)
        before = self._edits.get(path, _NOTHING)
        after = _NOTHING if _is_so(self._fields[path], value) else value
        if before is _NOTHING and after is _NOTHING:
            self.changed.emit()
        elif before != after:
            self._undo.push(_Edit(self, path, before, after))

    def blame(self, path: Path, problem: str) -> None:
        """Keep in mind that what is typed cannot be."""
        self._problems[path] = problem
        self.changed.emit()

    def discard(self) -> None:
        """Forget all edits."""
        self._edits, self._problems, self.overtaken = {}, {}, ()
        self._undo.clear()
        self.loaded.emit()
        self.changed.emit()

    def changes(self) -> Draft:
        """Return the edits as a command to the node."""
        changes = tuple(
            Change(path=path, value=tuple(value) if isinstance(value, list) else value)
            for path, value in self._edits.items()
        )
        return Draft(revision=self.revision, changes=changes)

    def _put(self, path: Path, value: object) -> None:
        if path not in self._fields:
            return
        if value is _NOTHING:
            self._edits.pop(path, None)
        else:
            self._edits[path] = value
        self._problems.pop(path, None)
        self.changed.emit()


def _is_so(field: Field, value: Held) -> bool:
    """Whether a field holds a value already; None is the default, unsaid."""
    return field.held is None if value is None else bool(field.value == value)


class _Edit(QUndoCommand):
    def __init__(self, draft: FileDraft, path: Path, before: object, after: object) -> None:
        super().__init__(f"change {'.'.join(path)}")
        self._draft, self._path = draft, path
        self._before, self._after = before, after

    def id(self) -> int:
        """Say that these commands may become one."""
        return 1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Make one step of what is typed into one field."""
        if not isinstance(other, _Edit) or other._path != self._path:
            return False
        self._after = other._after
        self.setObsolete(self._after == self._before)
        return True

    def undo(self) -> None:
        self._draft._put(self._path, self._before)

    def redo(self) -> None:
        self._draft._put(self._path, self._after)

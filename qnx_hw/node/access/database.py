"""The file where users, sessions, tokens, the audit and earlier network files are kept."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
  name TEXT PRIMARY KEY, rights TEXT NOT NULL, password TEXT NOT NULL,
  created_s REAL NOT NULL, last_login_s REAL);
CREATE TABLE IF NOT EXISTS sessions (
  digest TEXT PRIMARY KEY, user TEXT NOT NULL, csrf TEXT NOT NULL,
  began_s REAL NOT NULL, used_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (
  number INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  owner TEXT NOT NULL, rights TEXT NOT NULL, scopes TEXT NOT NULL,
  created_s REAL NOT NULL, expires_s REAL, used_s REAL);
CREATE TABLE IF NOT EXISTS audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT, time_s REAL NOT NULL, who TEXT NOT NULL,
  address TEXT NOT NULL, what TEXT NOT NULL, was TEXT NOT NULL, became TEXT NOT NULL,
  status INTEGER NOT NULL, error TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
  number INTEGER PRIMARY KEY AUTOINCREMENT, time_s REAL NOT NULL, who TEXT NOT NULL,
  words TEXT NOT NULL, content TEXT NOT NULL);
"""


def open_database(path: Path | str) -> sqlite3.Connection:
    """Open the file, or make it so that only its owner may read it; each statement commits."""
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        os.chmod(path, 0o600)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_SCHEMA)
    return connection

#!/usr/bin/env python3
"""Set qnx up in an environment of its own and run it; needs Python 3.11 or newer with pip, no more.

    python3 start.py demo      make quantum keys on simulated instruments
    python3 start.py test      run the tests
    python3 start.py setup     only set up, for development
    python3 start.py COMMAND   any other qnx command, e.g. `tags info FILE`

The environment is `.venv` beside this file. It is made once; later runs start at once, unless the
lock files changed.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "qnx-installed"
WINDOWS = os.name == "nt"
BINARIES = ENVIRONMENT / ("Scripts" if WINDOWS else "bin")
PYTHON = BINARIES / ("python.exe" if WINDOWS else "python")
PIP = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]

# What PySide6 loads at import, and the Debian and Ubuntu packages that hold it.
QT_LIBRARIES = {
    "glib-2.0": "libglib2.0-0",
    "GL": "libgl1",
    "EGL": "libegl1",
    "dbus-1": "libdbus-1-3",
    "fontconfig": "libfontconfig1",
    "xkbcommon": "libxkbcommon0",
}
# What a window on an X11 display needs besides.
X11_LIBRARIES = {
    "xcb-cursor": "libxcb-cursor0",
    "xcb-icccm": "libxcb-icccm4",
    "xcb-keysyms": "libxcb-keysyms1",
    "xcb-shape": "libxcb-shape0",
    "xkbcommon-x11": "libxkbcommon-x11-0",
}


def main(words: list[str]) -> int:
    """Make the environment where it is missing or old, then run what was asked."""
    if sys.version_info < (3, 11):  # noqa: UP036  (whoever starts this may have an older one)
        print(f"qnx needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    lock = "runtime" if words[0] == "demo" else "development"
    if not is_current(lock):
        try:
            install(lock)
        except subprocess.CalledProcessError as error:
            print(f"setting up failed in: {' '.join(map(str, error.cmd))}", file=sys.stderr)
            return 1
    tell_missing_libraries()
    if words[0] == "setup":
        return 0
    if words[0] == "test":
        return run([PYTHON, "-m", "pytest", *words[1:]])
    return run([PYTHON, "-m", "qnx_hw", *words])


def run(command: list[object]) -> int:
    """Become `command` where the system can, else run it."""
    words = [str(word) for word in command]
    if not WINDOWS:
        sys.stdout.flush()
        os.execv(words[0], words)
    return subprocess.call(words)


def fingerprint(lock: str) -> str:
    """Name what an environment made now would hold."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (ROOT / "lock" / f"{lock}.txt", ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return f"{lock} {digest.hexdigest()}"


def is_current(lock: str) -> bool:
    """Whether the environment already holds `lock`, or the larger one that includes it."""
    if not PYTHON.exists() or not STAMP.exists():
        return False
    stamp = STAMP.read_text(encoding="utf-8").strip()
    return stamp in {fingerprint(lock), fingerprint("development")}


def install(lock: str) -> None:
    """Make the environment and install exactly what the lock names, by uv or by pip."""
    print(f"Setting up {ENVIRONMENT.name}: once, a minute with uv, some with pip ...", flush=True)
    STAMP.unlink(missing_ok=True)
    if not PYTHON.exists():
        make_environment()
    requirements = ["--require-hashes", "-r", str(ROOT / "lock" / f"{lock}.txt")]
    ourselves = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    uv = find_uv()
    if uv is None or not use(uv, requirements, check=False):
        use(PIP, requirements, check=True)
    use(PIP, ourselves, check=True)
    STAMP.write_text(fingerprint(lock) + "\n", encoding="utf-8")
    print("Ready.", flush=True)


def make_environment() -> None:
    """Make an empty environment with pip in it."""
    try:
        import ensurepip  # noqa: F401  (Debian ships Python without it)
        import venv
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            "This Python cannot make environments. "
            f"On Debian or Ubuntu: sudo apt install python{version}-venv"
        )
    venv.EnvBuilder(with_pip=True, clear=True, symlinks=not WINDOWS).create(ENVIRONMENT)


def use(installer: list[str], arguments: list[str], *, check: bool) -> bool:
    """Run an installer; return whether it did what was asked."""
    # uv trusts its own list of certificates unless told; pip and browsers trust the system's.
    environment = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", **os.environ}
    words = [*installer, *arguments]
    done = subprocess.run(words, check=check, stdout=subprocess.DEVNULL, env=environment)
    return done.returncode == 0


def find_uv() -> list[str] | None:
    """Return uv's install command, from the path or put into the environment; None without uv."""
    if os.environ.get("QNX_NO_UV"):
        return None
    uv = shutil.which("uv")
    if uv is None:
        bundled = BINARIES / ("uv.exe" if WINDOWS else "uv")
        wanted = ["--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / "lock" / "uv.txt")]
        if not bundled.exists() and not use(PIP, wanted, check=False):
            return None
        uv = str(bundled)
    return [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]


def tell_missing_libraries() -> None:
    """Name the packages that the desktop app needs and the system lacks."""
    if not sys.platform.startswith("linux"):
        return
    wanted = dict(QT_LIBRARIES)
    if os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        wanted |= X11_LIBRARIES
    missing = [package for name, package in wanted.items() if not is_library_there(name)]
    if missing:
        print(
            "The desktop app needs system libraries that are missing here; all else runs without.\n"
            f"  sudo apt install {' '.join(missing)}",
            file=sys.stderr,
            flush=True,
        )


def is_library_there(name: str) -> bool:
    """Whether the dynamic linker can find a library."""
    folders = [sysconfig.get_config_var("LIBDIR") or "/usr/lib", "/usr/lib", "/usr/lib64", "/lib"]
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    folders += [f"/usr/lib/{multiarch}", f"/lib/{multiarch}"]
    if any(next(Path(folder).glob(f"lib{name}.so*"), None) for folder in folders):
        return True
    return ctypes.util.find_library(name) is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""An application that `fetch` has unpacked from its Debian package, as a site of somebody's own."""

import fnmatch
import os
import pathlib
import shutil

from . import machine

CACHE = machine.REPOSITORY / "build/applications"


def unpacked(package, path):
    """A path of the package's."""
    return CACHE / package / "root" / path


def copy(package, path, target, leave_out=()):
    """Copies a directory of a package to `target`, which may be there; what matches `leave_out` (below it) stays behind."""
    source = unpacked(package, path)
    assert source.is_dir(), f"{source} is missing: tests/integration/fetch gets it"
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True,
                    ignore=lambda directory, names: [name for name in names if any(fnmatch.fnmatch(
                        pathlib.Path(directory, name).relative_to(source).as_posix(), pattern) for pattern in leave_out)])
    for directory, directories, files in os.walk(target):
        for name in (*directories, *files):
            entry = pathlib.Path(directory, name)
            if entry.is_symlink():
                _mend(entry, source / entry.relative_to(target), package)
                assert entry.exists(), f"{entry} leads to {os.readlink(entry)}, which is missing: scripts/packages/test.txt"


def _mend(link, original, package):
    """Packages link to each other by relative paths, which lead elsewhere from a copy."""
    leads_to = os.path.normpath(original.parent / os.readlink(original)) if original.is_symlink() else ""
    root = str(unpacked(package, ""))
    if leads_to.startswith(root + "/") and not leads_to.startswith(str(original.parent)):
        link.unlink()
        link.symlink_to(leads_to[len(root):])


def with_usual_modes(directory):
    """Modes that applications expect; php files are for their owner alone, whoever runs them.

    Those of directories count: WordPress gives an upload the bits of the directory that it comes to, and from 0711 that
    is 0600, which Apache cannot read.
    """
    for entry in (directory, *directory.rglob("*")):
        if not entry.is_symlink():
            entry.chmod(0o755 if entry.is_dir() else 0o600 if entry.suffix == ".php" else 0o644)

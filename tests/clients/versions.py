"""Which release of each library is installed: asked of the installation itself, so that the page cannot be wrong."""

import json
import re
import subprocess


class Versions:
    """Looks names up: `python:redis`, `node:ioredis`, `debian:php-redis`, `cargo:redis`."""

    def __init__(self, clients):
        self.clients = clients

    def __call__(self, name):
        kind, _, package = name.partition(":")
        return getattr(self, kind)(package)

    def python(self, package):
        wanted = re.sub(r"[-_.]+", "_", package).lower()
        for info in (self.clients / "python").glob("*.dist-info"):
            found, _, version = info.name.removesuffix(".dist-info").rpartition("-")
            if re.sub(r"[-_.]+", "_", found).lower() == wanted:
                return version
        raise SystemExit(f"{package} is not installed")

    def node(self, package):
        return json.loads((self.clients / "node" / "node_modules" / package / "package.json").read_text())["version"]

    def debian(self, package):
        command = ["dpkg-query", "--show", "--showformat", "${Version}", package]
        version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # Only what the project calls its release: no epoch, no revision of the packagers.
        return re.match(r"(?:\d+:)?([\d.]+)", version).group(1)

    def cargo(self, package):
        command = ["cargo", "metadata", "--format-version", "1", "--locked"]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return next(entry["version"] for entry in found["packages"] if entry["name"] == package)

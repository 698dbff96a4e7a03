"""What the figures were measured on."""

import json
import os
import platform
import subprocess

from support.postgres import program_folder

VERSIONS = {
    "nginx": ["nginx", "-v"], "Redis": ["redis-server", "--version"],
    "PostgreSQL": [f"{program_folder()}/postgres", "--version"], "wrk": ["wrk", "-v"], "node": ["node", "--version"],
    "gcc": ["gcc", "-dumpfullversion"],
}
PACKAGES = ("python3", "python3-fastapi", "uvicorn", "python3-asyncpg", "python3-redis", "python3-hiredis",
            "python3-uvloop", "libfcgi-dev", "libhiredis-dev", "libnginx-mod-http-lua", "lua-nginx-redis")


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def version(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    words = (result.stdout + result.stderr).replace("/", " ").replace("=", " ").split()
    return next((word.strip("v,") for word in words if word.strip("v")[:1].isdigit()), "?")


def package_versions():
    output = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}\n", *PACKAGES], capture_output=True,
                            text=True, check=False).stdout
    return [line for line in output.splitlines() if len(line.split()) == 2]


def locked_versions(lock):
    with open(lock, encoding="utf-8") as source:
        packages = json.load(source)["packages"]
    return [f"{name} {packages[f'node_modules/{name}']['version']}" for name in packages[""]["dependencies"]]


def describe(lock):
    print(f"Machine: {os.cpu_count()} cores, {processor()}, Linux {platform.release()}")
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"The machine is not idle (load {busy:.1f}): expect wide spreads.")
    programs = [f"{name} {version(command)}" for name, command in VERSIONS.items()]
    print("Versions: " + ", ".join(programs + locked_versions(lock) + package_versions()))

"""The families, in the order of the table."""

from __future__ import annotations

from tests.chaos import damage, disks, engines, kills, matrix, network, speech, strangers, times
from tests.chaos.count import Family

_ALL = (
    Family(
        "kill-host", "`hef build` ended by kill -9 at one of its writes", 8, 200, kills.kill_host
    ),
    Family(
        "kill-matrix",
        "`hef build --all` ended by kill -9 at an event between its first and last stage",
        5,
        50,
        matrix.kill_matrix,
    ),
    Family(
        "users",
        "two build at once with one store (folder, S3, SFTP), one is ended by kill -9",
        3,
        30,
        matrix.users,
    ),
    Family(
        "kill-store",
        "`hef cache push`, `pull` ended at one of their writes",
        2,
        20,
        kills.kill_store,
    ),
    Family(
        "kill-worker", "the local engine's job ended after a line of it", 1, 12, kills.kill_worker
    ),
    Family(
        "kill-container",
        "the container of a build ended after a line of it",
        0,
        5,
        kills.kill_container,
    ),
    Family(
        "kill-engine",
        "the Docker engine of a build (dockerd, containerd, the container's shim) ended",
        0,
        8,
        engines.kill_engine,
    ),
    Family("kill-agent", "the device's side ended at a file operation", 10, 80, kills.kill_agent),
    Family("flip-build", "a byte of a finished build's file", 4, 30, damage.flip_build),
    Family("flip-record", "a byte of what a build says of itself", 4, 20, damage.flip_record),
    Family("flip-cache", "a byte of the cache", 4, 40, damage.flip_cache),
    Family("flip-store", "a byte of a store", 2, 20, damage.flip_store),
    Family(
        "disk-host", "a small disk for cache, results, data, scratch files", 3, 20, disks.full_host
    ),
    Family("disk-write", "no file may grow from a write on", 4, 30, disks.full_at_a_write),
    Family(
        "disk-engine",
        "the Docker engine's disk is full, or becomes so in a build",
        0,
        6,
        engines.full_engine,
    ),
    Family("disk-device", "the device's disk is full", 5, 40, disks.full_device),
    Family(
        "net-device",
        "the network to a Pi (a real sshd) cut, reset, slow, lossy in mid-ship",
        0,
        28,
        network.device,
    ),
    Family(
        "net-store",
        "the network to a store cut, reset, slow, lossy in a build, push, pull",
        0,
        28,
        network.store,
    ),
    Family("permission", "a folder may not be written or entered", 3, 15, disks.no_permission),
    Family("clock", "the clock is wrong, jumps, files are of the future", 3, 15, times.clock),
    Family("together", "two to four builds at once, one killed", 2, 12, times.together),
    Family(
        "files",
        "checkpoints, networks, HEFs, archives, pictures, logs, recipes of strangers",
        26,
        150,
        strangers.files,
    ),
    Family("events", "a line of a job's events is another", 5, 25, speech.worker_events),
    Family("replies", "a Pi answers something else", 5, 40, speech.pi_replies),
    Family("secrets", "canaries in addresses and the environment", 8, 28, speech.secrets),
    Family("pages", "what gets into a report, in Chromium", 0, 10, speech.pages),
)
FAMILIES = {one.name: one for one in _ALL}

#!/usr/bin/env python3
"""Creates torrents with `btbt create` and holds them against libtorrent (PyPI libtorrent 2.1.1).

    creation.py PATH-TO-BTBT

For files and folders, three piece lengths, v1, v2 and hybrid: two runs give the same bytes; libtorrent loads the torrent
and finds every piece in place; and where libtorrent can describe the same tree its own info-hashes are the same. It
can't for symlinks (it marks them executable) nor for hybrids with siblings like "d/" and "d.x" (it refuses its own).
Prints "N passed, N failed".
"""
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings

import libtorrent as lt

warnings.simplefilter("ignore")
QUIET = {"enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
         "listen_interfaces": "127.0.0.1:0", "alert_mask": 0}


def grow(folder):
    """Trees with the lengths at which blocks and pieces begin and end."""
    dice = random.Random(47)
    lengths = [0, 1, 16383, 16384, 16385, 65536, 65537, 200000, 262144, 300001]

    def put(path, length):
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(dice.randbytes(length))
        return path

    for i in range(100):
        put(f"many/{i % 7}/x{i % 3}/f{i}", lengths[i % 10])
    os.chmod(put("many/run.sh", 10), 0o755)
    for length in lengths[1:]:
        put(f"single/{length}.bin", length)
    put("odd/d/inner", 40000)
    put("odd/d.x", 20000)
    put("odd/.hidden", 3)
    put("odd/na\u00efve \u65e5\u672c.txt", 17000)
    os.symlink("d/inner", os.path.join(folder, "odd/link"))
    os.symlink("../.hidden", os.path.join(folder, "odd/d/up"))
    return ["many", "odd"] + [f"single/{length}.bin" for length in lengths[1:]]


def create(program, source, kind, piece_length, out):
    subprocess.run([program, "create", source, f"--{kind}", "--piece-length", str(piece_length), "-o", out, "--force"],
                   check=True, stdout=subprocess.DEVNULL, timeout=60)
    with open(out, "rb") as f:
        return f.read()


def theirs(source, kind, piece_length):
    """The info dictionary as libtorrent would write it, encoded."""
    flags = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}[kind]
    maker = lt.create_torrent(lt.list_files(source, flags=flags), piece_length, flags)
    lt.set_piece_hashes(maker, os.path.dirname(source))
    return lt.bencode(maker.generate()[b"info"])


def seeds(session, info, folder):
    wanted = lt.add_torrent_params()
    wanted.ti, wanted.save_path = info, folder
    wanted.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    handle = session.add_torrent(wanted)
    end = time.monotonic() + 20
    try:
        while time.monotonic() < end:
            status = handle.status()
            if status.is_seeding:
                return True
            if status.errc.value() or status.state == lt.torrent_status.downloading:
                return False
            time.sleep(0.01)
        return False
    finally:
        session.remove_torrent(handle)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = os.path.abspath(sys.argv[1])
    passed = failed = 0
    session = lt.session(QUIET)
    with tempfile.TemporaryDirectory() as folder:
        for name in grow(folder):
            source = os.path.join(folder, name)
            for kind in ("v1", "v2", "hybrid"):
                for piece_length in (16384, 65536, 262144):
                    out = os.path.join(folder, "out.torrent")
                    made = create(program, source, kind, piece_length, out)
                    faults = []
                    if create(program, source, kind, piece_length, out) != made:
                        faults.append("two runs differ")
                    info = lt.torrent_info(lt.bdecode(made))
                    if not seeds(session, info, os.path.dirname(source)):
                        faults.append("libtorrent does not find the pieces")
                    # v1 order is the maker's choice; of a single file there is but one.
                    if name != "odd" and (kind != "v1" or name.startswith("single")):
                        own = theirs(source, kind, piece_length)
                        hashes = info.info_hashes()
                        if kind != "v2" and str(hashes.v1) != hashlib.sha1(own).hexdigest():
                            faults.append("v1 info-hash differs")
                        if kind != "v1" and str(hashes.v2) != hashlib.sha256(own).hexdigest():
                            faults.append("v2 info-hash differs")
                    if faults:
                        failed += 1
                        print(f"FAIL {name} {kind} {piece_length}: {', '.join(faults)}")
                    else:
                        passed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

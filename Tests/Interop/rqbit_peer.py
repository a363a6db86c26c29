"""A librqbit session (PyPI pyrqbit) driven by JSON lines on standard input, one answer a line.

argv[1]: {"folder": "…", "port": 6881}
"""
import json, os, sys

import libtorrent
import pyrqbit

setup = json.loads(sys.argv[1])
session = pyrqbit.Session(setup['folder'], listen_port=setup['port'], disable_dht=True)
torrents = []


def version(): return pyrqbit.__version__


def add(torrent, folder):
    # The folder that it is told is that of the content itself.
    info = libtorrent.torrent_info(torrent)
    if info.num_files() > 1: folder = os.path.join(folder, info.name())
    # What is there already is checked and kept; without "overwrite" it refuses to look.
    torrents.append(session.add_torrent(torrent, output_folder=folder, overwrite=True))


def stat():
    s = torrents[0].stats()
    # Until it has looked at the files its counts are of nothing.
    checked = s['state'] == 'Live'
    done = s['downloaded_bytes'] if checked else 0
    return {'done': done, 'size': s['total_bytes'], 'complete': checked and done == s['total_bytes'], 'up': s['uploaded_bytes'], 'peers': s['connected_peers']}


CALLS = {'version': version, 'add': add, 'stat': stat}
for line in sys.stdin:
    request = json.loads(line)
    try: answer = {'ok': CALLS[request.pop('do')](**request)}
    except Exception as error: answer = {'error': f'{type(error).__name__}: {error}'}
    print(json.dumps(answer), flush=True)
session.stop()

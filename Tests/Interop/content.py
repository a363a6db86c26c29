"""Test content, torrents of it made independently of our own code, and comparison byte by byte."""
import filecmp, hashlib, random
from pathlib import Path

DEAD_TRACKER = 'http://127.0.0.1:9/announce'  # rtorrent refuses a torrent without any


def bencode(x):
    match x:
        case int(): return b'i%de' % x
        case str(): return bencode(x.encode())
        case bytes(): return b'%d:%s' % (len(x), x)
        case list(): return b'l' + b''.join(map(bencode, x)) + b'e'
        case dict(): return b'd' + b''.join(bencode(k) + bencode(x[k]) for k in sorted(x)) + b'e'


def single_file(path, size, seed=1):
    """One file of random bytes; `size` need not be a multiple of anything."""
    rng = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'wb') as f:
        while size > 0:
            f.write(rng.randbytes(min(size, 1 << 20)))
            size -= 1 << 20
    return path


def many_files(folder, count, size, seed=2):
    """`count` files of about `size` bytes in all: empty ones, single bytes, sizes around the sector and the block,
    nested folders, names in other scripts."""
    rng = random.Random(seed)
    odd = [0, 1, 511, 512, 513, 4095, 4096, 4097, 16383, 16384, 16385]
    mean = size // count
    for i in range(count):
        n = odd[i % len(odd)] if i % 5 == 0 else rng.randrange(mean // 2, mean * 3 // 2 + 1)
        name = ('файл', 'ファイル', 'file', 'ficheiro é')[i % 4] + f' {i:05}.bin'
        path = folder / f'd{i % 13:02}' / (f'e{i % 7}' if i % 3 else '') / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(n))
    return folder


class Torrent:
    """A v1 torrent (BEP 3) of a file or folder. `write()` gives .torrent files that differ in their tracker only."""

    def __init__(self, source, piece=256 << 10):
        self.source, self.name = source, source.name
        self.is_folder = source.is_dir()
        files = sorted(p for p in source.rglob('*') if p.is_file()) if self.is_folder else [source]
        hashes, h, room, self.size = [], hashlib.sha1(), piece, 0
        for p in files:
            with open(p, 'rb') as f:
                while (b := f.read(min(room, 1 << 20))):
                    h.update(b)
                    room -= len(b)
                    self.size += len(b)
                    if not room: hashes.append(h.digest()); h, room = hashlib.sha1(), piece
        if room < piece: hashes.append(h.digest())
        self.info = {'name': self.name, 'piece length': piece, 'pieces': b''.join(hashes)}
        if self.is_folder:
            self.info['files'] = [{'length': p.stat().st_size, 'path': list(p.relative_to(source).parts)} for p in files]
        else:
            self.info['length'] = self.size
        self.count, self.piece, self.pieces = len(files), piece, len(hashes)
        self.hash = hashlib.sha1(bencode(self.info)).hexdigest()

    def write(self, path, announce=DEAD_TRACKER, **more):
        """`more`: further keys beside the info dictionary."""
        path.write_bytes(bencode({**more, 'announce': announce, 'info': self.info, 'creation date': 1700000000}))
        return path

    def difference(self, folder, empty_files=True):
        """What is wrong with the copy of the content under `folder`; empty when it is identical. Without
        `empty_files` those of no bytes may be missing."""
        copy = folder / self.name
        if not self.is_folder:
            if not copy.is_file(): return f'{copy.name} is missing'
            return '' if filecmp.cmp(self.source, copy, shallow=False) else f'{copy.name} differs'
        mine = sorted(p.relative_to(self.source) for p in self.source.rglob('*') if p.is_file())
        theirs = sorted(p.relative_to(copy) for p in copy.rglob('*') if p.is_file()) if copy.is_dir() else []
        if not empty_files: mine = [p for p in mine if p in theirs or (self.source / p).stat().st_size]
        if mine != theirs:
            return f'{len(set(mine) - set(theirs))} files missing, {len(set(theirs) - set(mine))} too many'
        bad = [p for p in mine if not filecmp.cmp(self.source / p, copy / p, shallow=False)]
        return f'{len(bad)} of {len(mine)} files differ, first {bad[0]}' if bad else ''

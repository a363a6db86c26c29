"""Throughput and CPU of ccbt beside libtorrent, by a folder of measuring scripts, and the ratios of the result.

    bench.py [--bench-dir DIR] [--size GIB] [--runs N] [--scenario pair|fanout|recheck|many|smallfiles]

DIR holds swarm.py, which runs one client against another and appends a JSON line a run. The ratios printed are medians of
what ccbt used over what libtorrent used in the same run; run it when nothing else runs on the machine.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bench-dir', default=os.environ.get('BENCH_DIR', str(ROOT.parent / 'shared' / 'bench')))
    parser.add_argument('--size', default='4', help='GiB')
    parser.add_argument('--runs', default='3')
    parser.add_argument('--scenario', default='pair')
    options, more = parser.parse_known_args()
    swarm = Path(options.bench_dir) / 'swarm.py'
    if not swarm.exists():
        print(f'skipped  bench: no {swarm}; name the folder with BENCH_DIR')
        return
    environment = dict(os.environ, CCBT_BIN=os.environ.get('CCBT_BIN', str(ROOT / '.build' / 'release')))
    who = {'pair': ['--seeders', 'libtorrent', 'ccbt', '--leechers', 'ccbt', 'libtorrent']}.get(options.scenario, ['--clients', 'libtorrent', 'ccbt'])
    with tempfile.TemporaryDirectory(prefix='ccbt-bench-') as folder:
        out = Path(folder) / 'results.jsonl'
        run = [sys.executable, str(swarm), options.scenario, *who, '--size', options.size, '--runs', options.runs, '--out', str(out), *more]
        subprocess.run(run, check=True, env=environment)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        subprocess.run([sys.executable, str(swarm), 'report', str(out)], check=True, env=environment)
    if options.scenario == 'pair': ratios(rows)


def ratios(rows):
    """Each row: `pair` "SEEDER -> LEECHER", `wall` seconds, and `cpu_gib` of each side's whole process tree."""
    rows = [r for r in rows if 'pair' in r and 'failed' not in r]

    def median(pair, pick):
        values = [pick(r) for r in rows if r['pair'] == pair]
        return statistics.median(values) if values else None

    def line(text, ours, theirs, bar):
        if ours is None or theirs is None: return print(f'{text:58} not measured')
        print(f'{text:58}{ours / theirs:8.2f}   bar {bar}   {"met" if ours <= theirs * bar else "missed"}')

    print()
    line('CPU per GiB downloading from libtorrent, ccbt : libtorrent', median('libtorrent -> ccbt', lambda r: r['leecher']['cpu_gib']),
         median('libtorrent -> libtorrent', lambda r: r['leecher']['cpu_gib']), 0.5)
    line('CPU per GiB seeding to libtorrent, ccbt : libtorrent', median('ccbt -> libtorrent', lambda r: r['seeder']['cpu_gib']),
         median('libtorrent -> libtorrent', lambda r: r['seeder']['cpu_gib']), 0.5)
    line('wall time, ccbt to ccbt : libtorrent to libtorrent', median('ccbt -> ccbt', lambda r: r['wall']),
         median('libtorrent -> libtorrent', lambda r: r['wall']), 0.5)


if __name__ == '__main__': main()

"""A libtorrent session driven by JSON lines on standard input, one answer a line.

argv[1]: {"listen": "10.77.0.2:6881", "settings": {…}}
"""
import json, sys, time

import libtorrent as lt

setup = json.loads(sys.argv[1])
ip = setup['listen'].rsplit(':', 1)[0]
session = lt.session({
    'listen_interfaces': setup['listen'], 'outgoing_interfaces': ip, 'enable_dht': False, 'enable_lsd': False,
    'enable_upnp': False, 'enable_natpmp': False, 'enable_incoming_utp': False, 'enable_outgoing_utp': False,
    'out_enc_policy': int(lt.enc_policy.disabled), 'in_enc_policy': int(lt.enc_policy.disabled),
    'allow_multiple_connections_per_ip': True, 'alert_mask': 0, 'min_reconnect_time': 1, 'max_failcount': 1000,
    'unchoke_slots_limit': -1, 'connections_limit': 500, **setup['settings']})
handles = []
# Rate limits are for peers of the local network too, which libtorrent spares by default.
everyone = lt.ip_filter()
everyone.add_rule('0.0.0.0', '255.255.255.255', 1 << lt.session.global_peer_class_id)
session.set_peer_class_filter(everyone)


def add(torrent, folder, skip_check=False, pex=False, priorities=None, super_seeding=False):
    p = lt.load_torrent_file(torrent)
    p.save_path = folder
    p.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if not pex: p.flags |= lt.torrent_flags.disable_pex
    if priorities is not None: p.file_priorities = priorities
    if super_seeding: p.flags |= lt.torrent_flags.super_seeding
    if skip_check: p.flags |= lt.torrent_flags.seed_mode
    handles.append(session.add_torrent(p))


def link(link, folder):
    p = lt.parse_magnet_uri(link)
    p.save_path = folder
    p.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    p.flags |= lt.torrent_flags.disable_pex
    handles.append(session.add_torrent(p))


def stat(n=0):
    s = handles[n].status(lt.torrent_handle.query_accurate_download_counters)
    return {'done': s.total_wanted_done, 'size': s.total_wanted, 'complete': s.is_seeding, 'up': s.total_payload_upload,
            'down': s.total_payload_download, 'peers': s.num_peers}


# The bindings have no name for the first one (libtorrent/peer_info.hpp: utp_socket).
FLAGS = {'utp': 1 << 17, 'holepunched': lt.peer_info.holepunched}


def peers(n=0):
    return [{'ip': p.ip[0], 'port': p.ip[1], 'up': p.total_upload, 'client': p.client.decode(errors='replace'),
             'pex': bool(p.source & lt.peer_info.pex), 'have': sum(p.pieces), 'seed': bool(p.flags & lt.peer_info.seed),
             'upload_only': bool(p.flags & lt.peer_info.upload_only), 'flags': [name for name, flag in FLAGS.items() if p.flags & flag],
             'handshaken': not p.flags & (lt.peer_info.handshake | lt.peer_info.connecting)}
            for p in handles[n].get_peer_info()]


def node(ip, port): session.add_dht_node((ip, port))


def live():
    """Nodes in its routing table."""
    return session.status().dht_nodes


def magnet(link, folder):
    p = lt.parse_magnet_uri(link)
    p.save_path = folder
    p.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    p.flags |= lt.torrent_flags.disable_pex
    handles.append(session.add_torrent(p))


def wait_alert(kind, seconds=30, test=lambda a: True):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        session.wait_for_alert(200)
        for a in session.pop_alerts():
            if isinstance(a, kind) and test(a): return a
    raise TimeoutError(kind.__name__)


def put(text, key='', public='', salt=''):
    """An item of BEP 44: immutable, or mutable with the 64 bytes of an expanded private key."""
    session.pop_alerts()
    if not key:
        target = session.dht_put_immutable_item(text)
        return {'target': str(target), 'stored': wait_alert(lt.dht_put_alert).num_success}
    session.dht_put_mutable_item(bytes.fromhex(key), bytes.fromhex(public), text.encode(), salt.encode())
    return {'target': public, 'stored': wait_alert(lt.dht_put_alert).num_success}


def get(target, salt=''):
    session.pop_alerts()
    if len(target) == 40:
        session.dht_get_immutable_item(lt.sha1_hash(bytes.fromhex(target)))
        return plain(wait_alert(lt.dht_immutable_item_alert).item)
    session.dht_get_mutable_item(bytes.fromhex(target), salt.encode())
    return plain(wait_alert(lt.dht_mutable_item_alert, test=lambda a: a.authoritative).item)


def get_torrent(public, salt=''):
    """The info-hash that a mutable item names (BEP 46), and its sequence number."""
    session.pop_alerts()
    session.dht_get_mutable_item(bytes.fromhex(public), salt.encode())
    a = wait_alert(lt.dht_mutable_item_alert, test=lambda a: a.authoritative)
    item = a.item.get('value', a.item) if isinstance(a.item, dict) else a.item
    item = item if isinstance(item, dict) else {}
    return {'ih': (item.get(b'ih') or item.get('ih') or b'').hex(), 'seq': a.seq}


def plain(item):
    """Some builds wrap the value in a dictionary of the whole item."""
    if isinstance(item, dict): item = item.get('value', item.get(b'v', item))
    return item.decode() if isinstance(item, bytes) else item


def sample(ip, port):
    session.pop_alerts()
    session.dht_sample_infohashes((ip, port), lt.sha1_hash(bytes(20)))
    a = wait_alert(lt.dht_sample_infohashes_alert)
    return {'num': a.num_infohashes, 'samples': [str(h) for h in a.samples]}


verbs = {
    'node': node, 'live': live, 'magnet_add': magnet, 'put': put, 'get': get, 'get_torrent': get_torrent, 'sample': sample,
    'version': lambda: lt.__version__, 'add': add, 'link': link, 'stat': stat, 'peers': peers,
    'dial': lambda ip, port, n=0: handles[n].connect_peer((ip, port)),
    'set': lambda settings: session.apply_settings(settings),
    'magnet': lambda: lt.make_magnet_uri(handles[0].torrent_file()),
}
for line in sys.stdin:
    command = json.loads(line)
    try: answer = {'ok': verbs[command.pop('do')](**command)}
    except Exception as error: answer = {'error': repr(error)}
    print(json.dumps(answer), flush=True)

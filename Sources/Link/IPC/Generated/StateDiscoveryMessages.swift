// Made by protocol/generate.py from protocol/state-discovery.schema; do not edit.
// swift-format-ignore-file

import ByteCodec
import Primitives

package struct TrackerEntry: IPCStruct, Equatable {
    package static var fixedSize: Int { 19 }
    package var tier: UInt16
    package var url: String
    package var nextAnnounce: UInt64  // seconds since 1970 before which it is not asked; 0: now
    package var startedSent: UInt8  // 1 if the tracker has seen `started` and not `stopped`
    package init(tier: UInt16, url: String = "", nextAnnounce: UInt64, startedSent: UInt8) {
        self.tier = tier
        self.url = url
        self.nextAnnounce = nextAnnounce
        self.startedSent = startedSent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(tier)
        tail.reserve(&w, count: url.utf8.count)
        w.u64(nextAnnounce)
        w.u8(startedSent)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        tier = try r.u16()
        url = try r.string()
        nextAnnounce = try r.u64()
        startedSent = try r.u8()
    }
}

package struct TorrentCounters: IPCStruct, Equatable {
    package static var fixedSize: Int { 28 }
    package var torrent: UInt32
    package var downloaded: UInt64  // bytes over the torrent's life
    package var uploaded: UInt64
    package var left: UInt64
    package init(torrent: UInt32, downloaded: UInt64, uploaded: UInt64, left: UInt64) {
        self.torrent = torrent
        self.downloaded = downloaded
        self.uploaded = uploaded
        self.left = left
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u64(downloaded)
        w.u64(uploaded)
        w.u64(left)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        downloaded = try r.u64()
        uploaded = try r.u64()
        left = try r.u64()
    }
}

package struct DiscoveryTorrentAdd: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryTorrentAdd }
    package static var fixedSize: Int { 92 }
    package var torrent: UInt32
    package var infoHash: SHA1Digest
    package var infoHashV2: SHA256Digest  // zero if none
    package var flags: UInt32  // TorrentFlags
    package var trackers: [TrackerEntry]
    package var downloaded: UInt64
    package var uploaded: UInt64
    package var left: UInt64  // unknown metadata: 16384
    package init(torrent: UInt32, infoHash: SHA1Digest, infoHashV2: SHA256Digest, flags: UInt32, trackers: [TrackerEntry] = [], downloaded: UInt64, uploaded: UInt64, left: UInt64) {
        self.torrent = torrent
        self.infoHash = infoHash
        self.infoHashV2 = infoHashV2
        self.flags = flags
        self.trackers = trackers
        self.downloaded = downloaded
        self.uploaded = uploaded
        self.left = left
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.digest(infoHash)
        w.digest(infoHashV2)
        w.u32(flags)
        tail.reserve(&w, count: trackers.count)
        w.u64(downloaded)
        w.u64(uploaded)
        w.u64(left)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, trackers)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        infoHash = try r.hash20()
        infoHashV2 = try r.hash32()
        flags = try r.u32()
        trackers = try r.structs()
        downloaded = try r.u64()
        uploaded = try r.u64()
        left = try r.u64()
    }
}

/// Says `stopped` to the trackers.
package struct DiscoveryTorrentRemove: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryTorrentRemove }
    package static var fixedSize: Int { 4 }
    package var torrent: UInt32
    package init(torrent: UInt32) {
        self.torrent = torrent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
    }
}

package struct DiscoveryTorrentFlags: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryTorrentFlags }
    package static var fixedSize: Int { 8 }
    package var torrent: UInt32
    package var flags: UInt32
    package init(torrent: UInt32, flags: UInt32) {
        self.torrent = torrent
        self.flags = flags
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(flags)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        flags = try r.u32()
    }
}

package struct DiscoveryCounters: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryCounters }
    package static var fixedSize: Int { 8 }
    package var torrents: [TorrentCounters]
    package init(torrents: [TorrentCounters] = []) {
        self.torrents = torrents
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: torrents.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, torrents)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrents = try r.structs()
    }
}

/// The download has just ended: event=completed (BEP 3), once.
package struct DiscoveryCompleted: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryCompleted }
    package static var fixedSize: Int { 4 }
    package var torrent: UInt32
    package init(torrent: UInt32) {
        self.torrent = torrent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
    }
}

package struct AnnounceNow: IPCMessage, Equatable {
    package static var type: MessageType { .announceNow }
    package static var fixedSize: Int { 4 }
    package var torrent: UInt32
    package init(torrent: UInt32) {
        self.torrent = torrent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
    }
}

package struct DiscoveryReplayEnd: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryReplayEnd }
    package static var fixedSize: Int { 26 }
    package var listenPort: UInt16  // port to announce; 0 while unknown
    package var trackerKey: UInt32  // the same over restarts (BEP 7, BEP 15)
    package var peerID: SHA1Digest  // the same over a run
    package init(listenPort: UInt16, trackerKey: UInt32, peerID: SHA1Digest) {
        self.listenPort = listenPort
        self.trackerKey = trackerKey
        self.peerID = peerID
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(listenPort)
        w.u32(trackerKey)
        w.digest(peerID)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        listenPort = try r.u16()
        trackerKey = try r.u32()
        peerID = try r.hash20()
    }
}

package struct DiscoveryListenPort: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryListenPort }
    package static var fixedSize: Int { 2 }
    package var listenPort: UInt16
    package init(listenPort: UInt16) {
        self.listenPort = listenPort
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(listenPort)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        listenPort = try r.u16()
    }
}

package struct DiscoveryPeers: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryPeers }
    package static var fixedSize: Int { 14 }
    package var torrent: UInt32
    package var source: UInt8  // PeerSource
    package var endpoints: [Endpoint]  // at most 2,000
    package var isVersion2: UInt8  // 1: found under the v2 info-hash (BEP 52)
    package init(torrent: UInt32, source: UInt8, endpoints: [Endpoint] = [], isVersion2: UInt8 = 0) {
        self.torrent = torrent
        self.source = source
        self.endpoints = endpoints
        self.isVersion2 = isVersion2
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u8(source)
        tail.reserve(&w, count: endpoints.count)
        w.u8(isVersion2)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.list(&w, endpoints) { $0.endpoint($1) }
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        source = try r.u8()
        endpoints = try r.list(elementSize: 18) { (r) throws(DecodeError) in try r.endpoint() }
        isVersion2 = try r.u8()
    }
}

package struct TrackerStatus: IPCMessage, Equatable {
    package static var type: MessageType { .trackerStatus }
    package static var fixedSize: Int { 45 }
    package var torrent: UInt32
    package var tier: UInt16
    package var url: String
    package var state: UInt8  // 0 not asked, 1 announcing, 2 working, 3 failing, 4 breaker open
    package var startedSent: UInt8
    package var seeds: Int32  // -1 unknown
    package var leechers: Int32  // -1 unknown
    package var downloads: Int32  // -1 unknown
    package var nextAnnounce: UInt64  // seconds since 1970
    package var message: String  // the tracker's failure or warning, escaped
    package var completedPending: UInt8  // 1 while it has yet to hear of the download's end
    package init(torrent: UInt32, tier: UInt16, url: String = "", state: UInt8, startedSent: UInt8, seeds: Int32, leechers: Int32, downloads: Int32, nextAnnounce: UInt64, message: String = "", completedPending: UInt8) {
        self.torrent = torrent
        self.tier = tier
        self.url = url
        self.state = state
        self.startedSent = startedSent
        self.seeds = seeds
        self.leechers = leechers
        self.downloads = downloads
        self.nextAnnounce = nextAnnounce
        self.message = message
        self.completedPending = completedPending
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u16(tier)
        tail.reserve(&w, count: url.utf8.count)
        w.u8(state)
        w.u8(startedSent)
        w.i32(seeds)
        w.i32(leechers)
        w.i32(downloads)
        w.u64(nextAnnounce)
        tail.reserve(&w, count: message.utf8.count)
        w.u8(completedPending)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        tier = try r.u16()
        url = try r.string()
        state = try r.u8()
        startedSent = try r.u8()
        seeds = try r.i32()
        leechers = try r.i32()
        downloads = try r.i32()
        nextAnnounce = try r.u64()
        message = try r.string()
        completedPending = try r.u8()
    }
}

/// As PeerFilter: of no use to trackers, but nodes of the DHT and their answers are judged by it.
package struct DiscoveryFilter: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryFilter }
    package static var fixedSize: Int { 8 }
    package var path: String
    package init(path: String = "") {
        self.path = path
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: path.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, path)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        path = try r.string()
    }
}

/// Fetch a file over HTTP or HTTPS; answered by ListFetched with the same correlation.
package struct FetchList: IPCMessage, Equatable {
    package static var type: MessageType { .fetchList }
    package static var fixedSize: Int { 20 }
    package var url: String
    package var path: String  // absolute; replaced by rename when all of it is there
    package var limit: UInt32  // bytes
    package init(url: String = "", path: String = "", limit: UInt32) {
        self.url = url
        self.path = path
        self.limit = limit
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: url.utf8.count)
        tail.reserve(&w, count: path.utf8.count)
        w.u32(limit)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
        tail.string(&w, path)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        url = try r.string()
        path = try r.string()
        limit = try r.u32()
    }
}

package struct ListFetched: IPCMessage, Equatable {
    package static var type: MessageType { .listFetched }
    package static var fixedSize: Int { 24 }
    package var url: String
    package var byteCount: UInt64
    package var message: String  // why it failed; empty: the file is there
    package init(url: String = "", byteCount: UInt64, message: String = "") {
        self.url = url
        self.byteCount = byteCount
        self.message = message
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: url.utf8.count)
        w.u64(byteCount)
        tail.reserve(&w, count: message.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        url = try r.string()
        byteCount = try r.u64()
        message = try r.string()
    }
}

package struct UrlText: IPCStruct, Equatable {
    package static var fixedSize: Int { 8 }
    package var url: String
    package init(url: String = "") {
        self.url = url
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: url.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        url = try r.string()
    }
}

/// event=completed for these trackers, which had not answered it when the last discovery worker died.
package struct DiscoveryCompletedAgain: IPCMessage, Equatable {
    package static var type: MessageType { .discoveryCompletedAgain }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var trackers: [UrlText]
    package init(torrent: UInt32, trackers: [UrlText] = []) {
        self.torrent = torrent
        self.trackers = trackers
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: trackers.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, trackers)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        trackers = try r.structs()
    }
}

/// http or https, for a .torrent or a feed. Answered by Fetched frames with its correlation.
package struct FetchUrl: IPCMessage, Equatable {
    package static var type: MessageType { .fetchUrl }
    package static var fixedSize: Int { 17 }
    package var url: String
    package var sizeLimit: UInt32  // bytes of the body, raw and inflated
    package var timeoutMilliseconds: UInt32  // over all redirects
    package var allowLocal: UInt8  // 1: private addresses and the machine itself may be asked
    package init(url: String = "", sizeLimit: UInt32, timeoutMilliseconds: UInt32, allowLocal: UInt8) {
        self.url = url
        self.sizeLimit = sizeLimit
        self.timeoutMilliseconds = timeoutMilliseconds
        self.allowLocal = allowLocal
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: url.utf8.count)
        w.u32(sizeLimit)
        w.u32(timeoutMilliseconds)
        w.u8(allowLocal)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        url = try r.string()
        sizeLimit = try r.u32()
        timeoutMilliseconds = try r.u32()
        allowLocal = try r.u8()
    }
}

/// Parts of at most 512 KiB, in order; the last has isLast.
package struct Fetched: IPCMessage, Equatable {
    package static var type: MessageType { .fetched }
    package static var fixedSize: Int { 29 }
    package var offset: UInt32
    package var bytes: [UInt8]
    package var isLast: UInt8
    package var magnet: String  // the link that a redirect led to; then there is no body
    package var message: String  // why there is nothing; empty if no error
    package init(offset: UInt32, bytes: [UInt8] = [], isLast: UInt8, magnet: String = "", message: String = "") {
        self.offset = offset
        self.bytes = bytes
        self.isLast = isLast
        self.magnet = magnet
        self.message = message
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(offset)
        tail.reserve(&w, count: bytes.count)
        w.u8(isLast)
        tail.reserve(&w, count: magnet.utf8.count)
        tail.reserve(&w, count: message.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, bytes)
        tail.string(&w, magnet)
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        offset = try r.u32()
        bytes = try r.bytes()
        isLast = try r.u8()
        magnet = try r.string()
        message = try r.string()
    }
}

package struct DhtHost: IPCStruct, Equatable {
    package static var fixedSize: Int { 10 }
    package var host: String  // name or address literal
    package var port: UInt16
    package init(host: String = "", port: UInt16) {
        self.host = host
        self.port = port
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: host.utf8.count)
        w.u16(port)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, host)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        host = try r.string()
        port = try r.u16()
    }
}

package struct DhtFamily: IPCStruct, Equatable {
    package static var fixedSize: Int { 51 }
    package var family: UInt8  // 4 or 6
    package var nodeID: SHA1Digest
    package var external: Endpoint  // our address as other nodes see it, port 0; unspecified while unknown
    package var nodes: UInt32  // in the routing table
    package var spares: UInt32  // verified, waiting for a place
    package var buckets: UInt32
    package init(family: UInt8, nodeID: SHA1Digest, external: Endpoint, nodes: UInt32, spares: UInt32, buckets: UInt32) {
        self.family = family
        self.nodeID = nodeID
        self.external = external
        self.nodes = nodes
        self.spares = spares
        self.buckets = buckets
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(family)
        w.digest(nodeID)
        w.endpoint(external)
        w.u32(nodes)
        w.u32(spares)
        w.u32(buckets)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        family = try r.u8()
        nodeID = try r.hash20()
        external = try r.endpoint()
        nodes = try r.u32()
        spares = try r.u32()
        buckets = try r.u32()
    }
}

package struct DhtContacts: IPCMessage, Equatable {
    package static var type: MessageType { .dhtContacts }
    package static var fixedSize: Int { 8 }
    package var endpoints: [Endpoint]  // DHT nodes that peers told of
    package init(endpoints: [Endpoint] = []) {
        self.endpoints = endpoints
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: endpoints.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.list(&w, endpoints) { $0.endpoint($1) }
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        endpoints = try r.list(elementSize: 18) { (r) throws(DecodeError) in try r.endpoint() }
    }
}

package struct DhtHosts: IPCMessage, Equatable {
    package static var type: MessageType { .dhtHosts }
    package static var fixedSize: Int { 8 }
    package var hosts: [DhtHost]  // `nodes` of a torrent (BEP 5)
    package init(hosts: [DhtHost] = []) {
        self.hosts = hosts
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: hosts.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, hosts)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        hosts = try r.structs()
    }
}

package struct DhtStatusWanted: IPCMessage, Equatable {
    package static var type: MessageType { .dhtStatusWanted }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

/// Answers DhtStatusWanted with its correlation.
package struct DhtStatusReport: IPCMessage, Equatable {
    package static var type: MessageType { .dhtStatusReport }
    package static var fixedSize: Int { 102 }
    package var isOn: UInt8  // 0: it is off, or no port could be bound
    package var isReadOnly: UInt8
    package var families: [DhtFamily]
    package var torrents: UInt32  // announced by us
    package var lookups: UInt32  // under way
    package var storedTorrents: UInt32  // info-hashes that others announced to us
    package var storedPeers: UInt32
    package var storedItems: UInt32
    package var received: UInt64  // datagrams
    package var sent: UInt64
    package var queriesAnswered: UInt64
    package var dropped: UInt64  // queries over the rate
    package var ignored: UInt64  // no message, or an answer that nobody asked for
    package var timeouts: UInt64
    package var lookupsDone: UInt64
    package var peersFound: UInt64
    package var refusal: String  // why it is off
    package init(isOn: UInt8, isReadOnly: UInt8, families: [DhtFamily] = [], torrents: UInt32, lookups: UInt32, storedTorrents: UInt32, storedPeers: UInt32, storedItems: UInt32, received: UInt64, sent: UInt64, queriesAnswered: UInt64, dropped: UInt64, ignored: UInt64, timeouts: UInt64, lookupsDone: UInt64, peersFound: UInt64, refusal: String = "") {
        self.isOn = isOn
        self.isReadOnly = isReadOnly
        self.families = families
        self.torrents = torrents
        self.lookups = lookups
        self.storedTorrents = storedTorrents
        self.storedPeers = storedPeers
        self.storedItems = storedItems
        self.received = received
        self.sent = sent
        self.queriesAnswered = queriesAnswered
        self.dropped = dropped
        self.ignored = ignored
        self.timeouts = timeouts
        self.lookupsDone = lookupsDone
        self.peersFound = peersFound
        self.refusal = refusal
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(isOn)
        w.u8(isReadOnly)
        tail.reserve(&w, count: families.count)
        w.u32(torrents)
        w.u32(lookups)
        w.u32(storedTorrents)
        w.u32(storedPeers)
        w.u32(storedItems)
        w.u64(received)
        w.u64(sent)
        w.u64(queriesAnswered)
        w.u64(dropped)
        w.u64(ignored)
        w.u64(timeouts)
        w.u64(lookupsDone)
        w.u64(peersFound)
        tail.reserve(&w, count: refusal.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, families)
        tail.string(&w, refusal)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        isOn = try r.u8()
        isReadOnly = try r.u8()
        families = try r.structs()
        torrents = try r.u32()
        lookups = try r.u32()
        storedTorrents = try r.u32()
        storedPeers = try r.u32()
        storedItems = try r.u32()
        received = try r.u64()
        sent = try r.u64()
        queriesAnswered = try r.u64()
        dropped = try r.u64()
        ignored = try r.u64()
        timeouts = try r.u64()
        lookupsDone = try r.u64()
        peersFound = try r.u64()
        refusal = try r.string()
    }
}

/// On a change, at most each second.
package struct DhtNodeCount: IPCMessage, Equatable {
    package static var type: MessageType { .dhtNodeCount }
    package static var fixedSize: Int { 4 }
    package var nodes: UInt32  // in the routing tables of both families
    package init(nodes: UInt32) {
        self.nodes = nodes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(nodes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        nodes = try r.u32()
    }
}

/// A letter over SMTP; answered by MailSent with the same correlation.
package struct SendMail: IPCMessage, Equatable {
    package static var type: MessageType { .sendMail }
    package static var fixedSize: Int { 49 }
    package var server: String  // HOST or HOST:PORT
    package var tls: UInt8  // 1: TLS from the first byte; 0: STARTTLS where the server has it
    package var username: String  // empty: no login
    package var password: String
    package var sender: String
    package var recipients: String  // comma between them
    package var text: [UInt8]  // headers and body
    package init(server: String = "", tls: UInt8, username: String = "", password: String = "", sender: String = "", recipients: String = "", text: [UInt8] = []) {
        self.server = server
        self.tls = tls
        self.username = username
        self.password = password
        self.sender = sender
        self.recipients = recipients
        self.text = text
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: server.utf8.count)
        w.u8(tls)
        tail.reserve(&w, count: username.utf8.count)
        tail.reserve(&w, count: password.utf8.count)
        tail.reserve(&w, count: sender.utf8.count)
        tail.reserve(&w, count: recipients.utf8.count)
        tail.reserve(&w, count: text.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, server)
        tail.string(&w, username)
        tail.string(&w, password)
        tail.string(&w, sender)
        tail.string(&w, recipients)
        tail.bytes(&w, text)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        server = try r.string()
        tls = try r.u8()
        username = try r.string()
        password = try r.string()
        sender = try r.string()
        recipients = try r.string()
        text = try r.bytes()
    }
}

package struct MailSent: IPCMessage, Equatable {
    package static var type: MessageType { .mailSent }
    package static var fixedSize: Int { 8 }
    package var message: String  // why the server did not take it; empty: it did
    package init(message: String = "") {
        self.message = message
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: message.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        message = try r.string()
    }
}

package struct DhtLookup: IPCMessage, Equatable {
    package static var type: MessageType { .dhtLookup }
    package static var fixedSize: Int { 20 }
    package var infoHash: SHA1Digest
    package init(infoHash: SHA1Digest) {
        self.infoHash = infoHash
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.digest(infoHash)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        infoHash = try r.hash20()
    }
}

/// Answers DhtLookup with its correlation.
package struct DhtLookupResult: IPCMessage, Equatable {
    package static var type: MessageType { .dhtLookupResult }
    package static var fixedSize: Int { 56 }
    package var failure: String  // empty: done
    package var infoHash: SHA1Digest
    package var peers: [Endpoint]
    package var seeds: UInt32  // estimate (BEP 33)
    package var downloaders: UInt32  // estimate
    package var asked: UInt32  // queries sent
    package var answered: UInt32
    package var hops: UInt32
    package init(failure: String = "", infoHash: SHA1Digest, peers: [Endpoint] = [], seeds: UInt32, downloaders: UInt32, asked: UInt32, answered: UInt32, hops: UInt32) {
        self.failure = failure
        self.infoHash = infoHash
        self.peers = peers
        self.seeds = seeds
        self.downloaders = downloaders
        self.asked = asked
        self.answered = answered
        self.hops = hops
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: failure.utf8.count)
        w.digest(infoHash)
        tail.reserve(&w, count: peers.count)
        w.u32(seeds)
        w.u32(downloaders)
        w.u32(asked)
        w.u32(answered)
        w.u32(hops)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, failure)
        tail.list(&w, peers) { $0.endpoint($1) }
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        failure = try r.string()
        infoHash = try r.hash20()
        peers = try r.list(elementSize: 18) { (r) throws(DecodeError) in try r.endpoint() }
        seeds = try r.u32()
        downloaders = try r.u32()
        asked = try r.u32()
        answered = try r.u32()
        hops = try r.u32()
    }
}

package struct DhtGet: IPCMessage, Equatable {
    package static var type: MessageType { .dhtGet }
    package static var fixedSize: Int { 28 }
    package var target: SHA1Digest
    package var salt: [UInt8]  // empty for an immutable item
    package init(target: SHA1Digest, salt: [UInt8] = []) {
        self.target = target
        self.salt = salt
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.digest(target)
        tail.reserve(&w, count: salt.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, salt)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        target = try r.hash20()
        salt = try r.bytes()
    }
}

/// Answers DhtGet with its correlation.
package struct DhtItem: IPCMessage, Equatable {
    package static var type: MessageType { .dhtItem }
    package static var fixedSize: Int { 45 }
    package var failure: String  // empty: found
    package var value: [UInt8]  // bencoded
    package var key: [UInt8]  // 32 bytes of a mutable item, else empty
    package var signature: [UInt8]
    package var sequence: Int64
    package var asked: UInt32
    package var isMissing: UInt8  // 1: the nodes were asked and none has it
    package init(failure: String = "", value: [UInt8] = [], key: [UInt8] = [], signature: [UInt8] = [], sequence: Int64, asked: UInt32, isMissing: UInt8) {
        self.failure = failure
        self.value = value
        self.key = key
        self.signature = signature
        self.sequence = sequence
        self.asked = asked
        self.isMissing = isMissing
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: failure.utf8.count)
        tail.reserve(&w, count: value.count)
        tail.reserve(&w, count: key.count)
        tail.reserve(&w, count: signature.count)
        w.i64(sequence)
        w.u32(asked)
        w.u8(isMissing)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, failure)
        tail.bytes(&w, value)
        tail.bytes(&w, key)
        tail.bytes(&w, signature)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        failure = try r.string()
        value = try r.bytes()
        key = try r.bytes()
        signature = try r.bytes()
        sequence = try r.i64()
        asked = try r.u32()
        isMissing = try r.u8()
    }
}

package struct DhtPut: IPCMessage, Equatable {
    package static var type: MessageType { .dhtPut }
    package static var fixedSize: Int { 48 }
    package var value: [UInt8]  // bencoded, at most 1,000
    package var key: [UInt8]  // empty: immutable
    package var signature: [UInt8]
    package var salt: [UInt8]
    package var sequence: Int64
    package var cas: Int64  // -1: none
    package init(value: [UInt8] = [], key: [UInt8] = [], signature: [UInt8] = [], salt: [UInt8] = [], sequence: Int64, cas: Int64) {
        self.value = value
        self.key = key
        self.signature = signature
        self.salt = salt
        self.sequence = sequence
        self.cas = cas
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: value.count)
        tail.reserve(&w, count: key.count)
        tail.reserve(&w, count: signature.count)
        tail.reserve(&w, count: salt.count)
        w.i64(sequence)
        w.i64(cas)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, value)
        tail.bytes(&w, key)
        tail.bytes(&w, signature)
        tail.bytes(&w, salt)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        value = try r.bytes()
        key = try r.bytes()
        signature = try r.bytes()
        salt = try r.bytes()
        sequence = try r.i64()
        cas = try r.i64()
    }
}

/// Answers DhtPut with its correlation.
package struct DhtStored: IPCMessage, Equatable {
    package static var type: MessageType { .dhtStored }
    package static var fixedSize: Int { 40 }
    package var failure: String  // empty: done
    package var target: SHA1Digest
    package var count: UInt32  // nodes that took it
    package var refusal: String  // why one did not
    package init(failure: String = "", target: SHA1Digest, count: UInt32, refusal: String = "") {
        self.failure = failure
        self.target = target
        self.count = count
        self.refusal = refusal
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: failure.utf8.count)
        w.digest(target)
        w.u32(count)
        tail.reserve(&w, count: refusal.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, failure)
        tail.string(&w, refusal)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        failure = try r.string()
        target = try r.hash20()
        count = try r.u32()
        refusal = try r.string()
    }
}

package struct NatMapping: IPCStruct, Equatable {
    package static var fixedSize: Int { 9 }
    package var isUDP: UInt8
    package var internalPort: UInt16
    package var externalPort: UInt16  // 0: not mapped
    package var secondsLeft: UInt32  // of the lease
    package init(isUDP: UInt8, internalPort: UInt16, externalPort: UInt16, secondsLeft: UInt32) {
        self.isUDP = isUDP
        self.internalPort = internalPort
        self.externalPort = externalPort
        self.secondsLeft = secondsLeft
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(isUDP)
        w.u16(internalPort)
        w.u16(externalPort)
        w.u32(secondsLeft)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        isUDP = try r.u8()
        internalPort = try r.u16()
        externalPort = try r.u16()
        secondsLeft = try r.u32()
    }
}

package struct NatStatusWanted: IPCMessage, Equatable {
    package static var type: MessageType { .natStatusWanted }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

/// Answers NatStatusWanted with its correlation.
package struct NatStatusReport: IPCMessage, Equatable {
    package static var type: MessageType { .natStatusReport }
    package static var fixedSize: Int { 61 }
    package var isOn: UInt8  // 0: the settings want nothing mapped
    package var method: String  // PCP, NAT-PMP or UPnP; empty while nothing is mapped
    package var gateway: Endpoint  // unspecified: no default route
    package var external: Endpoint  // as the gateway says; port 0
    package var failure: String  // why nothing is mapped
    package var mappings: [NatMapping]
    package init(isOn: UInt8, method: String = "", gateway: Endpoint, external: Endpoint, failure: String = "", mappings: [NatMapping] = []) {
        self.isOn = isOn
        self.method = method
        self.gateway = gateway
        self.external = external
        self.failure = failure
        self.mappings = mappings
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(isOn)
        tail.reserve(&w, count: method.utf8.count)
        w.endpoint(gateway)
        w.endpoint(external)
        tail.reserve(&w, count: failure.utf8.count)
        tail.reserve(&w, count: mappings.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, method)
        tail.string(&w, failure)
        tail.structs(&w, mappings)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        isOn = try r.u8()
        method = try r.string()
        gateway = try r.endpoint()
        external = try r.endpoint()
        failure = try r.string()
        mappings = try r.structs()
    }
}

package struct ScrapeWanted: IPCMessage, Equatable {
    package static var type: MessageType { .scrapeWanted }
    package static var fixedSize: Int { 8 }
    package var torrents: [UInt32]  // at most 1,000
    package init(torrents: [UInt32] = []) {
        self.torrents = torrents
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: torrents.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.list(&w, torrents) { $0.u32($1) }
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrents = try r.list(elementSize: 4) { (r) throws(DecodeError) in try r.u32() }
    }
}

package struct ScrapeRow: IPCStruct, Equatable {
    package static var fixedSize: Int { 33 }
    package var torrent: UInt32
    package var url: String
    package var failure: String  // empty: the tracker answered
    package var isKnown: UInt8  // 0: it does not know the torrent
    package var seeds: UInt32
    package var leechers: UInt32
    package var downloads: UInt32
    package init(torrent: UInt32, url: String = "", failure: String = "", isKnown: UInt8, seeds: UInt32, leechers: UInt32, downloads: UInt32) {
        self.torrent = torrent
        self.url = url
        self.failure = failure
        self.isKnown = isKnown
        self.seeds = seeds
        self.leechers = leechers
        self.downloads = downloads
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: url.utf8.count)
        tail.reserve(&w, count: failure.utf8.count)
        w.u8(isKnown)
        w.u32(seeds)
        w.u32(leechers)
        w.u32(downloads)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
        tail.string(&w, failure)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        url = try r.string()
        failure = try r.string()
        isKnown = try r.u8()
        seeds = try r.u32()
        leechers = try r.u32()
        downloads = try r.u32()
    }
}

/// Answers ScrapeWanted with its correlation.
package struct ScrapeReport: IPCMessage, Equatable {
    package static var type: MessageType { .scrapeReport }
    package static var fixedSize: Int { 8 }
    package var rows: [ScrapeRow]
    package init(rows: [ScrapeRow] = []) {
        self.rows = rows
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: rows.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, rows)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        rows = try r.structs()
    }
}

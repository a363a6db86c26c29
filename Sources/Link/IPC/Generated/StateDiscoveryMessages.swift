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
    package static var fixedSize: Int { 44 }
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
    package init(torrent: UInt32, tier: UInt16, url: String = "", state: UInt8, startedSent: UInt8, seeds: Int32, leechers: Int32, downloads: Int32, nextAnnounce: UInt64, message: String = "") {
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
    package static var fixedSize: Int { 25 }
    package var url: String
    package var byteCount: UInt64
    package var message: String  // why it failed; empty: the file is there
    package var completedPending: UInt8  // 1 while it has yet to hear of the download's end
    package init(url: String = "", byteCount: UInt64, message: String = "", completedPending: UInt8) {
        self.url = url
        self.byteCount = byteCount
        self.message = message
        self.completedPending = completedPending
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: url.utf8.count)
        w.u64(byteCount)
        tail.reserve(&w, count: message.utf8.count)
        w.u8(completedPending)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        url = try r.string()
        byteCount = try r.u64()
        message = try r.string()
        completedPending = try r.u8()
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

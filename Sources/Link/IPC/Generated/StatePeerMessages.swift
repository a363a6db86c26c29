// Made by protocol/generate.py from protocol/state-peer.schema; do not edit.
// swift-format-ignore-file

import ByteCodec
import Primitives

package struct TorrentStats: IPCStruct, Equatable {
    package static var fixedSize: Int { 56 }
    package var torrent: UInt32
    package var downloaded: UInt64  // payload bytes received since this generation started, duplicates counted
    package var downloadedAgain: UInt64  // of these: bytes that we had already or that failed their hash
    package var uploaded: UInt64  // payload bytes sent since this generation started
    package var downRate: UInt64  // bytes per second
    package var upRate: UInt64
    package var peers: UInt32  // handshaken connections
    package var seeds: UInt32  // of these: seeds
    package var inFlight: UInt32  // requests outstanding
    package init(torrent: UInt32, downloaded: UInt64, downloadedAgain: UInt64, uploaded: UInt64, downRate: UInt64, upRate: UInt64, peers: UInt32, seeds: UInt32, inFlight: UInt32) {
        self.torrent = torrent
        self.downloaded = downloaded
        self.downloadedAgain = downloadedAgain
        self.uploaded = uploaded
        self.downRate = downRate
        self.upRate = upRate
        self.peers = peers
        self.seeds = seeds
        self.inFlight = inFlight
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u64(downloaded)
        w.u64(downloadedAgain)
        w.u64(uploaded)
        w.u64(downRate)
        w.u64(upRate)
        w.u32(peers)
        w.u32(seeds)
        w.u32(inFlight)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        downloaded = try r.u64()
        downloadedAgain = try r.u64()
        uploaded = try r.u64()
        downRate = try r.u64()
        upRate = try r.u64()
        peers = try r.u32()
        seeds = try r.u32()
        inFlight = try r.u32()
    }
}

package struct WantedLayer: IPCStruct, Equatable {
    package static var fixedSize: Int { 36 }
    package var root: SHA256Digest  // pieces root of a file
    package var pieces: UInt32  // more than one
    package init(root: SHA256Digest, pieces: UInt32) {
        self.root = root
        self.pieces = pieces
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.digest(root)
        w.u32(pieces)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        root = try r.hash32()
        pieces = try r.u32()
    }
}

package struct PeerDetails: IPCStruct, Equatable {
    package static var fixedSize: Int { 99 }
    package var endpoint: Endpoint
    package var peerID: SHA1Digest
    package var client: String  // escaped text: printable ASCII
    package var source: UInt8  // PeerSource
    package var flags: UInt32  // bit 0 we are interested, 1 we choke, 2 it is interested, 3 it chokes us, 4 snubbed, 5 incoming, 6 seed, 7 optimistic, 8 upload-only, 9 RC4, 10 encrypted handshake and plain stream, 11 over uTP
    package var downRate: UInt64
    package var upRate: UInt64
    package var downloaded: UInt64
    package var uploaded: UInt64
    package var havePieces: UInt32
    package var inFlight: UInt32  // our requests outstanding
    package var queued: UInt32  // its requests waiting
    package var score: UInt32  // violation points of its address, fading; 100 bans
    package init(endpoint: Endpoint, peerID: SHA1Digest, client: String = "", source: UInt8, flags: UInt32, downRate: UInt64, upRate: UInt64, downloaded: UInt64, uploaded: UInt64, havePieces: UInt32, inFlight: UInt32, queued: UInt32, score: UInt32) {
        self.endpoint = endpoint
        self.peerID = peerID
        self.client = client
        self.source = source
        self.flags = flags
        self.downRate = downRate
        self.upRate = upRate
        self.downloaded = downloaded
        self.uploaded = uploaded
        self.havePieces = havePieces
        self.inFlight = inFlight
        self.queued = queued
        self.score = score
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.endpoint(endpoint)
        w.digest(peerID)
        tail.reserve(&w, count: client.utf8.count)
        w.u8(source)
        w.u32(flags)
        w.u64(downRate)
        w.u64(upRate)
        w.u64(downloaded)
        w.u64(uploaded)
        w.u32(havePieces)
        w.u32(inFlight)
        w.u32(queued)
        w.u32(score)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, client)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        endpoint = try r.endpoint()
        peerID = try r.hash20()
        client = try r.string()
        source = try r.u8()
        flags = try r.u32()
        downRate = try r.u64()
        upRate = try r.u64()
        downloaded = try r.u64()
        uploaded = try r.u64()
        havePieces = try r.u32()
        inFlight = try r.u32()
        queued = try r.u32()
        score = try r.u32()
    }
}

package struct PeerTorrentAdd: IPCMessage, Equatable {
    package static var type: MessageType { .peerTorrentAdd }
    package static var fixedSize: Int { 82 }
    package var torrent: UInt32
    package var infoHash: SHA1Digest
    package var infoHashV2: SHA256Digest  // zero if none
    package var flags: UInt32  // TorrentFlags
    package var totalLength: UInt64  // 0 while the metadata is unknown
    package var pieceLength: UInt32
    package var pieceCount: UInt32
    package var metadataLength: UInt32  // bytes of the info dictionary, 0 while unknown
    package var device: UInt16  // disk worker that serves it
    package init(torrent: UInt32, infoHash: SHA1Digest, infoHashV2: SHA256Digest, flags: UInt32, totalLength: UInt64, pieceLength: UInt32, pieceCount: UInt32, metadataLength: UInt32, device: UInt16) {
        self.torrent = torrent
        self.infoHash = infoHash
        self.infoHashV2 = infoHashV2
        self.flags = flags
        self.totalLength = totalLength
        self.pieceLength = pieceLength
        self.pieceCount = pieceCount
        self.metadataLength = metadataLength
        self.device = device
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.digest(infoHash)
        w.digest(infoHashV2)
        w.u32(flags)
        w.u64(totalLength)
        w.u32(pieceLength)
        w.u32(pieceCount)
        w.u32(metadataLength)
        w.u16(device)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        infoHash = try r.hash20()
        infoHashV2 = try r.hash32()
        flags = try r.u32()
        totalLength = try r.u64()
        pieceLength = try r.u32()
        pieceCount = try r.u32()
        metadataLength = try r.u32()
        device = try r.u16()
    }
}

package struct PeerTorrentRemove: IPCMessage, Equatable {
    package static var type: MessageType { .peerTorrentRemove }
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

/// Paused, sequential and the like changed.
package struct PeerTorrentFlags: IPCMessage, Equatable {
    package static var type: MessageType { .peerTorrentFlags }
    package static var fixedSize: Int { 8 }
    package var torrent: UInt32
    package var flags: UInt32  // TorrentFlags
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

package struct PeersFound: IPCMessage, Equatable {
    package static var type: MessageType { .peersFound }
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

/// The peer shard serves BEP 9 but holds no metadata.
package struct MetadataBlockWanted: IPCMessage, Equatable {
    package static var type: MessageType { .metadataBlockWanted }
    package static var fixedSize: Int { 8 }
    package var torrent: UInt32
    package var block: UInt32  // 16 KiB block number
    package init(torrent: UInt32, block: UInt32) {
        self.torrent = torrent
        self.block = block
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(block)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        block = try r.u32()
    }
}

package struct MetadataBlock: IPCMessage, Equatable {
    package static var type: MessageType { .metadataBlock }
    package static var fixedSize: Int { 16 }
    package var torrent: UInt32
    package var block: UInt32
    package var bytes: [UInt8]  // empty: not available
    package init(torrent: UInt32, block: UInt32, bytes: [UInt8] = []) {
        self.torrent = torrent
        self.block = block
        self.bytes = bytes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(block)
        tail.reserve(&w, count: bytes.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, bytes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        block = try r.u32()
        bytes = try r.bytes()
    }
}

/// BEP 9 metadata, hash already checked; in parts of at most 512 KiB, in order.
package struct MetadataFound: IPCMessage, Equatable {
    package static var type: MessageType { .metadataFound }
    package static var fixedSize: Int { 20 }
    package var torrent: UInt32
    package var totalLength: UInt32
    package var offset: UInt32
    package var bytes: [UInt8]
    package init(torrent: UInt32, totalLength: UInt32, offset: UInt32, bytes: [UInt8] = []) {
        self.torrent = torrent
        self.totalLength = totalLength
        self.offset = offset
        self.bytes = bytes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(totalLength)
        w.u32(offset)
        tail.reserve(&w, count: bytes.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, bytes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        totalLength = try r.u32()
        offset = try r.u32()
        bytes = try r.bytes()
    }
}

/// Only torrents that changed; each 100 ms at the most often.
package struct PeerStats: IPCMessage, Equatable {
    package static var type: MessageType { .peerStats }
    package static var fixedSize: Int { 8 }
    package var torrents: [TorrentStats]
    package init(torrents: [TorrentStats] = []) {
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

package struct PeerListWanted: IPCMessage, Equatable {
    package static var type: MessageType { .peerListWanted }
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

/// Answers PeerListWanted with its correlation.
package struct PeerList: IPCMessage, Equatable {
    package static var type: MessageType { .peerList }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var peers: [PeerDetails]
    package init(torrent: UInt32, peers: [PeerDetails] = []) {
        self.torrent = torrent
        self.peers = peers
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: peers.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, peers)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        peers = try r.structs()
    }
}

package struct MorePeersWanted: IPCMessage, Equatable {
    package static var type: MessageType { .morePeersWanted }
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

/// The catalogue was sent once.
package struct PeerReplayEnd: IPCMessage, Equatable {
    package static var type: MessageType { .peerReplayEnd }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

package struct ListenPort: IPCMessage, Equatable {
    package static var type: MessageType { .listenPort }
    package static var fixedSize: Int { 2 }
    package var port: UInt16  // 0: no listener
    package init(port: UInt16) {
        self.port = port
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(port)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        port = try r.u16()
    }
}

/// The environment's fault, for the user to see; empty message clears it.
package struct PeerFault: IPCMessage, Equatable {
    package static var type: MessageType { .peerFault }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var message: String
    package init(torrent: UInt32, message: String = "") {
        self.torrent = torrent
        self.message = message
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: message.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        message = try r.string()
    }
}

/// Bytes per second; 0: no limit.
package struct RatePair: IPCStruct, Equatable {
    package static var fixedSize: Int { 16 }
    package var down: UInt64
    package var up: UInt64
    package init(down: UInt64, up: UInt64) {
        self.down = down
        self.up = up
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u64(down)
        w.u64(up)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        down = try r.u64()
        up = try r.u64()
    }
}

/// The limits that hold now, this shard's part of them. First after a new edge, and on every change. Rates are bytes per second; 0: no limit.
package struct PeerLimits: IPCMessage, Equatable {
    package static var type: MessageType { .peerLimits }
    package static var fixedSize: Int { 77 }
    package var globalDown: UInt64
    package var globalUp: UInt64
    package var torrentDown: UInt64  // for each torrent without its own
    package var torrentUp: UInt64
    package var peerDown: UInt64
    package var peerUp: UInt64
    package var localPeers: UInt8  // peers of local networks: 0 limited as all, 1 exempt, 2 under the local rates alone
    package var localDown: UInt64
    package var localUp: UInt64
    package var groups: [RatePair]  // group 1, 2, …; at most 64
    package var sliceMilliseconds: UInt32  // 1 ... 1000
    package init(globalDown: UInt64, globalUp: UInt64, torrentDown: UInt64, torrentUp: UInt64, peerDown: UInt64, peerUp: UInt64, localPeers: UInt8, localDown: UInt64, localUp: UInt64, groups: [RatePair] = [], sliceMilliseconds: UInt32) {
        self.globalDown = globalDown
        self.globalUp = globalUp
        self.torrentDown = torrentDown
        self.torrentUp = torrentUp
        self.peerDown = peerDown
        self.peerUp = peerUp
        self.localPeers = localPeers
        self.localDown = localDown
        self.localUp = localUp
        self.groups = groups
        self.sliceMilliseconds = sliceMilliseconds
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u64(globalDown)
        w.u64(globalUp)
        w.u64(torrentDown)
        w.u64(torrentUp)
        w.u64(peerDown)
        w.u64(peerUp)
        w.u8(localPeers)
        w.u64(localDown)
        w.u64(localUp)
        tail.reserve(&w, count: groups.count)
        w.u32(sliceMilliseconds)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, groups)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        globalDown = try r.u64()
        globalUp = try r.u64()
        torrentDown = try r.u64()
        torrentUp = try r.u64()
        peerDown = try r.u64()
        peerUp = try r.u64()
        localPeers = try r.u8()
        localDown = try r.u64()
        localUp = try r.u64()
        groups = try r.structs()
        sliceMilliseconds = try r.u32()
    }
}

/// After the PeerTorrentAdd of a torrent with limits of its own, and when they change.
package struct PeerTorrentLimits: IPCMessage, Equatable {
    package static var type: MessageType { .peerTorrentLimits }
    package static var fixedSize: Int { 28 }
    package var torrent: UInt32
    package var down: Int64  // bytes per second; 0: none; -1: perTorrent of PeerLimits
    package var up: Int64
    package var group: UInt32  // from 1; 0: in none
    package var maxPeers: UInt32  // connections; 0: network.max_peers_per_torrent
    package init(torrent: UInt32, down: Int64, up: Int64, group: UInt32, maxPeers: UInt32) {
        self.torrent = torrent
        self.down = down
        self.up = up
        self.group = group
        self.maxPeers = maxPeers
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.i64(down)
        w.i64(up)
        w.u32(group)
        w.u32(maxPeers)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        down = try r.i64()
        up = try r.i64()
        group = try r.u32()
        maxPeers = try r.u32()
    }
}

package struct Ban: IPCStruct, Equatable {
    package static var fixedSize: Int { 23 }
    package var endpoint: Endpoint  // port 0 unless it is a loopback address; an IPv6 address stands for its /64
    package var reason: UInt8  // Violation
    package var seconds: UInt32  // how long it still lasts
    package init(endpoint: Endpoint, reason: UInt8, seconds: UInt32) {
        self.endpoint = endpoint
        self.reason = reason
        self.seconds = seconds
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.endpoint(endpoint)
        w.u8(reason)
        w.u32(seconds)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        endpoint = try r.endpoint()
        reason = try r.u8()
        seconds = try r.u32()
    }
}

/// An address was banned just now.
package struct PeerBanned: IPCMessage, Equatable {
    package static var type: MessageType { .peerBanned }
    package static var fixedSize: Int { 23 }
    package var endpoint: Endpoint
    package var reason: UInt8  // Violation
    package var seconds: UInt32
    package init(endpoint: Endpoint, reason: UInt8, seconds: UInt32) {
        self.endpoint = endpoint
        self.reason = reason
        self.seconds = seconds
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.endpoint(endpoint)
        w.u8(reason)
        w.u32(seconds)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        endpoint = try r.endpoint()
        reason = try r.u8()
        seconds = try r.u32()
    }
}

/// What other runs, other shards or the user banned; at most 10,000.
package struct PeerBans: IPCMessage, Equatable {
    package static var type: MessageType { .peerBans }
    package static var fixedSize: Int { 8 }
    package var bans: [Ban]
    package init(bans: [Ban] = []) {
        self.bans = bans
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: bans.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, bans)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        bans = try r.structs()
    }
}

package struct PeerBanLifted: IPCMessage, Equatable {
    package static var type: MessageType { .peerBanLifted }
    package static var fixedSize: Int { 18 }
    package var endpoint: Endpoint
    package init(endpoint: Endpoint) {
        self.endpoint = endpoint
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.endpoint(endpoint)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        endpoint = try r.endpoint()
    }
}

/// Peers see us at this address, by vote.
package struct ExternalAddress: IPCMessage, Equatable {
    package static var type: MessageType { .externalAddress }
    package static var fixedSize: Int { 22 }
    package var endpoint: Endpoint  // port 0
    package var votes: UInt32
    package init(endpoint: Endpoint, votes: UInt32) {
        self.endpoint = endpoint
        self.votes = votes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.endpoint(endpoint)
        w.u32(votes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        endpoint = try r.endpoint()
        votes = try r.u32()
    }
}

/// Which peers are refused; first after a new edge, before any torrent, and on every change.
package struct PeerFilter: IPCMessage, Equatable {
    package static var type: MessageType { .peerFilter }
    package static var fixedSize: Int { 9 }
    package var path: String  // the AddressFilter's file (Engine/Filtering), replaced by rename; empty: nobody is refused
    package var logBlocked: UInt8
    package init(path: String = "", logBlocked: UInt8) {
        self.path = path
        self.logBlocked = logBlocked
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: path.utf8.count)
        w.u8(logBlocked)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, path)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        path = try r.string()
        logBlocked = try r.u8()
    }
}

/// Since this generation started; each second at the most often.
package struct PeerFilterCounts: IPCMessage, Equatable {
    package static var type: MessageType { .peerFilterCounts }
    package static var fixedSize: Int { 24 }
    package var accepts: UInt64  // connections refused
    package var addresses: UInt64  // addresses not taken, from whatever source
    package var closed: UInt64  // connections closed when the filter changed
    package init(accepts: UInt64, addresses: UInt64, closed: UInt64) {
        self.accepts = accepts
        self.addresses = addresses
        self.closed = closed
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u64(accepts)
        w.u64(addresses)
        w.u64(closed)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        accepts = try r.u64()
        addresses = try r.u64()
        closed = try r.u64()
    }
}

/// After the PeerTorrentAdd of a torrent with metadata that is not complete: the shard reads the layout of its files and its web seeds (BEP 19, 17) from there.
package struct PeerWebSeeds: IPCMessage, Equatable {
    package static var type: MessageType { .peerWebSeeds }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var metainfoPath: String  // absolute path of the stored .torrent file
    package init(torrent: UInt32, metainfoPath: String = "") {
        self.torrent = torrent
        self.metainfoPath = metainfoPath
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: metainfoPath.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, metainfoPath)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        metainfoPath = try r.string()
    }
}

/// BEP 52: the info dictionary is there, the piece layers of these files are not. The last part has `isLast`.
package struct LayersWanted: IPCMessage, Equatable {
    package static var type: MessageType { .layersWanted }
    package static var fixedSize: Int { 18 }
    package var torrent: UInt32
    package var pieceLength: UInt32
    package var isOptional: UInt8  // 1: v1 hashes are there, so give up when nobody answers
    package var isLast: UInt8
    package var files: [WantedLayer]  // at most 20,000
    package init(torrent: UInt32, pieceLength: UInt32, isOptional: UInt8, isLast: UInt8, files: [WantedLayer] = []) {
        self.torrent = torrent
        self.pieceLength = pieceLength
        self.isOptional = isOptional
        self.isLast = isLast
        self.files = files
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(pieceLength)
        w.u8(isOptional)
        w.u8(isLast)
        tail.reserve(&w, count: files.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, files)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        pieceLength = try r.u32()
        isOptional = try r.u8()
        isLast = try r.u8()
        files = try r.structs()
    }
}

/// The hashes of all files wanted, in their order, each proven; in parts of at most 512 KiB, in order. totalLength 0: not to be had.
package struct LayersFound: IPCMessage, Equatable {
    package static var type: MessageType { .layersFound }
    package static var fixedSize: Int { 20 }
    package var torrent: UInt32
    package var totalLength: UInt32
    package var offset: UInt32
    package var bytes: [UInt8]
    package init(torrent: UInt32, totalLength: UInt32, offset: UInt32, bytes: [UInt8] = []) {
        self.torrent = torrent
        self.totalLength = totalLength
        self.offset = offset
        self.bytes = bytes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(totalLength)
        w.u32(offset)
        tail.reserve(&w, count: bytes.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, bytes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        totalLength = try r.u32()
        offset = try r.u32()
        bytes = try r.bytes()
    }
}

package struct PieceStatesWanted: IPCMessage, Equatable {
    package static var type: MessageType { .pieceStatesWanted }
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

/// Answers PieceStatesWanted with its correlation.
package struct PieceStates: IPCMessage, Equatable {
    package static var type: MessageType { .pieceStates }
    package static var fixedSize: Int { 24 }
    package var torrent: UInt32
    package var have: [UInt8]  // verified pieces, wire order
    package var open: [UInt32]  // pieces being downloaded, rising
    package var availability: UInt32  // copies among the connected peers in thousandths: whole ones, and the part of pieces with one more
    package init(torrent: UInt32, have: [UInt8] = [], open: [UInt32] = [], availability: UInt32) {
        self.torrent = torrent
        self.have = have
        self.open = open
        self.availability = availability
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: have.count)
        tail.reserve(&w, count: open.count)
        w.u32(availability)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, have)
        tail.list(&w, open) { $0.u32($1) }
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        have = try r.bytes()
        open = try r.list(elementSize: 4) { (r) throws(DecodeError) in try r.u32() }
        availability = try r.u32()
    }
}

/// A peer's PORT message (BEP 5).
package struct DhtNodeSeen: IPCMessage, Equatable {
    package static var type: MessageType { .dhtNodeSeen }
    package static var fixedSize: Int { 18 }
    package var endpoint: Endpoint
    package init(endpoint: Endpoint) {
        self.endpoint = endpoint
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.endpoint(endpoint)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        endpoint = try r.endpoint()
    }
}

/// Somebody plays a file; repeated as the position moves, at least each 30 s.
package struct PeerStreamPosition: IPCMessage, Equatable {
    package static var type: MessageType { .peerStreamPosition }
    package static var fixedSize: Int { 20 }
    package var torrent: UInt32
    package var offset: UInt64  // byte of the torrent that is played
    package var end: UInt64  // one past the last byte of the file
    package init(torrent: UInt32, offset: UInt64, end: UInt64) {
        self.torrent = torrent
        self.offset = offset
        self.end = end
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u64(offset)
        w.u64(end)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        offset = try r.u64()
        end = try r.u64()
    }
}

/// Somebody reads a file while it is fetched: PeerStreamPosition, and the question how far it can be read by now.
package struct StreamWanted: IPCMessage, Equatable {
    package static var type: MessageType { .streamWanted }
    package static var fixedSize: Int { 24 }
    package var torrent: UInt32
    package var offset: UInt64  // byte of the torrent that is read next
    package var end: UInt64  // one past the last byte of the file; equal to offset: it reads no more, and nothing is answered
    package var reader: UInt32  // several read at a time; not 0
    package init(torrent: UInt32, offset: UInt64, end: UInt64, reader: UInt32) {
        self.torrent = torrent
        self.offset = offset
        self.end = end
        self.reader = reader
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u64(offset)
        w.u64(end)
        w.u32(reader)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        offset = try r.u64()
        end = try r.u64()
        reader = try r.u32()
    }
}

/// Answers StreamWanted with its correlation.
package struct StreamReady: IPCMessage, Equatable {
    package static var type: MessageType { .streamReady }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var bytes: UInt64  // from `offset` on that are verified and written, up to `end`
    package init(torrent: UInt32, bytes: UInt64) {
        self.torrent = torrent
        self.bytes = bytes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u64(bytes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        bytes = try r.u64()
    }
}

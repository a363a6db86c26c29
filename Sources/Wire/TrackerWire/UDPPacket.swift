import ByteCodec
import Primitives

/// Packets of the UDP tracker protocol (BEP 15), big-endian.
///
/// | packet | bytes | layout |
/// |---|---|---|
/// | connect request | 16 | protocol id u64, action 0 u32, transaction u32 |
/// | connect answer | 16 | action 0, transaction, connection id u64 |
/// | announce request | 98 + options | connection id u64, action 1, transaction, info-hash 20, peer id 20, downloaded u64, left u64, uploaded u64, event u32, IP u32 (0), key u32, numwant i32, port u16, options (BEP 41) |
/// | announce answer | 20 + n × 6 or 18 | action 1, transaction, interval, leechers, seeds, peers |
/// | scrape request | 16 + n × 20 | connection id u64, action 2, transaction, info-hashes |
/// | scrape answer | 8 + n × 12 | action 2, transaction, n × (seeds, downloads, leechers) |
/// | error | 8 + text | action 3, transaction, message |
package enum UDPPacket {
    /// Says "this is BEP 15" in a connect request.
    package static let protocolID: UInt64 = 0x417_2710_1980
    /// BEP 15: some 74 torrents fit one packet of 1,500 bytes.
    package static let scrapeLimit = 74
    /// Largest datagram that is read: 2,000 IPv4 peers are 12,020 bytes.
    package static let packetLimit = 16_384

    package static func connect(transaction: UInt32) -> [UInt8] {
        var w = ByteWriter(capacity: 64)
        w.u64BigEndian(protocolID)
        w.u32BigEndian(0)
        w.u32BigEndian(transaction)
        return w.array
    }

    /// `urlData` is the URL's path and query, sent by options of type 2 (BEP 41), each at most 255 bytes.
    package static func announce(
        _ request: AnnounceRequest, connection: UInt64, transaction: UInt32, urlData: String = ""
    ) -> [UInt8] {
        var w = ByteWriter(capacity: 256)
        w.u64BigEndian(connection)
        w.u32BigEndian(1)
        w.u32BigEndian(transaction)
        w.digest(request.infoHash)
        w.digest(request.peerID)
        w.u64BigEndian(request.downloaded)
        w.u64BigEndian(request.left)
        w.u64BigEndian(request.uploaded)
        w.u32BigEndian(request.event.rawValue)
        // 0: the address that the packet comes from. Naming another would let anyone be flooded.
        w.u32BigEndian(0)
        w.u32BigEndian(request.key)
        w.u32BigEndian(UInt32(bitPattern: request.numWant))
        w.u16BigEndian(request.port)
        var rest = Array(urlData.utf8)[...]
        while !rest.isEmpty {
            let part = rest.prefix(255)
            w.u8(2)
            w.u8(UInt8(part.count))
            w.bytes(Array(part))
            rest = rest.dropFirst(part.count)
        }
        return w.array
    }

    /// Needs 1 ... ``scrapeLimit`` info-hashes.
    package static func scrape(_ infoHashes: [InfoHash], connection: UInt64, transaction: UInt32) -> [UInt8] {
        precondition(!infoHashes.isEmpty && infoHashes.count <= scrapeLimit)
        var w = ByteWriter(capacity: 16 + 20 * infoHashes.count)
        w.u64BigEndian(connection)
        w.u32BigEndian(2)
        w.u32BigEndian(transaction)
        for hash in infoHashes { w.digest(hash) }
        return w.array
    }
}

/// What a UDP tracker answers.
package enum UDPTrackerAnswer: Equatable, Sendable {
    case connected(connection: UInt64)
    case announced(AnnounceAnswer)
    case scraped([ScrapeEntry])
    /// One line, safe to show.
    case failed(String)

    /// The transaction of a packet that is long enough to have one.
    package static func transaction(of packet: UnsafeRawBufferPointer) -> UInt32? {
        guard packet.count >= 8 else { return nil }
        return UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    }

    /// `overIPv6`: the packet came from an IPv6 address, so its peers are 18 bytes each (BEP 15, IPv6). Bytes that make
    /// no whole peer or entry are ignored, as BEP 15 wants for additions to come.
    package init(packet: UnsafeRawBufferPointer, overIPv6: Bool) throws(DecodeError) {
        var r = ByteReader(packet)
        let action = try r.u32BigEndian()
        _ = try r.u32BigEndian()
        switch action {
        case 0:
            self = .connected(connection: try r.u64BigEndian())
        case 1:
            var answer = AnnounceAnswer(interval: TrackerWire.interval(Int64(Int32(bitPattern: try r.u32BigEndian()))))
            answer.leechers = try r.u32BigEndian()
            answer.seeds = try r.u32BigEndian()
            answer.peers = compactPeers(r.rest(), ipv6: overIPv6, limit: TrackerWire.peerLimit)
            self = .announced(answer)
        case 2:
            var entries: [ScrapeEntry] = []
            while r.remaining >= 12, entries.count < UDPPacket.scrapeLimit {
                let seeds = try r.u32BigEndian(), downloads = try r.u32BigEndian()
                entries.append(ScrapeEntry(seeds: seeds, leechers: try r.u32BigEndian(), downloads: downloads))
            }
            self = .scraped(entries)
        case 3:
            self = .failed(trackerLine(r.rest()))
        default:
            throw .badValue(field: "action", value: UInt64(action))
        }
    }
}

/// Peers of 6 bytes (BEP 23) or 18 bytes (BEP 7) each; a last odd piece is ignored.
package func compactPeers(_ bytes: UnsafeRawBufferPointer, ipv6: Bool, limit: Int) -> [Endpoint] {
    let size = ipv6 ? 18 : 6
    let count = min(bytes.count / size, max(0, limit))
    var out: [Endpoint] = []
    out.reserveCapacity(count)
    for i in 0..<count {
        let at = i * size
        let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: at + size - 2, as: UInt16.self))
        if ipv6 {
            let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
            out.append(Endpoint(high: high, low: low, port: port))
        } else {
            out.append(Endpoint(ipv4: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)), port: port))
        }
    }
    return out
}

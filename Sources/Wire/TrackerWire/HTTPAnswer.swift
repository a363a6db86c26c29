import Bencode
import Primitives

/// Bodies of HTTP trackers' answers: one bencoded dictionary.
package enum HTTPTrackerAnswer {
    /// Bounds of one body. A dictionary peer is 7 tokens, so 400,000 of them (4.8 MB while parsing) hold far more
    /// peers than are taken.
    private static let limits = BencodeLimits(depth: 16, tokens: 400_000, bytes: TrackerWire.bodyLimit)

    /// The answer to an announce (BEP 3, 7, 23, 24, 31). Keys that are missing or of the wrong type are as if absent:
    /// what can be used of a sloppy answer is used.
    package static func announce(_ body: UnsafeRawBufferPointer) throws(TrackerFailure) -> AnnounceAnswer {
        let root = try dictionary(body)
        try refusal(root)
        var answer = AnnounceAnswer()
        answer.interval = root["interval"]?.integer.map(TrackerWire.interval)
        answer.minInterval = root["min interval"]?.integer.map(TrackerWire.interval)
        answer.seeds = count(root["complete"])
        answer.leechers = count(root["incomplete"])
        answer.downloads = count(root["downloaded"])
        if let id = root["tracker id"]?.string, !id.isEmpty, id.count <= TrackerWire.trackerIDLimit { answer.trackerID = Array(id) }
        if let warning = root["warning message"]?.string, !warning.isEmpty { answer.warning = trackerLine(warning) }
        if let address = root["external ip"]?.string { answer.externalAddress = external(address) }
        if let peers = root["peers"] { answer.peers = self.peers(peers) }
        if let peers = root["peers6"]?.string {
            answer.peers += compactPeers(peers, ipv6: true, limit: TrackerWire.peerLimit - answer.peers.count)
        }
        // A dictionary with none of what an announce is for is some other service's.
        guard answer.interval != nil || answer.warning != nil || root["peers"] != nil || root["peers6"] != nil else {
            throw .malformed("the answer has neither interval nor peers")
        }
        return answer
    }

    /// The figures of each info-hash in the answer to a scrape (BEP 48); nil for those that the tracker does not know.
    package static func scrape(_ body: UnsafeRawBufferPointer, of infoHashes: [InfoHash]) throws(TrackerFailure) -> [ScrapeEntry?] {
        let root = try dictionary(body)
        try refusal(root)
        guard let files = root["files"] else { throw .malformed("the answer has no files") }
        return infoHashes.map { infoHash in
            let key = infoHash.bytes
            guard let entry = key.withUnsafeBytes({ files[bytes: $0] }) else { return nil }
            return ScrapeEntry(
                seeds: count(entry["complete"]) ?? 0, leechers: count(entry["incomplete"]) ?? 0, downloads: count(entry["downloaded"]) ?? 0)
        }
    }

    /// The tracker's own refusal in a body that came with an HTTP error; nil when there is none.
    package static func refusal(in body: UnsafeRawBufferPointer) -> TrackerFailure? {
        do throws(TrackerFailure) {
            try refusal(dictionary(body))
            return nil
        } catch {
            if case .refused = error { return error }
            return nil
        }
    }

    private static func dictionary(_ body: UnsafeRawBufferPointer) throws(TrackerFailure) -> BencodeView {
        if body.isEmpty { throw .malformed("empty answer") }
        var parser = BencodeParser()
        do throws(BencodeError) {
            let root = try parser.parse(body, limits: limits, tolerance: .lenient)
            if root.kind == .dictionary { return root }
        } catch {
            // Only a body that begins like a tracker's is worth a byte offset.
            if body[0] == UInt8(ascii: "d"), error.offset > 1 { throw .malformed("bad answer: \(error)") }
        }
        throw .malformed("not a tracker's answer: \"\(trackerLine(body.prefix(60)))\"")
    }

    private static func refusal(_ root: BencodeView) throws(TrackerFailure) {
        guard let reason = root["failure reason"] else { return }
        var retry = RetryAdvice.unsaid
        // BEP 31 gives minutes, as an integer or (its own examples) as a string.
        if let view = root["retry in"] {
            if view.text == "never" {
                retry = .never
            } else if let minutes = view.integer ?? view.text.flatMap({ Int64($0) }), minutes > 0 {
                retry = .after(TrackerWire.interval(min(minutes, 1_440) * 60))
            }
        }
        let text = reason.string.map { trackerLine($0) } ?? ""
        throw .refused(reason: text.isEmpty ? "refused without a reason" : text, retry: retry)
    }

    private static func count(_ view: BencodeView?) -> UInt32? {
        view?.integer.flatMap { $0 >= 0 ? UInt32(clamping: $0) : nil }
    }

    private static func external(_ bytes: UnsafeRawBufferPointer) -> Endpoint? {
        // BEP 24 sends 4 or 16 bytes; a textual address is seen as well.
        switch bytes.count {
        case 4: Endpoint(ipv4: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)), port: 0)
        case 16:
            Endpoint(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)), port: 0)
        default: Endpoint(address: String(decoding: bytes.prefix(64), as: UTF8.self), port: 0)
        }
    }

    /// Compact (BEP 23) or a list of dictionaries (BEP 3). Host names are not looked up: a tracker could make every
    /// client of a swarm query any name.
    private static func peers(_ view: BencodeView) -> [Endpoint] {
        if let compact = view.string { return compactPeers(compact, ipv6: false, limit: TrackerWire.peerLimit) }
        var out: [Endpoint] = []
        for peer in view.elements {
            if out.count == TrackerWire.peerLimit { break }
            guard let address = peer["ip"]?.string, address.count <= 64, let port = peer["port"]?.integer.flatMap({ UInt16(exactly: $0) }),
                let endpoint = Endpoint(address: String(decoding: address, as: UTF8.self), port: port)
            else { continue }
            out.append(endpoint)
        }
        return out
    }
}

/// Feeds any bytes to every decoder here: what a fuzzer drives.
package func exerciseTrackerWire(_ bytes: UnsafeRawBufferPointer) {
    if let answer = try? HTTPTrackerAnswer.announce(bytes) { precondition(answer.peers.count <= TrackerWire.peerLimit) }
    _ = try? HTTPTrackerAnswer.scrape(bytes, of: [InfoHash()])
    _ = HTTPTrackerAnswer.refusal(in: bytes)
    for overIPv6 in [false, true] {
        guard let answer = try? UDPTrackerAnswer(packet: bytes, overIPv6: overIPv6) else { continue }
        switch answer {
        case .announced(let announced):
            precondition(announced.peers.count <= TrackerWire.peerLimit)
            precondition(TrackerWire.intervalRange.contains(announced.interval!))
        case .scraped(let entries): precondition(entries.count <= UDPPacket.scrapeLimit)
        case .failed(let line): precondition(line.unicodeScalars.count <= TrackerWire.messageLimit * 9)
        case .connected: break
        }
    }
    if let url = TrackerURL(String(decoding: bytes, as: UTF8.self)) {
        precondition(!url.host.isEmpty && url.port != 0)
        if let scrape = url.scrape { precondition(scrape.hostKey == url.hostKey) }
    }
}

import Control
import Primitives

extension QBittorrentAPI {
    static let syncRoutes: [String: Handler] = [
        "sync/maindata": { api, exchange, caller in
            let rid = exchange["rid"].flatMap { Int($0) } ?? 0
            let extra: [(String, FieldValue)] = [("free_space_on_disk", .integer(api.freeSpace.bytes))]
            guard case .session(let id) = caller else {
                // Without a session there is no place to remember: everything, each time.
                var position = SyncPosition()
                return .json(api.mirror.read { MainData.answer(&$0, &position, rid: 0, extra: extra) })
            }
            return .json(
                api.gatekeeper.sessions.position(of: id) { positions in
                    var main = positions.main
                    let bytes = api.mirror.read { state in
                        var position = main
                        let bytes = MainData.answer(&state, &position, rid: rid, extra: extra)
                        return (bytes, position)
                    }
                    main = bytes.1
                    positions.main = main
                    return bytes.0
                })
        },
        "sync/torrentPeers": { api, exchange, caller in
            let entry = try api.entry(exchange), rid = exchange["rid"].flatMap { Int($0) } ?? 0
            let answer: PeersAnswer
            do throws(ControlError) {
                answer = try await api.gateway.call(ControlMethods.Peers.self, HashParameters(hash: entry.hash))
            } catch {
                // The peer worker is being restarted: it has no connections.
                guard error.code == .unavailable else { throw error }
                answer = PeersAnswer(peers: [])
            }
            let peers = answer.peers.map { PeerView.fields($0) }
            guard case .session(let id) = caller else {
                var deltas = PeerDeltas()
                return .json(deltas.answer(hash: entry.hash, rid: 0, peers: peers, showFlags: true))
            }
            return .json(api.gatekeeper.sessions.position(of: id) { $0.peers.answer(hash: entry.hash, rid: rid, peers: peers, showFlags: true) })
        },
    ]
}

package enum PeerView {
    package static func fields(_ p: PeerRow) -> (key: String, fields: PeerDeltas.Peer) {
        let cut = p.endpoint.lastIndex(of: ":") ?? p.endpoint.endIndex
        var ip = String(p.endpoint[..<cut])
        if ip.hasPrefix("["), ip.hasSuffix("]") { ip = String(ip.dropFirst().dropLast()) }
        let port = Int64(p.endpoint[cut...].dropFirst()) ?? 0
        let flags = Self.flags(p)
        return (
            p.endpoint,
            [
                ("client", .text(p.client)), ("peer_id_client", .text(Self.idClient(p.peerID))), ("connection", .text("BT")), ("country", .text("")),
                ("country_code", .text("")), ("dl_speed", .integer(Int64(clamping: p.downRate))), ("up_speed", .integer(Int64(clamping: p.upRate))),
                ("downloaded", .integer(Int64(clamping: p.downloaded))), ("uploaded", .integer(Int64(clamping: p.uploaded))), ("files", .text("")),
                ("flags", .text(flags.map(\.0).joined(separator: " "))), ("flags_desc", .text(flags.map { "\($0.0) = \($0.1)" }.joined(separator: "\n"))),
                ("ip", .text(ip)), ("port", .integer(port)), ("progress", .number((p.progress * 10_000).rounded(.down) / 10_000)),
                ("relevance", .number(p.flags.contains("seed") ? 1 : 0)),
            ]
        )
    }

    /// The eight characters by which clients name themselves (BEP 20).
    static func idClient(_ hex: String) -> String {
        var out = ""
        for pair in stride(from: 0, to: min(16, hex.utf8.count / 2 * 2), by: 2) {
            let from = hex.index(hex.startIndex, offsetBy: pair)
            guard let byte = UInt8(hex[from..<hex.index(from, offsetBy: 2)], radix: 16), (0x20..<0x7F).contains(byte) else { return "" }
            out.unicodeScalars.append(Unicode.Scalar(byte))
        }
        return out
    }

    /// qBittorrent's letters.
    static func flags(_ p: PeerRow) -> [(String, String)] {
        let has = Set(p.flags)
        var out: [(String, String)] = []
        if has.contains("interested") { out.append(has.contains("peer_choking") ? ("d", "interested (local) and choked (peer)") : ("D", "interested (local) and unchoked (peer)")) }
        if has.contains("peer_interested") { out.append(has.contains("choking") ? ("u", "interested (peer) and choked (local)") : ("U", "interested (peer) and unchoked (local)")) }
        if !has.contains("peer_choking"), !has.contains("interested") { out.append(("K", "not interested (local) and unchoked (peer)")) }
        if !has.contains("choking"), !has.contains("peer_interested") { out.append(("?", "not interested (peer) and unchoked (local)")) }
        if has.contains("optimistic") { out.append(("O", "optimistic unchoke")) }
        if has.contains("snubbed") { out.append(("S", "peer snubbed")) }
        if has.contains("incoming") { out.append(("I", "incoming connection")) }
        switch p.source {
        case "dht": out.append(("H", "peer from DHT"))
        case "pex": out.append(("X", "peer from PEX"))
        case "lsd": out.append(("L", "peer from LSD"))
        default: break
        }
        return out
    }
}

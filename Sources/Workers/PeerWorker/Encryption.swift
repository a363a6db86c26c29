import ByteCodec
import Glibc
import Observe
import PeerEncryption
import PeerWire
import Primitives
import Swarm

/// Message stream encryption in front of the BitTorrent handshake.
///
///     dialled:   connected ─▶ beginEncryption ─▶ secure … ─▶ greet
///     accepted:  greet: not plain ─▶ expectEncryption ─▶ secure … ─▶ greet
///
/// The swarm's handshake time-out covers all of it. Two exponentiations an end, some 60 µs: what the swarm lets accept in a second
/// keeps that bounded.
extension PeerShell {
    /// The handshake that the swarm has put into the outbox goes along with the third message.
    func beginEncryption(_ link: Link) {
        let payload = link.outbox.array
        precondition(payload.count == Handshake.byteCount)
        let infoHash = payload[28..<48].withUnsafeBytes { InfoHash(bytes: $0) }
        link.outbox.removeAll()
        let (key, seed) = Self.entropy()
        link.handshake = EncryptionHandshake(
            dialling: infoHash, offering: encryption.methods, initialPayload: payload, privateKey: key, paddingSeed: seed, into: &link.outbox)
        link.state = .securing
        markDirty(link)
    }

    /// True: go on with what is in the inbox.
    func expectEncryption(_ link: Link) -> Bool {
        let (key, seed) = Self.entropy()
        link.handshake = EncryptionHandshake(accepting: encryption.methods, preferringRC4: encryption.prefersRC4, privateKey: key, paddingSeed: seed)
        link.state = .securing
        return true
    }

    private static func entropy() -> (key: [UInt8], seed: UInt64) {
        var key = [UInt8](repeating: 0, count: 20), seed: UInt64 = 0
        // Fails only for more than 256 bytes.
        precondition(getentropy(&key, 20) == 0 && getentropy(&seed, 8) == 0)
        return (key, seed)
    }

    /// Takes what it can from the inbox. False: more bytes are needed, or the connection is over.
    func secure(_ link: Link, now: Instant) -> Bool {
        let before = link.outbox.count
        let (consumed, step) = link.handshake!.receive(link.inbox.writable(), into: &link.outbox) { swarmKeys.find($0) }
        link.inbox.consume(consumed)
        if link.outbox.count > before { markDirty(link) }
        switch step {
        case .needMore(let needed):
            link.inbox.reserve(needed)
            return false
        case .failed(let failure):
            Log.log(.debug, "encrypted handshake: \(failure)")
            link.inbox.consume(link.inbox.count)
            swarm.encryptionRefused(link.peer, now: now, into: &effects)
            return false
        case .done(let method, let plainBytes):
            link.encryption = method == .rc4 ? .rc4 : .handshake
            link.decipher = link.handshake!.incoming
            link.encipher = link.handshake!.outgoing
            link.handshake = nil
            link.finishedOutput = link.outbox.count
            if let decipher = link.decipher { decipher.apply(link.inbox.last(link.inbox.count - plainBytes)) }
            swarm.encrypted(link.peer, link.encryption)
            link.state = .greeting
            return true
        }
    }
}

import ByteCodec
import Glibc
import PeerEncryption
import Primitives
import Settings
import Testing

@testable import PeerWorker

/// Aim: an encrypted stream is the plain one to who has the other half of the key, whatever the sizes of reads and writes are, and
/// the memory of cached blocks stays as it was.
/// Method: two ends that agreed on RC4; what one encrypts the other decrypts.
@Suite struct EncryptedStreamTests {
    /// Both ends of a finished exchange.
    private func agree() -> (dialler: EncryptionHandshake, accepter: EncryptionHandshake) {
        let swarm = InfoHash(), key = [UInt8](repeating: 5, count: 20)
        var toB = ByteWriter(), toA = ByteWriter()
        let a = EncryptionHandshake(dialling: swarm, offering: .rc4, initialPayload: [], privateKey: key, paddingSeed: 1, into: &toB)
        let b = EncryptionHandshake(accepting: .rc4, preferringRC4: true, privateKey: key, paddingSeed: 2)
        var heldA: [UInt8] = [], heldB: [UInt8] = []
        for turn in 0..<4 {
            heldB += toB.array
            toB.removeAll()
            if turn < 2 { heldB.removeFirst(heldB.withUnsafeMutableBytes { b.receive($0, into: &toA) { _ in swarm }.consumed }) }
            heldA += toA.array
            toA.removeAll()
            if turn < 2 { heldA.removeFirst(heldA.withUnsafeMutableBytes { a.receive($0, into: &toB, find: { _ in nil }).consumed }) }
        }
        precondition(a.outgoing != nil && b.outgoing != nil && heldA.isEmpty && heldB.isEmpty)
        return (a, b)
    }

    @Test(arguments: 1...40)
    func aPlanDecryptsInPlace(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let (a, b) = agree()
        let blocks = 1 + random.below(ReceivePlan.capacity)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: blocks * 64, alignment: 16)
        defer { memory.deallocate() }
        var plan = ReceivePlan(), stream = ByteWriter(), items: [ReceivePlan.Item] = []
        for i in 0..<blocks {
            let item = ReceivePlan.Item(piece: 2, begin: UInt32(i) * 64, length: UInt32(1 + random.below(64)), slot: SlotIndex(i), payload: memory + i * 64)
            items.append(item)
            plan.append(item)
            stream.u32BigEndian(item.length + 9)
            stream.u8(7)
            stream.u32BigEndian(item.piece)
            stream.u32BigEndian(item.begin)
            stream.bytes([UInt8](repeating: UInt8(i + 1), count: Int(item.length)))
        }
        var wire = stream.array, delivered: [ReceivePlan.Item] = []
        wire.withUnsafeMutableBytes { a.outgoing!.apply($0) }
        var at = 0
        while at < wire.count {
            let (vectors, count, bytes) = plan.prepare()
            var n = min(1 + random.below(300), wire.count - at, bytes), left = n
            for v in 0..<count where left > 0 {
                let k = min(left, vectors[v].iov_len)
                wire[at..<at + k].withUnsafeBytes { vectors[v].iov_base!.copyMemory(from: $0.baseAddress!, byteCount: k) }
                at += k
                left -= k
            }
            plan.decrypt(n, with: b.incoming!)
            steps: while true {
                switch plan.next(&n) {
                case .delivered(let item): delivered.append(item)
                case .needMore: break steps
                case .mismatch:
                    Issue.record("the header did not come out plain")
                    return
                }
            }
        }
        #expect(delivered == items)
        for item in items {
            #expect((0..<Int(item.length)).allSatisfy { item.payload.load(fromByteOffset: $0, as: UInt8.self) == UInt8(item.slot!.int + 1) })
        }
    }

    @Test(arguments: 1...30)
    func aBatchEncryptsACopy(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let (a, b) = agree()
        let slot = UnsafeMutableRawPointer.allocate(byteCount: 16384, alignment: 4096)
        defer { slot.deallocate() }
        slot.initializeMemory(as: UInt8.self, repeating: 0xAB, count: 16384)
        var batch = SendBatch(), plain: [UInt8] = [], wire: [UInt8] = []
        for round in 0..<6 {
            let control = (0..<random.below(200)).map { UInt8(truncatingIfNeeded: $0) }
            // What stands before the end of the handshake is final already.
            let finished = round == 0 ? min(10, control.count) : 0
            batch.control.bytes(control)
            batch.begin(with: a.outgoing, finished: finished)
            plain += control.dropFirst(finished)
            var blocks = random.below(SendBatch.blockCapacity + 1)
            if control.isEmpty, blocks == 0 { blocks = 1 }
            for _ in 0..<blocks {
                let length = UInt32(1 + random.below(16384)), first = random.below(Int(length) + 1)
                let parts = (BlockPart(run: SlotIndex(0), memory: slot, count: first), BlockPart(run: SlotIndex(0), memory: slot, count: Int(length) - first))
                batch.append(.init(torrent: TorrentID(rawValue: 1), piece: PieceIndex(rawValue: 9), begin: 0, length: length), parts)
                plain += [0, 0, UInt8((length + 9) >> 8), UInt8(truncatingIfNeeded: length + 9), 7, 0, 0, 0, 9, 0, 0, 0, 0]
                plain += [UInt8](repeating: 0xAB, count: Int(length))
            }
            var skip = finished
            while !batch.isEmpty {
                let (vectors, count) = batch.pending(with: a.outgoing)
                var whole: [UInt8] = []
                for v in 0..<count { whole += UnsafeRawBufferPointer(start: vectors[v].iov_base, count: vectors[v].iov_len) }
                #expect(!whole.isEmpty)
                let taken = 1 + random.below(whole.count)
                wire += whole.prefix(taken).dropFirst(skip)
                skip = max(0, skip - taken)
                batch.sent(taken)
            }
            #expect(batch.control.count == 0)
            while batch.takePin() != nil {}
        }
        wire.withUnsafeMutableBytes { b.incoming!.apply($0) }
        #expect(wire == plain)
        #expect((0..<16384).allSatisfy { slot.load(fromByteOffset: $0, as: UInt8.self) == 0xAB }, "other peers read the same slot")
    }

    struct Mode: Sendable {
        let mode: String
        let plainIn, encryptedIn, encryptedFirst, otherWay: Bool
    }
    @Test(arguments: [
        Mode(mode: "disabled", plainIn: true, encryptedIn: false, encryptedFirst: false, otherWay: false),
        Mode(mode: "allowed", plainIn: true, encryptedIn: true, encryptedFirst: false, otherWay: true),
        Mode(mode: "preferred", plainIn: true, encryptedIn: true, encryptedFirst: true, otherWay: true),
        Mode(mode: "required", plainIn: false, encryptedIn: true, encryptedFirst: true, otherWay: false),
    ])
    func modesAreWhatTheySay(_ c: Mode) throws {
        var settings = Settings()
        try settings.set("security.encryption_mode", .text(c.mode))
        for (ciphers, methods) in [("both", [.rc4, .plaintext]), ("rc4", .rc4), ("plaintext", .plaintext)] as [(String, EncryptionMethods)] {
            try settings.set("security.encryption_allowed_ciphers", .text(ciphers))
            let rules = EncryptionRules(settings)
            #expect(rules.takesPlain == c.plainIn && rules.takesEncrypted == c.encryptedIn)
            #expect(rules.dialsEncryptedFirst == c.encryptedFirst && rules.dialsOtherWay == c.otherWay && rules.methods == methods)
        }
    }
}

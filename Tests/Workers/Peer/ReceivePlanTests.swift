import Primitives
import Testing

@testable import PeerWorker

/// Aim: whatever the other side sends and wherever the reads end, every byte of the stream is either in the slot of
/// the block that it belongs to or in the gathered rest, in order.
/// Method: a byte stream of predicted blocks with other messages in between is fed through the vectors in random cuts.
@Suite struct ReceivePlanTests {
    private func message(_ item: ReceivePlan.Item, fill: UInt8) -> [UInt8] {
        func be(_ v: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: v >> UInt32(24 - 8 * $0)) } }
        return be(item.length + 9) + [7] + be(item.piece) + be(item.begin) + [UInt8](repeating: fill, count: Int(item.length))
    }

    /// Writes `bytes` through the plan's vectors as readv would, at most `limit`; returns how many fitted.
    private func scatter(_ plan: inout ReceivePlan, _ bytes: ArraySlice<UInt8>, limit: Int) -> Int {
        let (vectors, n, total) = plan.prepare()
        var left = min(limit, bytes.count, total), at = bytes.startIndex
        let taken = left
        for v in 0..<n where left > 0 {
            let k = min(vectors[v].iov_len, left)
            bytes[at..<at + k].withUnsafeBytes { vectors[v].iov_base!.copyMemory(from: $0.baseAddress!, byteCount: k) }
            at += k
            left -= k
        }
        return taken
    }

    @Test(arguments: 1...200)
    func everyByteFindsItsPlace(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let blocks = 1 + random.below(ReceivePlan.capacity)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: blocks * 64, alignment: 16)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: blocks * 64)
        var plan = ReceivePlan(), items: [ReceivePlan.Item] = [], stream: [UInt8] = []
        for i in 0..<blocks {
            let item = ReceivePlan.Item(piece: 5, begin: UInt32(i) * 64, length: UInt32(1 + random.below(64)), slot: SlotIndex(i), payload: memory + i * 64)
            items.append(item)
            plan.append(item)
            stream += message(item, fill: UInt8(i + 1))
        }
        // From some block on the stream is another message, or one block out of its turn.
        let stray = random.chance(0.6) ? random.below(blocks) : blocks
        if stray < blocks {
            let cut = items[..<stray].reduce(0) { $0 + 13 + Int($1.length) }
            let other: [UInt8] = random.chance(0.5) ? [0, 0, 0, 5, 4, 0, 0, 0, 9] : [0, 0, 0, 1, 0]
            stream = Array(stream[..<cut]) + other + Array(stream[cut...])
        }
        var at = 0, delivered: [ReceivePlan.Item] = [], rest: [UInt8]? = nil
        feeding: while at < stream.count, !plan.isEmpty {
            var n = scatter(&plan, stream[at...], limit: 1 + random.below(200))
            at += n
            while true {
                switch plan.next(&n) {
                case .delivered(let item): delivered.append(item)
                case .needMore:
                    #expect(n == 0)
                    continue feeding
                case .mismatch:
                    let size = plan.offset + n
                    rest = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                        plan.gather(rest: n, into: UnsafeMutableRawPointer(buffer.baseAddress!))
                        count = size
                    }
                    break feeding
                }
            }
        }
        #expect(delivered == Array(items[..<min(stray, blocks)]))
        for item in delivered {
            for k in 0..<Int(item.length) { #expect(item.payload.load(fromByteOffset: k, as: UInt8.self) == UInt8(item.slot!.int + 1)) }
        }
        if stray < blocks {
            // The gathered rest and what was not yet read are the stream from the stray message on.
            let cut = items[..<stray].reduce(0) { $0 + 13 + Int($1.length) }
            #expect(rest != nil && (rest ?? []) + stream[at...] == Array(stream[cut...]))
        } else {
            #expect(rest == nil && at == stream.count)
        }
    }

    @Test func aPlanRestartsInsideABlock() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
        defer { memory.deallocate() }
        var plan = ReceivePlan()
        let item = ReceivePlan.Item(piece: 1, begin: 0, length: 20, slot: SlotIndex(0), payload: memory)
        plan.beginInside(item, received: 8)
        plan.append(.init(piece: 1, begin: 20, length: 20, slot: SlotIndex(1), payload: memory + 20))
        #expect(plan.prepare().bytes == 12 + 13 + 20)
        plan.restart()
        #expect(plan.count == 1 && plan.offset == 21 && plan.prepare().bytes == 12)
        var n = 12
        #expect(plan.next(&n) == .delivered(item) && n == 0 && plan.isEmpty)
    }
}

import MicroTransport
import Primitives
import Testing
@testable import PeerWorker

/// The unacknowledged part of a stream: what was put in comes out at any place, until it is released.
@Suite struct UTPStreamTests {
    @Test(arguments: 0..<20) func anyStretchIsTheStream(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let stream = UTPStream(core: MicroTransport(seed: 1), handle: UTPHandle(index: 0, generation: 0), endpoint: Endpoint(ipv4: 1, port: 1), link: 0)
        let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: 100_000, alignment: 16)
        defer { payload.deallocate() }
        for i in payload.indices { payload[i] = UInt8(truncatingIfNeeded: random.next()) }
        var model: [UInt8] = [], released = 0, pins = 0, unpinned = 0
        for _ in 0..<2000 {
            switch random.below(4) {
            case 0:
                let at = random.below(80_000), n = 1 + random.below(16_384)
                stream.append(pinned: payload.baseAddress! + at, n, SlotIndex(pins))
                pins += 1
                model += payload[at..<at + n]
            case 1:
                let at = random.below(80_000), n = 1 + random.below(300)
                stream.append(copying: payload.baseAddress! + at, n)
                model += payload[at..<at + n]
            case 2 where released < model.count:
                let at = released + random.below(model.count - released), n = min(1452, model.count - at)
                var got: [UInt8] = []
                stream.gather(UInt64(at), n) { got += UnsafeRawBufferPointer(start: $0, count: $1) }
                #expect(got == Array(model[at..<at + n]))
            default:
                released += random.below(model.count - released + 1)
                stream.release(upTo: UInt64(released)) {
                    #expect($0.int == unpinned, "pins come back in order")
                    unpinned += 1
                }
            }
            #expect(stream.end == UInt64(model.count))
        }
        stream.releaseAll { _ in unpinned += 1 }
        #expect(unpinned == pins)
    }
}

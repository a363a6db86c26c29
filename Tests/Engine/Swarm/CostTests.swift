import Glibc
import PeerWire
import Primitives
import Swarm
import Testing

/// Bytes handed out by malloc. mallinfo2 is not in the Glibc module; on x86-64 its struct result goes through a hidden
/// first argument, so it can be called as what it is there: a function that fills ten words.
func heapBytes() -> Int {
    #if arch(x86_64)
        typealias Fill = @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer
        guard let symbol = dlsym(nil, "mallinfo2") else { return 0 }
        return withUnsafeTemporaryAllocation(of: Int.self, capacity: 10) { words in
            _ = unsafeBitCast(symbol, to: Fill.self)(UnsafeMutableRawPointer(words.baseAddress!))
            return words[4] + words[7]
        }
    #else
        return 0
    #endif
}

/// What the per-block path and an idle torrent cost. Allocation counts hold in release builds only: a debug build does not specialise.
@Suite(.serialized) struct CostTests {
    @Test func theBlockPathAllocatesNothing() {
        let stage = Stage(pieces: 64, pieceLength: 4 << 20, slots: 16384)
        let p = stage.seed()
        func blocks(_ n: Int) {
            for _ in 0..<n {
                guard let block = stage.swarm.expected(p, 0) else { return }
                _ = stage.swarm.expected(p, 15)
                _ = stage.swarm.destination(p, piece: block.piece.rawValue, begin: block.begin, length: block.length)
                stage.swarm.blockReceived(
                    p, piece: block.piece.rawValue, begin: block.begin, length: block.length, now: stage.now, into: &stage.effects)
                stage.effects.removeAll()
            }
        }
        blocks(6 * 256)
        // Within one piece (a whole one takes a row and a run, once). Other tests use the same heap: the quietest round counts.
        var quietest = Int.max, fastest = Double.infinity
        for _ in 0..<8 {
            let before = heapBytes(), start = Self.nanoseconds()
            blocks(25)
            fastest = min(fastest, (Self.nanoseconds() - start) / 25)
            quietest = min(quietest, abs(heapBytes() - before))
        }
        print("block path: \(fastest) ns a block, heap grew by \(quietest) bytes")
        #if !DEBUG
            #expect(quietest == 0)
            #expect(fastest < 2000)
        #endif
    }

    private static func nanoseconds() -> Double {
        var clock = timespec()
        clock_gettime(CLOCK_MONOTONIC, &clock)
        return Double(clock.tv_sec) * 1e9 + Double(clock.tv_nsec)
    }

    /// The whole process's heap is measured, and other suites use it meanwhile: one quiet attempt of five is enough.
    @Test func anIdleTorrentIsSmall() {
        let measured = (0..<5).map { _ in Self.bytesOfAnIdleTorrent() }
        print("idle torrent: \(measured) bytes")
        #expect(measured.contains { $0 < 2048 && ($0 > 100 || heapBytes() == 0) }, "\(measured)")
    }
    private static func bytesOfAnIdleTorrent() -> Int {
        var effects = EffectBuffer()
        let stage = Stage()
        let before = heapBytes()
        let count = 20_000
        for n in 0..<count {
            let geometry = PieceGeometry(totalLength: 50 << 30, pieceLength: 4 << 20)!
            var hash = [UInt8](repeating: 0, count: 20)
            (hash[0], hash[1], hash[2]) = (UInt8(n & 255), UInt8(n >> 8), 1)
            let id = TorrentID(rawValue: UInt32(n + 10))
            stage.swarm.addTorrent(TorrentSpec(id: id, infoHash: InfoHash(hash)!, geometry: geometry), now: stage.now, into: &effects)
            stage.swarm.diskReady(id, have: Bitfield(full: geometry.pieceCount), now: stage.now, into: &effects)
        }
        let each = (heapBytes() - before) / count
        #expect(effects.all.isEmpty)
        return each
    }
}

import BlockArena
import CHash
import Glibc
import LinuxIO
import Primitives
import Testing

@testable import DiskWorker
@testable import Pieces

// Not thresholds: prints rate and CPU of the three paths on this machine's disk. Release build, CCBT_BENCH=1.

private func cpuSeconds() -> Double {
    var u = rusage()
    getrusage(0, &u)  // RUSAGE_SELF
    return Double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + Double(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6
}
private func systemSeconds() -> Double {
    guard let bytes = contents0("/proc/stat") else { return 0 }
    let fields = bytes.split(separator: 10)[0].split(separator: 32).dropFirst().prefix(3)
    return fields.map { Double(String(decoding: $0, as: UTF8.self)) ?? 0 }.reduce(0, +) / 100
}
private func contents0(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var out = [UInt8](repeating: 0, count: 4096)
    let n = fread(&out, 1, out.count, file)
    return Array(out[..<n])
}

struct RateCase: Sendable, CustomStringConvertible {
    let description: String
    let pieceLength: Int, files: Int, offset: Int
    var allocation = Allocation.full, direct = true
    static let all = [
        RateCase(description: "4 MiB pieces, one file, fallocate", pieceLength: 4 << 20, files: 1, offset: 0),
        RateCase(description: "4 MiB pieces, one file, sparse", pieceLength: 4 << 20, files: 1, offset: 0, allocation: .sparse),
        RateCase(description: "1 MiB pieces, one file, fallocate", pieceLength: 1 << 20, files: 1, offset: 0),
        RateCase(description: "256 KiB pieces, one file, fallocate", pieceLength: 256 << 10, files: 1, offset: 0),
        RateCase(description: "1 MiB pieces, 20 ragged files, fallocate", pieceLength: 1 << 20, files: 20, offset: 12_345),
        RateCase(description: "1 MiB pieces, one file, buffered", pieceLength: 1 << 20, files: 1, offset: 0, direct: false),
    ]
}

@Suite(.serialized, .enabled(if: getenv("CCBT_BENCH") != nil)) struct DiskRates {
    static let total = 2 << 30

    @Test(arguments: RateCase.all) func rates(_ c: RateCase) throws {
        let h = try Harness(.uring, directIO: c.direct, openFiles: 256)
        // The arena's 32 MiB are the content, over and over: nothing is copied in between.
        var random = SeededRandom(seed: 3)
        let base = h.arena.slot(SlotIndex(0)), size = Harness.slots * 16384
        for at in stride(from: 0, to: size, by: 8) { base.storeBytes(of: random.next(), toByteOffset: at, as: UInt64.self) }
        let inArena = size / c.pieceLength, pieces = Self.total / c.pieceLength
        var digests = [[UInt8]]()
        for i in 0..<inArena {
            var d = [UInt8](repeating: 0, count: 20)
            ccbt_sha1((base + i * c.pieceLength).assumingMemoryBound(to: UInt8.self), c.pieceLength, &d)
            digests.append(d)
        }
        var meta: [UInt8] = []
        func raw(_ s: String) { meta += Array(s.utf8) }
        raw("d4:infod")
        if c.files == 1 {
            raw("6:lengthi\(Self.total)e")
        } else {
            raw("5:filesl")
            let each = Self.total / c.files
            for i in 0..<c.files {
                let length = i == 0 ? each + c.offset : i == c.files - 1 ? Self.total - each * (c.files - 1) - c.offset : each
                let name = "f\(i)"
                raw("d6:lengthi\(length)e4:pathl\(name.utf8.count):\(name)ee")
            }
            raw("e")
        }
        raw("4:name1:t12:piece lengthi\(c.pieceLength)e6:pieces\(pieces * 20):")
        for i in 0..<pieces { meta += digests[i % inArena] }
        raw("ee")
        let path = h.folder + "/t.torrent"
        put(meta, path)
        let id = TorrentID(rawValue: 1)
        h.engine.handle(.add(id, TorrentSpec(metainfoPath: path, savePath: h.save, allocation: c.allocation)))
        #expect(h.run { h.isReady() })

        func measure(_ name: String, _ bytes: Int, _ body: () -> Void) {
            let t = Clock.monotonic(), cpu = cpuSeconds(), system = systemSeconds()
            body()
            let s = (Clock.monotonic() - t).seconds, gib = Double(bytes) / Double(1 << 30)
            print(
                "\(c): \(name) \((gib / s * 100).rounded() / 100) GiB/s, CPU \(((cpuSeconds() - cpu) / gib * 1000).rounded() / 1000) s/GiB, machine \(((systemSeconds() - system) / gib * 1000).rounded() / 1000) s/GiB"
            )
        }
        measure("store", Self.total) {
            var next = 0, free = Array(0..<inArena), seen = h.got.count
            while next < pieces || free.count < inArena {
                // A piece may go into any run that holds its content: runs are pieces modulo the arena.
                while next < pieces, let i = free.firstIndex(of: next % inArena) {
                    free.swapAt(i, free.count - 1)
                    free.removeLast()
                    h.engine.handle(
                        .store(
                            StoreRequest(
                                torrent: id, piece: UInt32(next), run: RunID(shard: 0, first: SlotIndex(next % inArena * (c.pieceLength / 16384))),
                                length: UInt32(c.pieceLength))))
                    next += 1
                }
                h.step(100)
                for effect in h.got[seen...] {
                    if case .stored(let r) = effect { free.append(Int(r.piece) % inArena) }
                    if case .storeFailed = effect { Issue.record("failed"); return }
                }
                seen = h.got.count
            }
            #expect(h.run { h.durable().isFull })
        }
        h.run(2) { h.engine.isQuiet }
        h.got = []
        measure("recheck", Self.total) {
            h.engine.handle(.recheck(id))
            #expect(h.run(60) { h.isReady() })
        }
        #expect(h.have().isFull)
        h.run(2) { h.engine.isQuiet }
        for chunk in [256 << 10, 1 << 20] {
            h.got = []
            measure("read \(chunk >> 10) KiB", 1 << 30) {
                // 16 reads in flight, over the first GiB.
                var next = 0, done = 0, seen = 0
                let reads = (1 << 30) / min(chunk, c.pieceLength), per = c.pieceLength / min(chunk, c.pieceLength), each = min(chunk, c.pieceLength)
                while done < reads {
                    while next < reads, next - done < 16 {
                        h.engine.handle(
                            .read(
                                ReadRequest(
                                    torrent: id, piece: UInt32(next / per), offset: UInt32(next % per * each), length: UInt32(each),
                                    run: RunID(shard: 0, first: SlotIndex(next % 16 * (each / 16384))))))
                        next += 1
                    }
                    h.step(100)
                    for effect in h.got[seen...] { if case .readDone(_, let s) = effect { done += 1; if s != .done { Issue.record("\(s)") } } }
                    seen = h.got.count
                }
            }
        }
        print("\(c): \(h.engine.mode); direct \(h.engine.directWrites), buffered \(h.engine.bufferedWrites) writes")
        h.stop()
    }
}

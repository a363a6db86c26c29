import PeerWire
import Primitives

/// A file whose piece hashes are wanted: more than one piece.
package struct LayerFile: Hashable, Sendable {
    package var root: SHA256Digest
    package var pieces: UInt32
    package init(root: SHA256Digest, pieces: UInt32) {
        self.root = root
        self.pieces = pieces
    }
}

/// The piece layers of a torrent that came without them (a magnet link; BEP 52), from several peers at once.
///
/// Each answer carries its own proof, so that what is kept is right and who lies is known at once. Memory is bounded by
/// the info dictionary that named the files; ``mostPieces`` bounds it again.
final class LayerFetch {
    /// 32 bytes each: 32 MiB, as much as a .torrent may have.
    static let mostPieces = 1 << 20
    /// Requests to one peer at a time.
    static let depth = 4

    private struct Part {
        let file: Int32
        let index: UInt32
    }
    private struct Asked {
        var peer: PeerHandle
        let part: Int
        var at: Instant
    }

    let files: [LayerFile]
    /// Layers above the leaves at which one hash covers a piece.
    let pieceLayer: UInt32
    /// May be done without: v1 hashes are there too.
    let isOptional: Bool
    private(set) var hashes: [[UInt8]]
    private var parts: [Part] = []
    /// Parts below it were asked for; of these, not answered: `asked`; given back: `returned`.
    private var fresh = 0
    private var asked: [Asked] = []
    private var returned: [Int] = []
    private(set) var missing: Int
    private(set) var lastProgress: Instant

    /// nil when the files make no sense, or are too many.
    init?(files: [LayerFile], pieceLength: UInt32, isOptional: Bool, now: Instant) {
        guard pieceLength >= PieceGeometry.blockLength, pieceLength.nonzeroBitCount == 1, files.allSatisfy({ $0.pieces > 1 }),
            files.reduce(0, { $0 + Int($1.pieces) }) <= Self.mostPieces
        else { return nil }
        self.files = files
        self.isOptional = isOptional
        pieceLayer = UInt32((pieceLength / PieceGeometry.blockLength).trailingZeroBitCount)
        hashes = files.map { [UInt8](repeating: 0, count: 32 * Int($0.pieces)) }
        for (f, file) in files.enumerated() {
            for index in stride(from: 0, to: file.pieces, by: Int(Self.run(file))) { parts.append(Part(file: Int32(f), index: index)) }
        }
        missing = parts.count
        lastProgress = now
    }

    /// Hashes per request: the whole layer of a small file.
    private static func run(_ file: LayerFile) -> UInt32 { min(HashRequest.longestRun, 1 << HashProof.height(blocks: UInt64(file.pieces))) }
    private func height(_ file: LayerFile) -> UInt32 { pieceLayer + HashProof.height(blocks: UInt64(file.pieces)) }

    private func request(_ part: Part) -> HashRequest {
        let file = files[Int(part.file)]
        return HashRequest(
            root: file.root, baseLayer: pieceLayer, index: part.index, length: Self.run(file), proofLayers: height(file) - pieceLayer - 1)
    }

    /// What to ask `peer` for; what stands unanswered for 10 s may be asked of another.
    func next(for peer: PeerHandle, now: Instant) -> HashRequest? {
        if let part = returned.popLast() { return ask(part, peer, now) }
        if fresh < parts.count {
            fresh += 1
            return ask(fresh - 1, peer, now)
        }
        guard let i = asked.firstIndex(where: { $0.peer != peer && now - $0.at > .seconds(10) }) else { return nil }
        asked[i].peer = peer
        asked[i].at = now
        return request(parts[asked[i].part])
    }
    private func ask(_ part: Int, _ peer: PeerHandle, _ now: Instant) -> HashRequest {
        asked.append(Asked(peer: peer, part: part, at: now))
        return request(parts[part])
    }
    func asked(of peer: PeerHandle) -> Int { asked.reduce(0) { $0 + ($1.peer == peer ? 1 : 0) } }

    private func find(_ r: HashRequest, _ peer: PeerHandle) -> Int? { asked.firstIndex { $0.peer == peer && request(parts[$0.part]) == r } }
    func refused(_ r: HashRequest, by peer: PeerHandle) -> Bool {
        guard let i = find(r, peer) else { return false }
        returned.append(asked.remove(at: i).part)
        return true
    }
    func forget(_ peer: PeerHandle) {
        asked.removeAll {
            guard $0.peer == peer else { return false }
            returned.append($0.part)
            return true
        }
    }

    enum Taken { case good, unasked, bad }
    func take(_ r: HashRequest, _ bytes: UnsafeRawBufferPointer, from peer: PeerHandle, now: Instant, hash: HashProof.Hash) -> Taken {
        guard let i = find(r, peer) else { return .unasked }
        let part = parts[asked[i].part], file = files[Int(part.file)]
        guard HashProof.leads(bytes, r, height: height(file), hash: hash) else {
            returned.append(asked.remove(at: i).part)
            return .bad
        }
        asked.remove(at: i)
        let count = 32 * Int(min(r.length, file.pieces - r.index))
        hashes[Int(part.file)].withUnsafeMutableBytes {
            UnsafeMutableRawBufferPointer(rebasing: $0[(32 * Int(r.index))...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        }
        missing -= 1
        lastProgress = now
        return .good
    }
}

import PeerWire
import Primitives

/// BEP 16. A seed that shows each peer one or two pieces at a time, and another only when somebody else has got one of them
/// from it: so nearly every byte that is sent is one that the swarm did not have.
final class SuperSeed {
    /// Pieces that were shown to anybody.
    fileprivate(set) var given: Bitfield
    /// Where the next one that was not is looked for.
    fileprivate var cursor = 0
    init(pieceCount: Int) { given = Bitfield(count: pieceCount) }
}

extension Swarm {
    /// Pieces shown to a peer that nobody else has yet.
    private static var shownAtOnce: Int { 2 }
    /// A piece that its peer has had for so long without passing it on does not hold the peer up: it may have nobody to pass it to.
    private static var patience: TimeSpan { .seconds(30) }

    func isSuperSeeding(_ t: Int) -> Bool { torrents[t].traits.contains(.superSeeding) && torrents[t].isComplete }

    /// In place of bitfield or have-all, on a fresh connection.
    func beginSuperSeeding(_ i: Int, _ t: Int) {
        if torrents[t].superSeed == nil {
            let seed = SuperSeed(pieceCount: torrents[t].have.total)
            seed.cursor = random.below(torrents[t].have.total)
            torrents[t].superSeed = seed
        }
        peers[i].shown = Bitfield(count: torrents[t].have.total)
    }

    /// Once a second: new peers get their first piece, those that wait too long their next.
    func superSeedRound(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].superSeed != nil else { return }
        for q in torrents[t].peers where peers[Int(q)].shown != nil { showMore(Int(q), t, now, &effects) }
    }

    private func showMore(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard peers[i].stage == .open, peers[i].shown != nil, !peers[i].isSeed, !peers[i].uploadOnly else { return }
        peers[i].waitsForOthers.removeAll { $0.got != .never && now - $0.got > Self.patience }
        while peers[i].waitsForOthers.count < Self.shownAtOnce, let piece = pieceToShow(i, t) {
            peers[i].shown!.insert(piece)
            torrents[t].superSeed!.given.insert(piece)
            peers[i].waitsForOthers.append(ShownPiece(piece: UInt32(piece), got: .never))
            send(i, .have(PieceIndex(piece)), now, &effects)
        }
    }

    /// One that nobody was shown; else the rarest of some that it lacks.
    private func pieceToShow(_ i: Int, _ t: Int) -> Int? {
        let seed = torrents[t].superSeed!, total = torrents[t].have.total
        func suits(_ piece: Int) -> Bool { !peers[i].have.contains(piece) && !peers[i].shown![piece] }
        if !seed.given.isFull {
            for step in 0..<total {
                let piece = (seed.cursor + step) % total
                if !seed.given[piece], suits(piece) {
                    seed.cursor = (piece + 1) % total
                    return piece
                }
            }
        }
        var best: Int?, fewest = Int.max
        for _ in 0..<64 {
            let piece = random.below(total)
            guard suits(piece) else { continue }
            let owners = torrents[t].peers.reduce(0) { $0 + (peers[Int($1)].have.contains(piece) ? 1 : 0) }
            if owners < fewest { (best, fewest) = (piece, owners) }
        }
        // Few are left: all of them are looked at.
        return best ?? (0..<total).first(where: suits)
    }

    /// `i` said that it has the piece: whoever it was shown to has passed it on, or has got it.
    func superSeedHeard(_ i: Int, _ t: Int, _ piece: UInt32, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].superSeed != nil else { return }
        let isAlone = torrents[t].peers.count { !peers[Int($0)].isSeed } < 2
        for q in torrents[t].peers where peers[Int(q)].shown != nil {
            let j = Int(q)
            guard let at = peers[j].waitsForOthers.firstIndex(where: { $0.piece == piece }) else { continue }
            if j != i || isAlone {
                peers[j].waitsForOthers.remove(at: at)
                showMore(j, t, now, &effects)
            } else if peers[j].waitsForOthers[at].got == .never {
                peers[j].waitsForOthers[at].got = now
            }
        }
    }

    /// Switched off, or no seed any more: everybody may know the rest.
    func endSuperSeeding(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].superSeed != nil, !isSuperSeeding(t) else { return }
        torrents[t].superSeed = nil
        for q in torrents[t].peers.reversed() {
            let i = Int(q)
            guard let shown = peers[i].shown else { continue }
            peers[i].shown = nil
            peers[i].waitsForOthers = []
            torrents[t].have.forEach { piece in if !shown[piece] { send(i, .have(PieceIndex(piece)), now, &effects) } }
        }
    }
}

/// A piece shown to a peer by super-seeding.
struct ShownPiece {
    let piece: UInt32
    /// When the peer said that it has it.
    var got: Instant
}

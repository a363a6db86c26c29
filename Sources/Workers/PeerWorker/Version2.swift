import BlockArena
import CHash
import IPC
import PeerWire
import Primitives
import Swarm
import WorkerKit

/// BEP 52 between the processes: piece layers for the session worker, hashes from the disk worker, lengths of short pieces.
extension PeerShell {
    /// As announced. Of a v2-only torrent the length is not known before its files are: ``applyTails(_:)`` makes it exact.
    func geometry(_ m: PeerTorrentAdd) -> PieceGeometry? {
        let isVersion2Only = !m.infoHashV2.isZero && m.infoHash == m.infoHashV2.truncated
        let total = isVersion2Only ? UInt64(m.pieceCount) * UInt64(m.pieceLength) : m.totalLength
        return PieceGeometry(totalLength: total, pieceLength: m.pieceLength)
    }

    func tailsTold(_ m: TorrentTails) {
        let id = TorrentID(rawValue: m.torrent)
        if m.isFirst != 0 { tails[id] = ([], []) }
        tails[id]?.pieces.append(contentsOf: m.pieces)
        tails[id]?.lengths.append(contentsOf: m.lengths)
    }

    /// The torrent becomes ready: from now on its pieces have their own lengths.
    func applyTails(_ id: TorrentID) {
        guard let told = tails.removeValue(forKey: id), let exact = FileTails(pieces: told.pieces, lengths: told.lengths),
            let geometry = torrents[id]?.geometry?.with(exact)
        else { return }
        torrents[id]!.geometry = geometry
        swarm.setFileTails(id, exact)
    }

    // MARK: Hashes for peers

    func askHashes(_ torrent: TorrentID, _ peer: PeerHandle, _ payload: [UInt8], now: Instant) {
        guard let r = payload.withUnsafeBytes({ HashRequest(decoding: $0) }) else { return }
        guard let row = torrents[torrent], row.isReadable, let edge = kit.edge(.disk, row.device) else {
            return swarm.hashesServed(peer, r, hashes: [], now: now, into: &effects)
        }
        kit.send(
            HashesWanted(
                torrent: torrent.rawValue, root: r.root, baseLayer: r.baseLayer, index: r.index, length: r.length, proofLayers: r.proofLayers),
            to: edge, correlation: peer.packed)
    }
    func hashesFound(_ m: HashesFound, correlation: UInt64, now: Instant) {
        let r = HashRequest(root: m.root, baseLayer: m.baseLayer, index: m.index, length: m.length, proofLayers: m.proofLayers)
        swarm.hashesServed(PeerHandle(packed: correlation), r, hashes: m.hashes, now: now, into: &effects)
    }

    /// A few milliseconds for a large piece, and only after a bad one.
    func checkBlocks(
        _ torrent: TorrentID, _ piece: PieceIndex, _ first: SlotIndex, length: UInt32, fileBytes: UInt32, _ hashes: [UInt8], now: Instant
    ) {
        let run = UnsafeRawBufferPointer(start: arena.slot(first), count: Int(length))
        swarm.blocksChecked(torrent, piece, good: goodBlocks(run, fileBytes: Int(fileBytes), hashes), now: now, into: &effects)
    }

    // MARK: Piece layers for the session

    func layersWanted(_ m: LayersWanted, now: Instant) {
        let id = TorrentID(rawValue: m.torrent)
        wantedLayers[id, default: []].append(contentsOf: m.files.map { LayerFile(root: $0.root, pieces: $0.pieces) })
        guard m.isLast != 0, let files = wantedLayers.removeValue(forKey: id) else { return }
        swarm.layersWanted(id, files: files, pieceLength: m.pieceLength, isOptional: m.isOptional != 0, now: now, into: &effects)
    }

    /// In parts that fit frames; nothing at all in one empty part.
    func sendLayers(_ torrent: TorrentID, _ bytes: [UInt8]) {
        guard let session = kit.edge(.session) else { return }
        let part = 512 << 10
        var at = 0
        repeat {
            let end = min(at + part, bytes.count)
            kit.send(
                LayersFound(torrent: torrent.rawValue, totalLength: UInt32(bytes.count), offset: UInt32(at), bytes: Array(bytes[at..<end])),
                to: session)
            at = end
        } while at < bytes.count
    }
}

/// The blocks of `piece` that have their hash, where the first `fileBytes` are a file's and padding follows.
func goodBlocks(_ piece: UnsafeRawBufferPointer, fileBytes: Int, _ hashes: [UInt8]) -> Bitfield {
    let block = Int(PieceGeometry.blockLength)
    var found = [UInt8](repeating: 0, count: hashes.count), good = Bitfield(full: (piece.count + block - 1) / block)
    precondition(fileBytes > 0 && fileBytes <= piece.count && hashes.count == (fileBytes + block - 1) / block * 32)
    _ = ccbt_merkle_leaves(piece.baseAddress!.assumingMemoryBound(to: UInt8.self), fileBytes, &found)
    for i in 0..<hashes.count / 32 where found[32 * i..<32 * i + 32] != hashes[32 * i..<32 * i + 32] { good.remove(i) }
    for i in (fileBytes / block)..<good.count {
        let padding = piece[max(fileBytes, i * block)..<min((i + 1) * block, piece.count)]
        if !padding.allSatisfy({ $0 == 0 }) { good.remove(i) }
    }
    return good
}

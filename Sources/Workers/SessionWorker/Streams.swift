import Catalog
import Control
import IPC
import Metainfo
import Primitives

/// Reading files while they are fetched: where they are, how far they can be read, and where somebody reads.
extension SessionShell {
    private struct FilePlace: Sendable {
        let start: UInt64, length: UInt64, path: String
    }

    /// Where a file stands in its torrent, off the stored .torrent; on the pool. `then` gets the token of the request that waits.
    private func place(of file: Int, _ from: Asker, _ id: TorrentID, _ then: @escaping (UInt64, FilePlace) -> Void) throws(ControlError) {
        let facts = core.row(id)!.record.facts
        guard facts.hasMetadata else { throw ControlError(.noMetadata, "the magnet's metadata has not arrived") }
        let token = wait(from, .pool), files = self.files
        pool({ () -> FilePlace? in
            guard let bytes = files.read(facts.infoHash), let m = try? Metainfo(parsing: bytes), m.files.indices.contains(file) else { return nil }
            let row = m.files[file]
            return row.isPad ? nil : FilePlace(start: row.offset, length: row.length, path: row.path)
        }) { [self] found in
            guard let found else { return finish(token, error: ControlError(.notFound, "no file \(file)")) }
            guard core.row(id) != nil else { return finish(token, error: ControlError(.notFound, "no such torrent")) }
            then(token, found)
        }
    }

    func streamPosition(_ from: Asker, _ p: StreamPositionParameters) throws(ControlError) {
        let id = try find(p.hash)
        try place(of: p.file, from, id) { [self] token, found in
            guard p.offset < found.length else { return finish(token, error: ControlError(.invalidParameters, "the file has \(found.length) bytes")) }
            sendPeer(core.row(id)!.shard, PeerStreamPosition(torrent: id.rawValue, offset: found.start + p.offset, end: found.start + found.length))
            finish(token, Empty())
        }
    }

    func streamFile(_ from: Asker, _ p: StreamFileParameters) throws(ControlError) {
        let id = try find(p.hash)
        try place(of: p.file, from, id) { [self] token, found in
            let record = core.row(id)!.record
            finish(
                token,
                StreamFileAnswer(
                    folder: record.savePath, path: record.names.onDisk(found.path), name: record.names.name(found.path), length: found.length, start: found.start,
                    priority: FileLevel.name(record.levels.level(of: p.file))))
        }
    }

    /// While it is fetched the shard knows; else it is what is durable. What is being checked or moved cannot be read now.
    func streamReady(_ from: Asker, _ p: StreamReadyParameters) throws(ControlError) {
        let id = try find(p.hash), row = core.row(id)!
        if p.offset == p.end {
            sendPeer(row.shard, StreamWanted(torrent: id.rawValue, offset: p.end, end: p.end, reader: p.reader))
            return reply(from, StreamReadyAnswer(bytes: 0, isComing: false, state: "\(row.phase)"))
        }
        guard p.reader != 0, p.offset < p.end, p.end <= row.record.facts.totalLength else { throw ControlError(.invalidParameters, "no such bytes") }
        switch row.phase {
        case .downloading:
            guard let edge = kit.edge(.peer, row.shard) else { return reply(from, StreamReadyAnswer(bytes: 0, isComing: true, state: "downloading")) }
            let token = wait(from, .streamReady(id), for: Self.workerAnswer)
            kit.send(StreamWanted(torrent: id.rawValue, offset: p.offset, end: p.end, reader: p.reader), to: edge, correlation: token)
        case .seeding, .completed, .paused, .queued:
            let bytes = row.durable.readable(from: p.offset, to: p.end, pieceLength: row.record.facts.pieceLength)
            // The last pieces become durable a moment after they are there.
            let isComing = row.phase == .queued || row.disk.piecesHave > UInt32(row.durable.setCount)
            reply(from, StreamReadyAnswer(bytes: bytes, isComing: isComing, state: "\(row.phase)"))
        case .checking, .waiting, .metadata: reply(from, StreamReadyAnswer(bytes: 0, isComing: true, state: "\(row.phase)"))
        case .error: reply(from, StreamReadyAnswer(bytes: 0, isComing: false, state: "error"))
        }
    }

    func answerStream(token: UInt64, _ m: StreamReady) {
        guard case .streamReady? = pending[token]?.kind else { return }
        finish(token, StreamReadyAnswer(bytes: m.bytes, isComing: true, state: "downloading"))
    }
}

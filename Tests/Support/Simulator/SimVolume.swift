import Catalog
import Pieces
import Primitives

/// What the disk worker's shell does: each operation takes its time, may fail and say so, and is answered once.
extension SimWorld {
    func carryOut(_ n: Int, _ effect: DiskEffect) {
        let node = nodes[n], (low, high) = scenario.diskDelay
        tell(n, "disk -> \(effect)")
        func later() -> TimeSpan { low + random.jitter(high - low) }
        switch effect {
        case .verified, .stored, .storeFailed, .readDone, .ready, .levels, .unready: toShard(n, node.process(.peer)) { $0.fromDisk(effect) }
        case .report(let id, let r):
            let report = DiskReport(
                .init(rawValue: r.state.rawValue)!, piecesHave: r.piecesHave, bytesHave: r.bytesHave, piecesChecked: r.piecesChecked,
                message: r.fault?.text ?? "", bytesWanted: r.bytesWanted, bytesWantedHave: r.bytesWantedHave, selection: r.selection)
            toSession(n) { _ in .disk(id, report) }
        case .durable(let id, let runs):
            checkSynced(n, runs)
            correlation += 1
            let c = correlation
            toSession(n) { _ in .durable(id, runs: runs.map { (UInt32($0.first), UInt32($0.count)) }, device: 0, correlation: c) }
        case .undurable(let id, let runs):
            mark(.undurable)
            toSession(n) { _ in .undurable(id, runs: runs.map { (UInt32($0.first), UInt32($0.count)) }) }
        case .removed(let id, let message): toSession(n) { _ in .diskRemoved(id, message: message) }
        case .open(let id, _, let scan, _):
            diskEvent(n, after: later()) { world in
                let file = world.nodes[n].volume.file
                return .opened(
                    id,
                    .success(
                        TorrentFound(
                            layout: world.layout, volume: 1, sizes: world.layout.files.map { file.exists ? Int64($0.length) : -1 },
                            withData: scan ? file.data : nil, zeros: scan ? Bitfield(count: file.data.count) : nil)))
            }
        case .hash(let job, let r):
            diskEvent(n, after: .microseconds(30)) { world in
                let range = world.nodes[n].arena.range(r.run.first, Int(r.length))
                return .hashed(job, matches: world.nodes[n].arena.memory[range].elementsEqual(world.bytes(of: r.piece)))
            }
        case .write(let job, let r):
            diskEvent(n, after: later()) { world in
                if world.nodes[n].fullUntil > world.clock.now {
                    world.mark(.volumeFull)
                    return .written(job, DiskFault(.full, "write: no space"))
                }
                if world.hits(world.scenario.writeFault, .writeError) { return .written(job, DiskFault(.io, "write")) }
                let bytes = world.nodes[n].arena.memory[world.nodes[n].arena.range(r.run.first, Int(r.length))]
                world.nodes[n].volume.write(bytes, at: Int(r.piece) * Int(world.geometry.pieceLength), piece: Int(r.piece))
                return .written(job, nil)
            }
        case .readFile(let job, let r):
            diskEvent(n, after: later()) { world in
                if n > 0, world.hits(world.scenario.readFault, .readError) { return .readEnded(job, DiskFault(.io, "read")) }
                let at = Int(r.piece) * Int(world.geometry.pieceLength) + Int(r.offset)
                world.nodes[n].arena.memory.replaceSubrange(
                    world.nodes[n].arena.range(r.run.first, Int(r.length)), with: world.nodes[n].volume.file.now[at..<at + Int(r.length)])
                return .readEnded(job, nil)
            }
        case .check(let job, _, let first, let count):
            diskEvent(n, after: later()) { world in .checked(job, good: (first..<first + count).map { world.holds(n, $0) }, nil) }
        case .sync(let id, _):
            diskEvent(n, after: later()) { world in
                if world.hits(world.scenario.syncFault, .syncError) {
                    if world.nodes[n].volume.dropDirty(&world.random, pieceLength: Int(world.geometry.pieceLength)) { world.mark(.dirtyPagesDropped) }
                    return .synced(id, DiskFault(.io, "fdatasync"))
                }
                world.nodes[n].volume.sync()
                return .synced(id, nil)
            }
        case .finish(let id): diskEvent(n, after: later()) { _ in .finished(id, nil) }
        case .probe(let volume, _):
            diskEvent(n, after: later()) { world in
                .probed(volume: volume, world.nodes[n].fullUntil > world.clock.now ? DiskFault(.full, "probe: no space") : nil)
            }
        case .deleteFiles(let id):
            diskEvent(n, after: later()) { world in
                world.nodes[n].volume = SimDisk(length: world.content.count, pieces: world.geometry.pieceCount)
                return .deleted(id, nil)
            }
        // No effect outside the process, or of moves, which nobody orders here.
        case .movedTo, .closeFiles, .forget, .moveFiles, .log, .drained: break
        }
    }
}

import Buffers
import Catalog
import Pieces
import Primitives
import Supervision
import Swarm
import TrackerWire

/// What must hold whatever happens. The first rule that is broken ends the run and is its ``SimResult/failure``.
extension SimWorld {
    /// From a volume's first write that succeeds: a probe each 30 s finds it, or a new worker (RELIABILITY D1).
    static let spaceNoticed = TimeSpan.seconds(31)

    func bytes(of piece: UInt32) -> ArraySlice<UInt8> {
        let at = Int(piece) * Int(geometry.pieceLength)
        return content[at..<at + Int(geometry.length(of: PieceIndex(rawValue: piece)))]
    }
    func holds(_ n: Int, _ piece: Int) -> Bool {
        let range = bytes(of: UInt32(piece))
        return nodes[n].volume.file.now[range.startIndex..<range.endIndex].elementsEqual(range)
    }
    func broken(_ rule: String) {
        if failure.isEmpty { failure = "at \(clock.now.nanoseconds / 1_000_000) ms: \(rule)" }
    }

    // MARK: the disk

    func checkSynced(_ n: Int, _ runs: [(first: Int, count: Int)]) {
        for run in runs {
            for piece in run.first..<run.first + run.count {
                let range = bytes(of: UInt32(piece))
                if !nodes[n].volume.file.synced[range.startIndex..<range.endIndex].elementsEqual(range) {
                    broken("node \(n) calls piece \(piece) durable, and it is not on the disk")
                }
            }
        }
    }
    /// What the store calls durable is right on the disk. Of a torrent whose data are being deleted nothing is claimed.
    func checkClaims(_ n: Int) {
        for id in nodes[n].store.durable.keys.sorted() where nodes[n].store.records[id]?.removal == Catalog::TorrentRecord.Removal.none {
            checkSynced(n, nodes[n].store.durable[id]!.runs)
        }
    }
    func checkWhole(_ n: Int) {
        if !isCorrupter(n), nodes[n].volume.file.now != content { broken("node \(n) says complete and its file differs") }
    }
    /// Space is back for so long that the torrent must go on.
    func checkSpace(_ n: Int) {
        guard let id = nodes[n].torrent, nodes[n].fullUntil <= clock.now, let fault = nodes[n].disk?.report(id)?.fault, fault.kind == .full else { return }
        broken("node \(n) says that its disk is full \(Self.spaceNoticed.milliseconds) ms after space came back")
    }

    // MARK: the supervisor

    /// It ends a silent worker after 5.5 s: not sooner, and not much later.
    func checkAbort(_ n: Int, _ name: WorkerName) {
        let silence = clock.now - (nodes[n].heard[name] ?? clock.now)
        guard nodes[n].stopped[name] != nil else { return broken("node \(n): \(name) was ended although it spoke \(silence.milliseconds) ms ago") }
        mark(.silenceAborted)
        if silence < SupervisionTimes.silenceLimit { broken("node \(n): \(name) was ended after \(silence.milliseconds) ms of silence") }
    }
    func checkNotForgotten(_ n: Int, _ name: WorkerName) {
        let silence = clock.now - (nodes[n].heard[name] ?? clock.now)
        // 1 s: how late a tick may be, and what the limit is stretched for that.
        if silence > SupervisionTimes.silenceLimit + .seconds(1) { broken("node \(n): \(name) was silent for \(silence.milliseconds) ms and not ended") }
    }

    // MARK: the tracker

    /// What a tracker has seen of one life of a node's discovery worker: `started` and `stopped` by turns, `completed` once.
    struct TrackerView {
        /// nil: what an earlier life left behind.
        var isStarted: Bool?
        var hasCompleted = false
    }

    func trackerSaw(_ n: Int, _ event: AnnounceEvent) {
        guard let key = nodes[n].process(.discovery) else { return }
        var view = trackerViews[key, default: TrackerView()]
        switch event {
        case .started:
            if view.isStarted == true { broken("node \(n) tells the tracker `started` twice") }
            view = TrackerView(isStarted: true)
        case .stopped:
            if view.isStarted == false { broken("node \(n) tells the tracker `stopped` twice") }
            view.isStarted = false
        case .completed:
            if view.hasCompleted { broken("node \(n) tells the tracker `completed` twice") }
            if n == 0 { broken("node 0 tells the tracker `completed`, and never downloaded") }
            view.hasCompleted = true
        case .none: if view.isStarted == false { broken("node \(n) announces after `stopped`") }
        }
        trackerViews[key] = view
    }
    /// It was given up after some attempts, perhaps.
    func trackerMissed(_ n: Int, _ event: AnnounceEvent) {
        guard let key = nodes[n].process(.discovery) else { return }
        if event == .stopped { trackerViews[key]?.isStarted = nil }
    }

    // MARK: numbers and bounds, each second

    func checkBounds(_ n: Int) {
        let node = nodes[n]
        if let disk = node.disk {
            let a = disk.admission
            if a.requestsInFlight > a.requestLimit || a.bytesInFlight > max(a.byteLimit, Int(geometry.pieceLength)) { broken("node \(n): disk queue") }
        }
        if let id = node.torrent, let total = node.session?.row(id)?.record.counters.total {
            // Over all torrents that the node ever had, so never less than those of one.
            if total.downloaded > received[n] { broken("node \(n) counts \(total.downloaded) bytes received of \(received[n])") }
            if total.uploaded > sent[n] { broken("node \(n) counts \(total.uploaded) bytes sent of \(sent[n])") }
        }
        guard let shard = node.shard else { return }
        shard.buffers.checkInvariants()
        shard.swarm.checkInvariants()
        var waiting: [PeerHandle: Int] = [:]
        for w in shard.waiting { waiting[w.peer, default: 0] += 1 }
        let mostRequests = max(shard.configuration.maxQueuedRequestsPerPeer, shard.configuration.maxUnrejectableRequests)
        if waiting.values.contains(where: { $0 > mostRequests }) { broken("node \(n): a peer has too many requests waiting") }
        if shard.handed.count + shard.reads.count > shard.buffers.slotCount { broken("node \(n): more hand-overs than slots") }
    }

    /// For the story of a run that did not end.
    func tellConnections(_ n: Int) {
        guard let shard = nodes[n].shard else { return }
        for p in shard.connections.keys.sorted(by: { $0.index < $1.index }) {
            let (connection, side) = shard.connections[p]!, waiting = shard.waiting.count { $0.peer == p }
            let r = shard.swarm.report(p)
            tell(
                n,
                "connection to end \(connection.ends[1 - side].node): \(r.map { "\($0)" } ?? "no peer"), \(waiting) requests wait, room \(connection.hasRoom(side, now: clock.now)), line free in \((nodes[n].lineFreeAt - clock.now).milliseconds) ms, \(connection.datagrams?.state(side) ?? "TCP")"
            )
        }
    }

    /// Everybody is complete and nothing moves: every slot is free, cached, or accounted for.
    func checkNoLeak(_ n: Int) {
        guard let shard = nodes[n].shard, !isCorrupter(n) else { return }
        var owned = 0
        for i in 0..<shard.buffers.slotCount {
            let first = SlotIndex(i), slots = { shard.buffers.endSlot(of: first).int - i }
            switch shard.buffers.state(of: first) {
            case .free, .clean: break
            case .reading:
                owned += slots()
                if shard.reads[i] == nil { broken("node \(n): run \(i) is being read, and nobody was asked to") }
            case .handed, .verified:
                owned += slots()
                if shard.handed[i] == nil { broken("node \(n): run \(i) was handed over, and nobody has it") }
            case .filling: broken("node \(n): run \(i) is being filled although the torrent is complete")
            }
        }
        if shard.buffers.availableSlots + owned != shard.buffers.slotCount {
            broken("node \(n): \(shard.buffers.slotCount - shard.buffers.availableSlots - owned) slots belong to nobody")
        }
        if scenario.corrupters == 0, scenario.hostiles.isEmpty, !shard.handed.isEmpty || !shard.reads.isEmpty || !shard.waiting.isEmpty {
            broken("node \(n) is idle with \(shard.handed.count) stores, \(shard.reads.count) reads and \(shard.waiting.count) requests under way")
        }
    }
}

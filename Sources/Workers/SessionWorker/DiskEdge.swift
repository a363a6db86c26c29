import ByteCodec
import Catalog
import IPC
import Observe
import Primitives
import WorkerKit

/// The state edge to a disk worker.
extension SessionShell {
    func receivedFromDisk(_ frame: Frame, _ edge: Edge) throws(DecodeError) {
        switch frame.type {
        case .diskTorrentState:
            let m: DiskTorrentState = try frame.decode()
            guard let condition = DiskReport.Condition(rawValue: m.state) else { throw .badValue(field: "disk state", value: UInt64(m.state)) }
            feed(
                .disk(
                    TorrentID(rawValue: m.torrent),
                    DiskReport(
                        condition, piecesHave: m.piecesHave, bytesHave: m.bytesHave, piecesChecked: m.piecesChecked,
                        message: Text.printable(m.message, limit: 500), bytesWanted: m.bytesWanted, bytesWantedHave: m.bytesWantedHave,
                        selection: m.selection)))
        case .durable:
            let m: Durable = try frame.decode()
            feed(
                .durable(
                    TorrentID(rawValue: m.torrent), runs: m.runs.map { ($0.first, $0.count) }, device: edge.index, correlation: frame.correlation))
        case .undurable:
            let m: Undurable = try frame.decode()
            feed(.undurable(TorrentID(rawValue: m.torrent), runs: m.runs.map { ($0.first, $0.count) }))
        case .diskRemoved:
            let m: DiskRemoved = try frame.decode()
            feed(.diskRemoved(TorrentID(rawValue: m.torrent), message: m.message))
            dataRemoved(m)
        case .diskMoved:
            let m: DiskMoved = try frame.decode()
            feed(.diskMoved(TorrentID(rawValue: m.torrent), savePath: m.savePath, message: m.message))
            if m.message.isEmpty { rewriteNote(TorrentID(rawValue: m.torrent)) }
            dataMoved(m)
        case .diskStats: diskStats[edge.index] = try frame.decode()
        case .diskFileProgress:
            let m: DiskFileProgress = try frame.decode()
            answerFiles(token: frame.correlation, m)
        default: break
        }
    }

    func sendDisk<M: IPCMessage>(_ device: UInt16, _ message: M, correlation: UInt64 = 0) {
        guard let edge = kit.edge(.disk, device) else { return }
        kit.send(message, to: edge, correlation: correlation)
    }

    func sendDiskMove(_ device: UInt16, _ id: TorrentID, _ path: String, _ names: NamePlan) {
        sendDisk(device, DiskTorrentMove(torrent: id.rawValue, savePath: path, renames: Self.renames(names), suffix: names.suffix))
    }
    private static func renames(_ names: NamePlan) -> [PathRename] { names.renames.map { PathRename(from: $0.from, to: $0.to) } }
    static func runs(_ levels: FileLevels) -> [FileLevelRun] { levels.runs.map { FileLevelRun(first: $0.first, count: $0.count, level: $0.level) } }

    func sendDiskAdd(_ e: DiskEntry) {
        let allocation: UInt8 =
            switch settings.string("disk.preallocate") {
            case "none": 0
            case "sparse": 1
            default: 2
            }
        // The device number is left unknown: those of network and logical volumes change from boot to boot, and a
        // missing volume shows by its missing files.
        sendDisk(
            e.device,
            DiskTorrentAdd(
                torrent: e.torrent.rawValue, flags: e.flags.rawValue, metainfoPath: files.path(e.infoHash), savePath: e.savePath,
                durable: e.durable, sourceDevice: 0, allocation: allocation, renames: Self.renames(e.names), suffix: e.names.suffix, levels: Self.runs(e.levels),
                selection: e.selection))
    }
}

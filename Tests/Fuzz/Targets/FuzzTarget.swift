import Bencode
import ByteCodec
import Catalog
import Control
import Filtering
import HTTPWire
import IPC
import KRPC
import LSDWire
import Metainfo
import MicroTransport
import PeerEncryption
import PeerWire
import PortMappingWire
import Primitives
import ProxyWire
import TrackerWire
import UTPWire

/// The parsers of what comes from outside. A run ends the process when a parser or a rule about what it read is broken.
package enum FuzzTarget: String, CaseIterable, Sendable {
    case bencode, metainfo, magnet, filter, peerMessages = "peer-messages", hashMessages = "hash-messages", extendedHandshake = "extended-handshake", metadata, exchange
    case tracker, krpc, lsd, portMapping = "port-mapping", control, ipc, encryption, proxy, feedRule = "feed-rule", utpPackets = "utp-packets", utpConversation = "utp-conversation", holepunch
    case httpRange = "http-range"

    package func run(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .bencode: exerciseBencode(bytes)
        case .metainfo: exerciseMetainfo(bytes)
        case .magnet: exerciseMagnet(bytes)
        case .filter: addressLists(bytes)
        case .peerMessages: MessageParser.fuzz(bytes)
        case .hashMessages:
            MessageParser.fuzz(bytes)
            HashRequest.fuzz(bytes)
        case .extendedHandshake: ExtendedHandshake.fuzz(bytes)
        case .metadata: MetadataMessage.fuzz(bytes)
        case .exchange: PexMessage.fuzz(bytes)
        case .tracker: exerciseTrackerWire(bytes)
        case .portMapping: exercisePortMapping(bytes)
        case .lsd: LSDMessage.fuzz(bytes)
        case .krpc: exerciseKRPC(bytes)
        case .control: controlLines(bytes)
        case .ipc: frames(bytes)
        case .encryption: EncryptionHandshake.fuzz(bytes)
        case .proxy: ProxyHandshake.fuzz(bytes)
        case .feedRule: exerciseFeedRule(bytes)
        case .utpPackets: UTPPacket.fuzz(bytes)
        case .utpConversation: MicroTransport.fuzz(bytes)
        case .holepunch: HolepunchMessage.fuzz(bytes)
        case .httpRange: ByteRange.fuzz(bytes)
        }
    }

    /// A list is read to its end; what is stored of it comes back the same.
    private func addressLists(_ bytes: UnsafeRawBufferPointer) {
        let filter = AddressFilter(mode: .block, ranges: AddressRanges(FilterList(bytes).ranges))
        guard let back = AddressFilter(decoding: filter.encoded()) else { preconditionFailure("a stored filter cannot be read") }
        precondition(back.ranges.count == filter.ranges.count)
        for start in filter.ranges.starts { precondition(back.ranges.contains(start)) }
        _ = AddressFilter(decoding: Array(bytes))
    }

    /// Lines cut at every place give the same heads as lines that came at once.
    private func controlLines(_ bytes: UnsafeRawBufferPointer) {
        func heads(step: Int) -> [UInt64] {
            var framer = LineFramer(limit: 4096), out: [UInt64] = [], at = 0
            while at < bytes.count {
                let end = min(bytes.count, at + step)
                framer.append(UnsafeRawBufferPointer(rebasing: bytes[at..<end]))
                at = end
                do {
                    while try framer.next({ line in out.append((try? ControlLine.head(line).id) ?? .max) }) {}
                } catch { return out + [.max - 1] }
            }
            return out
        }
        // A line over the limit is noticed after fewer bytes when they come singly; up to there all agree.
        let whole = heads(step: .max >> 1), single = heads(step: 1)
        precondition(whole == single || whole.last == .max - 1)
    }

    private func frames(_ bytes: UnsafeRawBufferPointer) {
        var reader = FrameReader(), at = 0
        while at < bytes.count {
            let room = reader.free(), n = min(room.count, bytes.count - at)
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[at..<at + n]))
            reader.filled(n)
            at += n
            do {
                while let frame = try reader.next() {
                    // Whatever the sender claims it is, no decoder may trap on it.
                    for type in Self.messages { _ = try? Self.decode(type, frame) }
                }
            } catch { return }
        }
    }
    private static func decode<M: IPCMessage>(_: M.Type, _ frame: Frame) throws(DecodeError) -> M { try frame.decode(M.self) }

    private static let messages: [any IPCMessage.Type] = [
        Hello.self, Configure.self, OpenEdge.self, GiveArena.self, GiveListener.self, Start.self, Ready.self,
        Heartbeat.self, Drain.self, Drained.self, WorkerTable.self, PeerBreaker.self, StopDaemon.self,
        RestartWorker.self, ReloadConfiguration.self, PeerTorrentAdd.self, PeerTorrentRemove.self,
        PeerTorrentFlags.self, PeersFound.self, MetadataBlockWanted.self, MetadataBlock.self, MetadataFound.self,
        PeerStats.self, PeerListWanted.self, PeerList.self, MorePeersWanted.self, PeerReplayEnd.self,
        PeerStreamPosition.self, PieceLevels.self, DiskTorrentLevels.self, PeerBanned.self, PeerBans.self, PeerBanLifted.self, ExternalAddress.self,
        ListenPort.self, PeerFault.self, DiskTorrentAdd.self, DiskTorrentRemove.self, DiskTorrentMove.self,
        DiskTorrentRecheck.self, DiskTorrentFlags.self, DiskReplayEnd.self, DiskTorrentState.self, Durable.self,
        Undurable.self, DiskRemoved.self, DiskMoved.self, DiskStats.self, DiskFileProgressWanted.self,
        DiskFileProgress.self, SessionDurableStored.self, DiscoveryTorrentAdd.self, DiscoveryTorrentRemove.self,
        DiscoveryTorrentFlags.self, DiscoveryCounters.self, DiscoveryCompleted.self, AnnounceNow.self,
        DiscoveryReplayEnd.self, DiscoveryListenPort.self, DiscoveryPeers.self, TrackerStatus.self, Claim.self,
        ClaimsEnd.self, LayersWanted.self, LayersFound.self, HashesWanted.self, HashesFound.self, TorrentTails.self, TorrentReady.self, TorrentUnready.self, StorePiece.self,
        PieceVerified.self, PieceWritten.self, PieceFailed.self, ReadPiece.self, ReadDone.self, DiscoveryCompletedAgain.self, FetchUrl.self, Fetched.self,
        PieceStatesWanted.self, PieceStates.self, StreamWanted.self, StreamReady.self,
    ]
}

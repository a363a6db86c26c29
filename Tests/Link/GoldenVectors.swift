// Made by protocol/generate.py from protocol/*.schema; do not edit.
// swift-format-ignore-file

import IPC
import Primitives

/// Each message with known values, and its payload made by the generator, not by the codec under test.
let goldenVectors: [(any GoldenMessage, String)] = [
    (Hello(protocolVersion: 1, buildID: 2, role: 3, index: 4, pid: 5), "11000100020000000000000003040005000000"),
    (Configure(stateDirectory: "text stateDirectory", settings: [Setting(key: "text key", value: "text value"), Setting(key: "text key", value: "text value")], wallClockSeconds: 1), "18001a000000130000002d000000020000000100000000000000746578742073746174654469726563746f72794d00000008000000550000000a0000005f00000008000000670000000a00000074657874206b6579746578742076616c756574657874206b6579746578742076616c7565"),
    (OpenEdge(role: 1, index: 2, peerGeneration: 3), "070001020003000000"),
    (GiveArena(shard: 1, slotCount: 2, byteCount: 3), "0e000100020000000300000000000000"),
    (GiveListener(kind: 1, endpoint: Endpoint(ipv4: 0x7f000002, port: 1002)), "13000100000000000000000000ffff7f00000203ea"),
    (Start(), "0000"),
    (Ready(), "0000"),
    (Heartbeat(sequence: 1, progress: 2), "100001000000000000000200000000000000"),
    (Drain(deadlineMilliseconds: 1), "040001000000"),
    (Drained(), "0000"),
    (WorkerTable(workers: [WorkerStatus(role: 1, index: 2, pid: 3, generation: 4, restarts: 5, state: 6, cpuMilliseconds: 7, residentBytes: 8, uptimeMilliseconds: 9, reason: "text reason"), WorkerStatus(role: 10, index: 11, pid: 12, generation: 13, restarts: 14, state: 15, cpuMilliseconds: 16, residentBytes: 17, uptimeMilliseconds: 18, reason: "text reason")]), "08000a00000002000000010200030000000400000005000000060700000000000000080000000000000009000000000000006a0000000b0000000a0b000c0000000d0000000e0000000f100000000000000011000000000000001200000000000000750000000b0000007465787420726561736f6e7465787420726561736f6e"),
    (PeerBreaker(role: 1, index: 2, isOpen: 3, reason: "text reason"), "0c00010200030e0000000b0000007465787420726561736f6e"),
    (StopDaemon(), "0000"),
    (RestartWorker(role: 1, index: 2), "0300010200"),
    (ReloadConfiguration(applyAll: 1), "010001"),
    (PeerTorrentAdd(torrent: 1, infoHash: SHA1Digest([UInt8](repeating: 2, count: 20))!, infoHashV2: SHA256Digest([UInt8](repeating: 3, count: 32))!, flags: 4, totalLength: 5, pieceLength: 6, pieceCount: 7, metadataLength: 8, device: 9), "520001000000020202020202020202020202020202020202020203030303030303030303030303030303030303030303030303030303030303030400000005000000000000000600000007000000080000000900"),
    (PeerTorrentRemove(torrent: 1), "040001000000"),
    (PeerTorrentFlags(torrent: 1, flags: 2), "08000100000002000000"),
    (PeersFound(torrent: 1, source: 2, endpoints: [Endpoint(ipv4: 0x7f000003, port: 1003), Endpoint(ipv4: 0x7f000004, port: 1004)], isVersion2: 5), "0e00010000000210000000020000000500000000000000000000ffff7f00000303eb00000000000000000000ffff7f00000403ec"),
    (MetadataBlockWanted(torrent: 1, block: 2), "08000100000002000000"),
    (MetadataBlock(torrent: 1, block: 2, bytes: [1, 2, 3, 255]), "100001000000020000001200000004000000010203ff"),
    (MetadataFound(torrent: 1, totalLength: 2, offset: 3, bytes: [1, 2, 3, 255]), "14000100000002000000030000001600000004000000010203ff"),
    (PeerStats(torrents: [TorrentStats(torrent: 1, downloaded: 2, downloadedAgain: 3, uploaded: 4, downRate: 5, upRate: 6, peers: 7, seeds: 8, inFlight: 9), TorrentStats(torrent: 10, downloaded: 11, downloadedAgain: 12, uploaded: 13, downRate: 14, upRate: 15, peers: 16, seeds: 17, inFlight: 18)]), "08000a0000000200000001000000020000000000000003000000000000000400000000000000050000000000000006000000000000000700000008000000090000000a0000000b000000000000000c000000000000000d000000000000000e000000000000000f00000000000000100000001100000012000000"),
    (PeerListWanted(torrent: 1), "040001000000"),
    (PeerList(torrent: 1, peers: [PeerDetails(endpoint: Endpoint(ipv4: 0x7f000002, port: 1002), peerID: SHA1Digest([UInt8](repeating: 3, count: 20))!, client: "text client", source: 4, flags: 5, downRate: 6, upRate: 7, downloaded: 8, uploaded: 9, havePieces: 10, inFlight: 11, queued: 12, score: 13), PeerDetails(endpoint: Endpoint(ipv4: 0x7f00000e, port: 1014), peerID: SHA1Digest([UInt8](repeating: 15, count: 20))!, client: "text client", source: 16, flags: 17, downRate: 18, upRate: 19, downloaded: 20, uploaded: 21, havePieces: 22, inFlight: 23, queued: 24, score: 25)]), "0c00010000000e0000000200000000000000000000000000ffff7f00000203ea0303030303030303030303030303030303030303d40000000b000000040500000006000000000000000700000000000000080000000000000009000000000000000a0000000b0000000c0000000d00000000000000000000000000ffff7f00000e03f60f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0fdf0000000b00000010110000001200000000000000130000000000000014000000000000001500000000000000160000001700000018000000190000007465787420636c69656e747465787420636c69656e74"),
    (MorePeersWanted(torrent: 1), "040001000000"),
    (PeerReplayEnd(), "0000"),
    (ListenPort(port: 1), "02000100"),
    (PeerFault(torrent: 1, message: "text message"), "0c00010000000e0000000c00000074657874206d657373616765"),
    (PeerLimits(globalDown: 1, globalUp: 2, torrentDown: 3, torrentUp: 4, peerDown: 5, peerUp: 6, localPeers: 7, localDown: 8, localUp: 9, groups: [RatePair(down: 10, up: 11), RatePair(down: 12, up: 13)], sliceMilliseconds: 14), "4d0001000000000000000200000000000000030000000000000004000000000000000500000000000000060000000000000007080000000000000009000000000000004f000000020000000e0000000a000000000000000b000000000000000c000000000000000d00000000000000"),
    (PeerTorrentLimits(torrent: 1, down: 2, up: 3, group: 4, maxPeers: 5), "1c0001000000020000000000000003000000000000000400000005000000"),
    (PeerBanned(endpoint: Endpoint(ipv4: 0x7f000001, port: 1001), reason: 2, seconds: 3), "170000000000000000000000ffff7f00000103e90203000000"),
    (PeerBans(bans: [Ban(endpoint: Endpoint(ipv4: 0x7f000001, port: 1001), reason: 2, seconds: 3), Ban(endpoint: Endpoint(ipv4: 0x7f000004, port: 1004), reason: 5, seconds: 6)]), "08000a0000000200000000000000000000000000ffff7f00000103e9020300000000000000000000000000ffff7f00000403ec0506000000"),
    (PeerBanLifted(endpoint: Endpoint(ipv4: 0x7f000001, port: 1001)), "120000000000000000000000ffff7f00000103e9"),
    (ExternalAddress(endpoint: Endpoint(ipv4: 0x7f000001, port: 1001), votes: 2), "160000000000000000000000ffff7f00000103e902000000"),
    (PeerFilter(path: "text path", logBlocked: 1), "09000b0000000900000001746578742070617468"),
    (PeerFilterCounts(accepts: 1, addresses: 2, closed: 3), "1800010000000000000002000000000000000300000000000000"),
    (PeerWebSeeds(torrent: 1, metainfoPath: "text metainfoPath"), "0c00010000000e0000001100000074657874206d657461696e666f50617468"),
    (LayersWanted(torrent: 1, pieceLength: 2, isOptional: 3, isLast: 4, files: [WantedLayer(root: SHA256Digest([UInt8](repeating: 5, count: 32))!, pieces: 6), WantedLayer(root: SHA256Digest([UInt8](repeating: 7, count: 32))!, pieces: 8)]), "1200010000000200000003041400000002000000050505050505050505050505050505050505050505050505050505050505050506000000070707070707070707070707070707070707070707070707070707070707070708000000"),
    (LayersFound(torrent: 1, totalLength: 2, offset: 3, bytes: [1, 2, 3, 255]), "14000100000002000000030000001600000004000000010203ff"),
    (PieceStatesWanted(torrent: 1), "040001000000"),
    (PieceStates(torrent: 1, have: [1, 2, 3, 255], open: [2, 3], availability: 4), "1800010000001a000000040000001e0000000200000004000000010203ff0200000003000000"),
    (DhtNodeSeen(endpoint: Endpoint(ipv4: 0x7f000001, port: 1001)), "120000000000000000000000ffff7f00000103e9"),
    (PeerStreamPosition(torrent: 1, offset: 2, end: 3), "14000100000002000000000000000300000000000000"),
    (StreamWanted(torrent: 1, offset: 2, end: 3, reader: 4), "1800010000000200000000000000030000000000000004000000"),
    (StreamReady(torrent: 1, bytes: 2), "0c00010000000200000000000000"),
    (DiskTorrentAdd(torrent: 1, flags: 2, metainfoPath: "text metainfoPath", savePath: "text savePath", durable: [1, 2, 3, 255], sourceDevice: 3, allocation: 4, renames: [PathRename(from: "text from", to: "text to"), PathRename(from: "text from", to: "text to")], suffix: "text suffix", levels: [FileLevelRun(first: 5, count: 6, level: 7), FileLevelRun(first: 8, count: 9, level: 10)], selection: 11), "450001000000020000004700000011000000580000000d00000065000000040000000300000000000000046900000002000000a90000000b000000b4000000020000000b00000074657874206d657461696e666f5061746874657874207361766550617468010203ff890000000900000092000000070000009900000009000000a200000007000000746578742066726f6d7465787420746f746578742066726f6d7465787420746f746578742073756666697805000000060000000708000000090000000a"),
    (DiskTorrentRemove(torrent: 1, deleteData: 2), "05000100000002"),
    (DiskTorrentMove(torrent: 1, savePath: "text savePath", renames: [PathRename(from: "text from", to: "text to"), PathRename(from: "text from", to: "text to")], suffix: "text suffix"), "1c00010000001e0000000d0000002b000000020000006b0000000b000000746578742073617665506174684b0000000900000054000000070000005b000000090000006400000007000000746578742066726f6d7465787420746f746578742066726f6d7465787420746f7465787420737566666978"),
    (DiskTorrentRecheck(torrent: 1), "040001000000"),
    (DiskTorrentFlags(torrent: 1, flags: 2), "08000100000002000000"),
    (DiskReplayEnd(), "0000"),
    (DiskTorrentState(torrent: 1, state: 2, piecesHave: 3, bytesHave: 4, piecesChecked: 5, errorKind: 6, message: "text message", bytesWanted: 7, bytesWantedHave: 8, selection: 9), "320001000000020300000004000000000000000500000006340000000c000000070000000000000008000000000000000900000074657874206d657373616765"),
    (Durable(torrent: 1, runs: [PieceRun(first: 2, count: 3), PieceRun(first: 4, count: 5)]), "0c00010000000e0000000200000002000000030000000400000005000000"),
    (Undurable(torrent: 1, runs: [PieceRun(first: 2, count: 3), PieceRun(first: 4, count: 5)]), "0c00010000000e0000000200000002000000030000000400000005000000"),
    (DiskRemoved(torrent: 1, message: "text message"), "0c00010000000e0000000c00000074657874206d657373616765"),
    (DiskMoved(torrent: 1, savePath: "text savePath", message: "text message"), "140001000000160000000d000000230000000c0000007465787420736176655061746874657874206d657373616765"),
    (DiskStats(bytesWritten: 1, bytesRead: 2, piecesHashed: 3, piecesFailed: 4, queueDepth: 5, directWrites: 6, bufferedWrites: 7, syncs: 8, mode: "text mode"), "4400010000000000000002000000000000000300000000000000040000000000000005000000060000000000000007000000000000000800000000000000460000000900000074657874206d6f6465"),
    (DiskFileProgressWanted(torrent: 1), "040001000000"),
    (DiskFileProgress(torrent: 1, bytesHave: [2, 3]), "0c00010000000e0000000200000002000000000000000300000000000000"),
    (SessionDurableStored(torrent: 1), "040001000000"),
    (DiskTorrentLevels(torrent: 1, levels: [FileLevelRun(first: 2, count: 3, level: 4), FileLevelRun(first: 5, count: 6, level: 7)], selection: 8), "100001000000120000000200000008000000020000000300000004050000000600000007"),
    (DiscoveryTorrentAdd(torrent: 1, infoHash: SHA1Digest([UInt8](repeating: 2, count: 20))!, infoHashV2: SHA256Digest([UInt8](repeating: 3, count: 32))!, flags: 4, trackers: [TrackerEntry(tier: 5, url: "text url", nextAnnounce: 6, startedSent: 7), TrackerEntry(tier: 8, url: "text url", nextAnnounce: 9, startedSent: 10)], downloaded: 11, uploaded: 12, left: 13), "5c000100000002020202020202020202020202020202020202020303030303030303030303030303030303030303030303030303030303030303040000005e000000020000000b000000000000000c000000000000000d000000000000000500840000000800000006000000000000000708008c0000000800000009000000000000000a746578742075726c746578742075726c"),
    (DiscoveryTorrentRemove(torrent: 1), "040001000000"),
    (DiscoveryTorrentFlags(torrent: 1, flags: 2), "08000100000002000000"),
    (DiscoveryCounters(torrents: [TorrentCounters(torrent: 1, downloaded: 2, uploaded: 3, left: 4), TorrentCounters(torrent: 5, downloaded: 6, uploaded: 7, left: 8)]), "08000a000000020000000100000002000000000000000300000000000000040000000000000005000000060000000000000007000000000000000800000000000000"),
    (DiscoveryCompleted(torrent: 1), "040001000000"),
    (AnnounceNow(torrent: 1), "040001000000"),
    (DiscoveryReplayEnd(listenPort: 1, trackerKey: 2, peerID: SHA1Digest([UInt8](repeating: 3, count: 20))!), "1a000100020000000303030303030303030303030303030303030303"),
    (DiscoveryListenPort(listenPort: 1), "02000100"),
    (DiscoveryPeers(torrent: 1, source: 2, endpoints: [Endpoint(ipv4: 0x7f000003, port: 1003), Endpoint(ipv4: 0x7f000004, port: 1004)], isVersion2: 5), "0e00010000000210000000020000000500000000000000000000ffff7f00000303eb00000000000000000000ffff7f00000403ec"),
    (TrackerStatus(torrent: 1, tier: 2, url: "text url", state: 3, startedSent: 4, seeds: 5, leechers: 6, downloads: 7, nextAnnounce: 8, message: "text message", completedPending: 9), "2d000100000002002f0000000800000003040500000006000000070000000800000000000000370000000c00000009746578742075726c74657874206d657373616765"),
    (DiscoveryFilter(path: "text path"), "08000a00000009000000746578742070617468"),
    (FetchList(url: "text url", path: "text path", limit: 1), "140016000000080000001e0000000900000001000000746578742075726c746578742070617468"),
    (ListFetched(url: "text url", byteCount: 1, message: "text message"), "18001a000000080000000100000000000000220000000c000000746578742075726c74657874206d657373616765"),
    (DiscoveryCompletedAgain(torrent: 1, trackers: [UrlText(url: "text url"), UrlText(url: "text url")]), "0c00010000000e000000020000001e000000080000002600000008000000746578742075726c746578742075726c"),
    (FetchUrl(url: "text url", sizeLimit: 1, timeoutMilliseconds: 2, allowLocal: 3), "11001300000008000000010000000200000003746578742075726c"),
    (Fetched(offset: 1, bytes: [1, 2, 3, 255], isLast: 2, magnet: "text magnet", message: "text message"), "1d00010000001f0000000400000002230000000b0000002e0000000c000000010203ff74657874206d61676e657474657874206d657373616765"),
    (DhtContacts(endpoints: [Endpoint(ipv4: 0x7f000001, port: 1001), Endpoint(ipv4: 0x7f000002, port: 1002)]), "08000a0000000200000000000000000000000000ffff7f00000103e900000000000000000000ffff7f00000203ea"),
    (DhtHosts(hosts: [DhtHost(host: "text host", port: 1), DhtHost(host: "text host", port: 2)]), "08000a000000020000001e000000090000000100270000000900000002007465787420686f73747465787420686f7374"),
    (DhtStatusWanted(), "0000"),
    (DhtStatusReport(isOn: 1, isReadOnly: 2, families: [DhtFamily(family: 3, nodeID: SHA1Digest([UInt8](repeating: 4, count: 20))!, external: Endpoint(ipv4: 0x7f000005, port: 1005), nodes: 6, spares: 7, buckets: 8), DhtFamily(family: 9, nodeID: SHA1Digest([UInt8](repeating: 10, count: 20))!, external: Endpoint(ipv4: 0x7f00000b, port: 1011), nodes: 12, spares: 13, buckets: 14)], torrents: 15, lookups: 16, storedTorrents: 17, storedPeers: 18, storedItems: 19, received: 20, sent: 21, queriesAnswered: 22, dropped: 23, ignored: 24, timeouts: 25, lookupsDone: 26, peersFound: 27, refusal: "text refusal"), "6600010268000000020000000f000000100000001100000012000000130000001400000000000000150000000000000016000000000000001700000000000000180000000000000019000000000000001a000000000000001b00000000000000ce0000000c00000003040404040404040404040404040404040404040400000000000000000000ffff7f00000503ed060000000700000008000000090a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a00000000000000000000ffff7f00000b03f30c0000000d0000000e00000074657874207265667573616c"),
    (DhtNodeCount(nodes: 1), "040001000000"),
    (SendMail(server: "text server", tls: 1, username: "text username", password: "text password", sender: "text sender", recipients: "text recipients", text: [1, 2, 3, 255]), "3100330000000b000000013e0000000d0000004b0000000d000000580000000b000000630000000f000000720000000400000074657874207365727665727465787420757365726e616d65746578742070617373776f7264746578742073656e6465727465787420726563697069656e7473010203ff"),
    (MailSent(message: "text message"), "08000a0000000c00000074657874206d657373616765"),
    (DhtLookup(infoHash: SHA1Digest([UInt8](repeating: 1, count: 20))!), "14000101010101010101010101010101010101010101"),
    (DhtLookupResult(failure: "text failure", infoHash: SHA1Digest([UInt8](repeating: 1, count: 20))!, peers: [Endpoint(ipv4: 0x7f000002, port: 1002), Endpoint(ipv4: 0x7f000003, port: 1003)], seeds: 4, downloaders: 5, asked: 6, answered: 7, hops: 8), "38003a0000000c00000001010101010101010101010101010101010101014600000002000000040000000500000006000000070000000800000074657874206661696c75726500000000000000000000ffff7f00000203ea00000000000000000000ffff7f00000303eb"),
    (DhtGet(target: SHA1Digest([UInt8](repeating: 1, count: 20))!, salt: [1, 2, 3, 255]), "1c0001010101010101010101010101010101010101011e00000004000000010203ff"),
    (DhtItem(failure: "text failure", value: [1, 2, 3, 255], key: [1, 2, 3, 255], signature: [1, 2, 3, 255], sequence: 1, asked: 2, isMissing: 3), "2d002f0000000c0000003b000000040000003f0000000400000043000000040000000100000000000000020000000374657874206661696c757265010203ff010203ff010203ff"),
    (DhtPut(value: [1, 2, 3, 255], key: [1, 2, 3, 255], signature: [1, 2, 3, 255], salt: [1, 2, 3, 255], sequence: 1, cas: 2), "3000320000000400000036000000040000003a000000040000003e0000000400000001000000000000000200000000000000010203ff010203ff010203ff010203ff"),
    (DhtStored(failure: "text failure", target: SHA1Digest([UInt8](repeating: 1, count: 20))!, count: 2, refusal: "text refusal"), "28002a0000000c000000010101010101010101010101010101010101010102000000360000000c00000074657874206661696c75726574657874207265667573616c"),
    (NatStatusWanted(), "0000"),
    (NatStatusReport(isOn: 1, method: "text method", gateway: Endpoint(ipv4: 0x7f000002, port: 1002), external: Endpoint(ipv4: 0x7f000003, port: 1003), failure: "text failure", mappings: [NatMapping(isUDP: 4, internalPort: 5, externalPort: 6, secondsLeft: 7), NatMapping(isUDP: 8, internalPort: 9, externalPort: 10, secondsLeft: 11)]), "3d00013f0000000b00000000000000000000000000ffff7f00000203ea00000000000000000000ffff7f00000303eb4a0000000c000000560000000200000074657874206d6574686f6474657874206661696c7572650405000600070000000809000a000b000000"),
    (ScrapeWanted(torrents: [1, 2]), "08000a000000020000000100000002000000"),
    (ScrapeReport(rows: [ScrapeRow(torrent: 1, url: "text url", failure: "text failure", isKnown: 2, seeds: 3, leechers: 4, downloads: 5), ScrapeRow(torrent: 6, url: "text url", failure: "text failure", isKnown: 7, seeds: 8, leechers: 9, downloads: 10)]), "08000a00000002000000010000004c00000008000000540000000c00000002030000000400000005000000060000006000000008000000680000000c0000000708000000090000000a000000746578742075726c74657874206661696c757265746578742075726c74657874206661696c757265"),
    (Claim(torrent: 1, have: [1, 2, 3, 255]), "0c00010000000e00000004000000010203ff"),
    (ClaimsEnd(), "0000"),
    (TorrentReady(torrent: 1, have: [1, 2, 3, 255]), "0c00010000000e00000004000000010203ff"),
    (TorrentUnready(torrent: 1, reason: 2), "05000100000002"),
    (StorePiece(torrent: 1, piece: 2, firstSlot: 3, length: 4), "100001000000020000000300000004000000"),
    (PieceVerified(torrent: 1, piece: 2, firstSlot: 3), "0c00010000000200000003000000"),
    (PieceWritten(torrent: 1, piece: 2, firstSlot: 3), "0c00010000000200000003000000"),
    (PieceFailed(torrent: 1, piece: 2, firstSlot: 3, reason: 4, fileRoot: SHA256Digest([UInt8](repeating: 5, count: 32))!, pieceHash: SHA256Digest([UInt8](repeating: 6, count: 32))!, firstBlock: 7, blocks: 8, fileBytes: 9), "59000100000002000000030000000405050505050505050505050505050505050505050505050505050505050505050606060606060606060606060606060606060606060606060606060606060606070000000800000009000000"),
    (ReadPiece(torrent: 1, piece: 2, offset: 3, length: 4, firstSlot: 5), "14000100000002000000030000000400000005000000"),
    (ReadDone(torrent: 1, piece: 2, offset: 3, firstSlot: 4, status: 5), "11000100000002000000030000000400000005"),
    (HashesWanted(torrent: 1, root: SHA256Digest([UInt8](repeating: 2, count: 32))!, baseLayer: 3, index: 4, length: 5, proofLayers: 6), "340001000000020202020202020202020202020202020202020202020202020202020202020203000000040000000500000006000000"),
    (HashesFound(torrent: 1, root: SHA256Digest([UInt8](repeating: 2, count: 32))!, baseLayer: 3, index: 4, length: 5, proofLayers: 6, hashes: [1, 2, 3, 255]), "3c00010000000202020202020202020202020202020202020202020202020202020202020202030000000400000005000000060000003e00000004000000010203ff"),
    (TorrentTails(torrent: 1, isFirst: 2, pieces: [3, 4], lengths: [5, 6]), "1500010000000217000000020000001f0000000200000003000000040000000500000006000000"),
    (PieceLevels(torrent: 1, continues: 2, isLast: 3, runs: [PieceLevelRun(first: 4, count: 5, level: 6), PieceLevelRun(first: 7, count: 8, level: 9)]), "0e000100000002031000000002000000040000000500000006070000000800000009"),
    (ApiTorrent(torrent: 1, infoHash: SHA1Digest([UInt8](repeating: 2, count: 20))!, infoHashV2: SHA256Digest([UInt8](repeating: 3, count: 32))!, flags: 4, phase: 5, diskState: 6, totalLength: 7, pieceLength: 8, pieceCount: 9, fileCount: 10, piecesHave: 11, piecesChecked: 12, bytesHave: 13, downRate: 14, upRate: 15, peers: 16, seeds: 17, downloaded: 18, downloadedAgain: 19, uploaded: 20, addedAt: 21, completedAt: 22, name: "text name", rootName: "text rootName", savePath: "text savePath", movingTo: "text movingTo", error: "text error", trackers: [ApiTracker(tier: 23, state: 24, seeds: 25, leechers: 26, downloads: 27, nextAnnounce: 28, url: "text url", message: "text message"), ApiTracker(tier: 29, state: 30, seeds: 31, leechers: 32, downloads: 33, nextAnnounce: 34, url: "text url", message: "text message")], downLimit: 35, upLimit: 36, options: 37, category: "text category", tags: "text tags", comment: "text comment", contentPath: "text contentPath", finalPath: "text finalPath", queuePosition: 38, ratioLimit: 39, seedingTimeLimit: 40, inactiveTimeLimit: 41, maxRatio: 42, maxSeedingTime: 43, maxInactiveTime: 44, lastActivity: 45, seenComplete: 46, timeActive: 47, seedingTime: 48, availability: 49, downloadedSession: 50, uploadedSession: 51, limitGroup: "text limitGroup", maxPeers: 52, bytesWanted: 53, bytesWantedHave: 54), "96010100000002020202020202020202020202020202020202020303030303030303030303030303030303030303030303030303030303030303040000000506070000000000000008000000090000000a0000000b0000000c0000000d000000000000000e000000000000000f000000000000001000000011000000120000000000000013000000000000001400000000000000150000000000000016000000000000009801000009000000a10100000d000000ae0100000d000000bb0100000d000000c80100000a000000d2010000020000002300000000000000240000000000000025000000480200000d00000055020000090000005e0200000c0000006a020000100000007a0200000e000000260000002700000000000000280000000000000029000000000000002a000000000000002b000000000000002c000000000000002d000000000000002e000000000000002f000000000000003000000000000000310000000000000032000000000000003300000000000000880200000f000000340000003500000000000000360000000000000074657874206e616d657465787420726f6f744e616d657465787420736176655061746874657874206d6f76696e67546f74657874206572726f72170018190000001a0000001b0000001c000000000000002002000008000000280200000c0000001d001e1f0000002000000021000000220000000000000034020000080000003c0200000c000000746578742075726c74657874206d657373616765746578742075726c74657874206d657373616765746578742063617465676f72797465787420746167737465787420636f6d6d656e747465787420636f6e74656e7450617468746578742066696e616c5061746874657874206c696d697447726f7570"),
    (ApiTorrentRemoved(torrent: 1), "040001000000"),
    (ApiReplayEnd(startedAt: 1), "08000100000000000000"),
    (ApiGlobals(listenPort: 1, peerID: SHA1Digest([UInt8](repeating: 2, count: 20))!, bytesWritten: 3, bytesRead: 4, diskQueue: 5, diskMode: "text diskMode", storeFault: "text storeFault", dhtNodes: 6, usesAlternative: 7, externalV4: Endpoint(ipv4: 0x7f000008, port: 1008), externalV6: Endpoint(ipv4: 0x7f000009, port: 1009)), "6300010002020202020202020202020202020202020202020300000000000000040000000000000005000000650000000d000000720000000f000000060000000700000000000000000000ffff7f00000803f000000000000000000000ffff7f00000903f174657874206469736b4d6f6465746578742073746f72654661756c74"),
    (ApiWorkers(workers: [ApiWorker(name: "text name", role: "text role", index: 1, pid: 2, generation: 3, restarts: 4, state: 5, cpuMilliseconds: 6, residentBytes: 7, uptimeMilliseconds: 8, reason: "text reason"), ApiWorker(name: "text name", role: "text role", index: 9, pid: 10, generation: 11, restarts: 12, state: 13, cpuMilliseconds: 14, residentBytes: 15, uptimeMilliseconds: 16, reason: "text reason")]), "08000a00000002000000880000000900000091000000090000000100020000000300000004000000050600000000000000070000000000000008000000000000009a0000000b000000a500000009000000ae0000000900000009000a0000000b0000000c0000000d0e000000000000000f000000000000001000000000000000b70000000b00000074657874206e616d657465787420726f6c657465787420726561736f6e74657874206e616d657465787420726f6c657465787420726561736f6e"),
    (ApiOptions(options: [ApiOption(key: "text key", value: "text value"), ApiOption(key: "text key", value: "text value")]), "08000a000000020000002a00000008000000320000000a0000003c00000008000000440000000a00000074657874206b6579746578742076616c756574657874206b6579746578742076616c7565"),
    (ApiLists(categories: [ApiCategory(name: "text name", savePath: "text savePath"), ApiCategory(name: "text name", savePath: "text savePath")], tags: "text tags"), "100012000000020000005e0000000900000032000000090000003b0000000d0000004800000009000000510000000d00000074657874206e616d657465787420736176655061746874657874206e616d6574657874207361766550617468746578742074616773"),
    (ApiRequest(last: 1, bytes: [1, 2, 3, 255]), "0900010b00000004000000010203ff"),
    (ApiAnswer(last: 1, bytes: [1, 2, 3, 255]), "0900010b00000004000000010203ff"),
]

extension Hello: GoldenMessage {}
extension Configure: GoldenMessage {}
extension OpenEdge: GoldenMessage {}
extension GiveArena: GoldenMessage {}
extension GiveListener: GoldenMessage {}
extension Start: GoldenMessage {}
extension Ready: GoldenMessage {}
extension Heartbeat: GoldenMessage {}
extension Drain: GoldenMessage {}
extension Drained: GoldenMessage {}
extension WorkerTable: GoldenMessage {}
extension PeerBreaker: GoldenMessage {}
extension StopDaemon: GoldenMessage {}
extension RestartWorker: GoldenMessage {}
extension ReloadConfiguration: GoldenMessage {}
extension PeerTorrentAdd: GoldenMessage {}
extension PeerTorrentRemove: GoldenMessage {}
extension PeerTorrentFlags: GoldenMessage {}
extension PeersFound: GoldenMessage {}
extension MetadataBlockWanted: GoldenMessage {}
extension MetadataBlock: GoldenMessage {}
extension MetadataFound: GoldenMessage {}
extension PeerStats: GoldenMessage {}
extension PeerListWanted: GoldenMessage {}
extension PeerList: GoldenMessage {}
extension MorePeersWanted: GoldenMessage {}
extension PeerReplayEnd: GoldenMessage {}
extension ListenPort: GoldenMessage {}
extension PeerFault: GoldenMessage {}
extension PeerLimits: GoldenMessage {}
extension PeerTorrentLimits: GoldenMessage {}
extension PeerBanned: GoldenMessage {}
extension PeerBans: GoldenMessage {}
extension PeerBanLifted: GoldenMessage {}
extension ExternalAddress: GoldenMessage {}
extension PeerFilter: GoldenMessage {}
extension PeerFilterCounts: GoldenMessage {}
extension PeerWebSeeds: GoldenMessage {}
extension LayersWanted: GoldenMessage {}
extension LayersFound: GoldenMessage {}
extension PieceStatesWanted: GoldenMessage {}
extension PieceStates: GoldenMessage {}
extension DhtNodeSeen: GoldenMessage {}
extension PeerStreamPosition: GoldenMessage {}
extension StreamWanted: GoldenMessage {}
extension StreamReady: GoldenMessage {}
extension DiskTorrentAdd: GoldenMessage {}
extension DiskTorrentRemove: GoldenMessage {}
extension DiskTorrentMove: GoldenMessage {}
extension DiskTorrentRecheck: GoldenMessage {}
extension DiskTorrentFlags: GoldenMessage {}
extension DiskReplayEnd: GoldenMessage {}
extension DiskTorrentState: GoldenMessage {}
extension Durable: GoldenMessage {}
extension Undurable: GoldenMessage {}
extension DiskRemoved: GoldenMessage {}
extension DiskMoved: GoldenMessage {}
extension DiskStats: GoldenMessage {}
extension DiskFileProgressWanted: GoldenMessage {}
extension DiskFileProgress: GoldenMessage {}
extension SessionDurableStored: GoldenMessage {}
extension DiskTorrentLevels: GoldenMessage {}
extension DiscoveryTorrentAdd: GoldenMessage {}
extension DiscoveryTorrentRemove: GoldenMessage {}
extension DiscoveryTorrentFlags: GoldenMessage {}
extension DiscoveryCounters: GoldenMessage {}
extension DiscoveryCompleted: GoldenMessage {}
extension AnnounceNow: GoldenMessage {}
extension DiscoveryReplayEnd: GoldenMessage {}
extension DiscoveryListenPort: GoldenMessage {}
extension DiscoveryPeers: GoldenMessage {}
extension TrackerStatus: GoldenMessage {}
extension DiscoveryFilter: GoldenMessage {}
extension FetchList: GoldenMessage {}
extension ListFetched: GoldenMessage {}
extension DiscoveryCompletedAgain: GoldenMessage {}
extension FetchUrl: GoldenMessage {}
extension Fetched: GoldenMessage {}
extension DhtContacts: GoldenMessage {}
extension DhtHosts: GoldenMessage {}
extension DhtStatusWanted: GoldenMessage {}
extension DhtStatusReport: GoldenMessage {}
extension DhtNodeCount: GoldenMessage {}
extension SendMail: GoldenMessage {}
extension MailSent: GoldenMessage {}
extension DhtLookup: GoldenMessage {}
extension DhtLookupResult: GoldenMessage {}
extension DhtGet: GoldenMessage {}
extension DhtItem: GoldenMessage {}
extension DhtPut: GoldenMessage {}
extension DhtStored: GoldenMessage {}
extension NatStatusWanted: GoldenMessage {}
extension NatStatusReport: GoldenMessage {}
extension ScrapeWanted: GoldenMessage {}
extension ScrapeReport: GoldenMessage {}
extension Claim: GoldenMessage {}
extension ClaimsEnd: GoldenMessage {}
extension TorrentReady: GoldenMessage {}
extension TorrentUnready: GoldenMessage {}
extension StorePiece: GoldenMessage {}
extension PieceVerified: GoldenMessage {}
extension PieceWritten: GoldenMessage {}
extension PieceFailed: GoldenMessage {}
extension ReadPiece: GoldenMessage {}
extension ReadDone: GoldenMessage {}
extension HashesWanted: GoldenMessage {}
extension HashesFound: GoldenMessage {}
extension TorrentTails: GoldenMessage {}
extension PieceLevels: GoldenMessage {}
extension ApiTorrent: GoldenMessage {}
extension ApiTorrentRemoved: GoldenMessage {}
extension ApiReplayEnd: GoldenMessage {}
extension ApiGlobals: GoldenMessage {}
extension ApiWorkers: GoldenMessage {}
extension ApiOptions: GoldenMessage {}
extension ApiLists: GoldenMessage {}
extension ApiRequest: GoldenMessage {}
extension ApiAnswer: GoldenMessage {}

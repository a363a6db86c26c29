// Made by protocol/generate.py from protocol/state-api.schema; do not edit.
// swift-format-ignore-file

import ByteCodec
import Primitives

package struct ApiTracker: IPCStruct, Equatable {
    package static var fixedSize: Int { 39 }
    package var tier: UInt16
    package var state: UInt8  // 0 not asked, 1 announcing, 2 working, 3 failing, 4 breaker open
    package var seeds: Int32  // -1 unknown
    package var leechers: Int32  // -1 unknown
    package var downloads: Int32  // -1 unknown
    package var nextAnnounce: UInt64  // seconds since 1970; 0 unknown
    package var url: String
    package var message: String  // the tracker's failure or warning, escaped
    package init(tier: UInt16, state: UInt8, seeds: Int32, leechers: Int32, downloads: Int32, nextAnnounce: UInt64, url: String = "", message: String = "") {
        self.tier = tier
        self.state = state
        self.seeds = seeds
        self.leechers = leechers
        self.downloads = downloads
        self.nextAnnounce = nextAnnounce
        self.url = url
        self.message = message
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(tier)
        w.u8(state)
        w.i32(seeds)
        w.i32(leechers)
        w.i32(downloads)
        w.u64(nextAnnounce)
        tail.reserve(&w, count: url.utf8.count)
        tail.reserve(&w, count: message.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, url)
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        tier = try r.u16()
        state = try r.u8()
        seeds = try r.i32()
        leechers = try r.i32()
        downloads = try r.i32()
        nextAnnounce = try r.u64()
        url = try r.string()
        message = try r.string()
    }
}

package struct ApiWorker: IPCStruct, Equatable {
    package static var fixedSize: Int { 63 }
    package var name: String  // "peer:0"
    package var role: String
    package var index: UInt16
    package var pid: UInt32  // 0 while it is not running
    package var generation: UInt32
    package var restarts: UInt32  // starts after the first
    package var state: UInt8  // as WorkerStatus
    package var cpuMilliseconds: UInt64
    package var residentBytes: UInt64
    package var uptimeMilliseconds: UInt64
    package var reason: String  // why the last generation ended; empty if none did
    package init(name: String = "", role: String = "", index: UInt16, pid: UInt32, generation: UInt32, restarts: UInt32, state: UInt8, cpuMilliseconds: UInt64, residentBytes: UInt64, uptimeMilliseconds: UInt64, reason: String = "") {
        self.name = name
        self.role = role
        self.index = index
        self.pid = pid
        self.generation = generation
        self.restarts = restarts
        self.state = state
        self.cpuMilliseconds = cpuMilliseconds
        self.residentBytes = residentBytes
        self.uptimeMilliseconds = uptimeMilliseconds
        self.reason = reason
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: name.utf8.count)
        tail.reserve(&w, count: role.utf8.count)
        w.u16(index)
        w.u32(pid)
        w.u32(generation)
        w.u32(restarts)
        w.u8(state)
        w.u64(cpuMilliseconds)
        w.u64(residentBytes)
        w.u64(uptimeMilliseconds)
        tail.reserve(&w, count: reason.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, name)
        tail.string(&w, role)
        tail.string(&w, reason)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        name = try r.string()
        role = try r.string()
        index = try r.u16()
        pid = try r.u32()
        generation = try r.u32()
        restarts = try r.u32()
        state = try r.u8()
        cpuMilliseconds = try r.u64()
        residentBytes = try r.u64()
        uptimeMilliseconds = try r.u64()
        reason = try r.string()
    }
}

package struct ApiOption: IPCStruct, Equatable {
    package static var fixedSize: Int { 16 }
    package var key: String
    package var value: String
    package init(key: String = "", value: String = "") {
        self.key = key
        self.value = value
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: key.utf8.count)
        tail.reserve(&w, count: value.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, key)
        tail.string(&w, value)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        key = try r.string()
        value = try r.string()
    }
}

/// One row, whole: at the replay, and when something of it has changed, at most each half second.
package struct ApiTorrent: IPCMessage, Equatable {
    package static var type: MessageType { .apiTorrent }
    package static var fixedSize: Int { 406 }
    package var torrent: UInt32  // never used twice over the life of the catalogue
    package var infoHash: SHA1Digest  // v1, or v2 truncated where there is no v1
    package var infoHashV2: SHA256Digest  // zero if none
    package var flags: UInt32  // ApiTorrentFlags
    package var phase: UInt8  // TorrentPhase of the catalogue
    package var diskState: UInt8  // DiskState; 0 while the disk worker has not reported
    package var totalLength: UInt64  // 0 while the metadata is unknown
    package var pieceLength: UInt32
    package var pieceCount: UInt32
    package var fileCount: UInt32  // pad files left out
    package var piecesHave: UInt32
    package var piecesChecked: UInt32
    package var bytesHave: UInt64
    package var downRate: UInt64  // bytes per second
    package var upRate: UInt64
    package var peers: UInt32  // connections
    package var seeds: UInt32  // of these, complete ones
    package var downloaded: UInt64  // payload bytes over the torrent's life
    package var downloadedAgain: UInt64  // of these: there already, or failed their hash
    package var uploaded: UInt64
    package var addedAt: UInt64  // seconds since 1970
    package var completedAt: UInt64  // seconds since 1970; 0 while it never was complete
    package var name: String
    package var rootName: String  // first path component on disk; empty while the metadata is unknown
    package var savePath: String
    package var movingTo: String  // where a move under way goes; empty if none
    package var error: String  // one line; empty when all is well
    package var trackers: [ApiTracker]  // by tier
    package var downLimit: Int64  // bytes per second; 0: none; below 0: as the settings say
    package var upLimit: Int64
    package var options: UInt32  // ApiTorrentOptions
    package var category: String  // empty: none
    package var tags: String  // joined by comma and space
    package var comment: String
    package var contentPath: String  // the one file or folder; the save folder where there are several; empty while unknown
    package var finalPath: String  // where the data goes when it is complete; empty: it is there
    package var queuePosition: UInt32  // from 1; 0: not in the queue
    package var ratioLimit: Int64  // thousandths; -1 none, -2 as the settings say
    package var seedingTimeLimit: Int64  // minutes, likewise
    package var inactiveTimeLimit: Int64  // minutes, likewise
    package var maxRatio: Int64  // the limit in force, thousandths; -1 none
    package var maxSeedingTime: Int64
    package var maxInactiveTime: Int64
    package var lastActivity: UInt64  // seconds since 1970; 0 unknown
    package var seenComplete: UInt64
    package var timeActive: UInt64  // seconds over its life, at the time of sending
    package var seedingTime: UInt64
    package var availability: Int64  // copies among the connected peers, thousandths; -1000 unknown
    package var downloadedSession: UInt64  // payload bytes since the session worker started
    package var uploadedSession: UInt64
    package var limitGroup: String  // a name of limits.groups; empty: in none
    package var maxPeers: UInt32  // the limit in force
    package var bytesWanted: UInt64  // bytes of the files that are not skipped
    package var bytesWantedHave: UInt64  // of these, had
    package init(torrent: UInt32, infoHash: SHA1Digest, infoHashV2: SHA256Digest, flags: UInt32, phase: UInt8, diskState: UInt8, totalLength: UInt64, pieceLength: UInt32, pieceCount: UInt32, fileCount: UInt32, piecesHave: UInt32, piecesChecked: UInt32, bytesHave: UInt64, downRate: UInt64, upRate: UInt64, peers: UInt32, seeds: UInt32, downloaded: UInt64, downloadedAgain: UInt64, uploaded: UInt64, addedAt: UInt64, completedAt: UInt64, name: String = "", rootName: String = "", savePath: String = "", movingTo: String = "", error: String = "", trackers: [ApiTracker] = [], downLimit: Int64, upLimit: Int64, options: UInt32, category: String = "", tags: String = "", comment: String = "", contentPath: String = "", finalPath: String = "", queuePosition: UInt32, ratioLimit: Int64, seedingTimeLimit: Int64, inactiveTimeLimit: Int64, maxRatio: Int64, maxSeedingTime: Int64, maxInactiveTime: Int64, lastActivity: UInt64, seenComplete: UInt64, timeActive: UInt64, seedingTime: UInt64, availability: Int64, downloadedSession: UInt64, uploadedSession: UInt64, limitGroup: String = "", maxPeers: UInt32, bytesWanted: UInt64, bytesWantedHave: UInt64) {
        self.torrent = torrent
        self.infoHash = infoHash
        self.infoHashV2 = infoHashV2
        self.flags = flags
        self.phase = phase
        self.diskState = diskState
        self.totalLength = totalLength
        self.pieceLength = pieceLength
        self.pieceCount = pieceCount
        self.fileCount = fileCount
        self.piecesHave = piecesHave
        self.piecesChecked = piecesChecked
        self.bytesHave = bytesHave
        self.downRate = downRate
        self.upRate = upRate
        self.peers = peers
        self.seeds = seeds
        self.downloaded = downloaded
        self.downloadedAgain = downloadedAgain
        self.uploaded = uploaded
        self.addedAt = addedAt
        self.completedAt = completedAt
        self.name = name
        self.rootName = rootName
        self.savePath = savePath
        self.movingTo = movingTo
        self.error = error
        self.trackers = trackers
        self.downLimit = downLimit
        self.upLimit = upLimit
        self.options = options
        self.category = category
        self.tags = tags
        self.comment = comment
        self.contentPath = contentPath
        self.finalPath = finalPath
        self.queuePosition = queuePosition
        self.ratioLimit = ratioLimit
        self.seedingTimeLimit = seedingTimeLimit
        self.inactiveTimeLimit = inactiveTimeLimit
        self.maxRatio = maxRatio
        self.maxSeedingTime = maxSeedingTime
        self.maxInactiveTime = maxInactiveTime
        self.lastActivity = lastActivity
        self.seenComplete = seenComplete
        self.timeActive = timeActive
        self.seedingTime = seedingTime
        self.availability = availability
        self.downloadedSession = downloadedSession
        self.uploadedSession = uploadedSession
        self.limitGroup = limitGroup
        self.maxPeers = maxPeers
        self.bytesWanted = bytesWanted
        self.bytesWantedHave = bytesWantedHave
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.digest(infoHash)
        w.digest(infoHashV2)
        w.u32(flags)
        w.u8(phase)
        w.u8(diskState)
        w.u64(totalLength)
        w.u32(pieceLength)
        w.u32(pieceCount)
        w.u32(fileCount)
        w.u32(piecesHave)
        w.u32(piecesChecked)
        w.u64(bytesHave)
        w.u64(downRate)
        w.u64(upRate)
        w.u32(peers)
        w.u32(seeds)
        w.u64(downloaded)
        w.u64(downloadedAgain)
        w.u64(uploaded)
        w.u64(addedAt)
        w.u64(completedAt)
        tail.reserve(&w, count: name.utf8.count)
        tail.reserve(&w, count: rootName.utf8.count)
        tail.reserve(&w, count: savePath.utf8.count)
        tail.reserve(&w, count: movingTo.utf8.count)
        tail.reserve(&w, count: error.utf8.count)
        tail.reserve(&w, count: trackers.count)
        w.i64(downLimit)
        w.i64(upLimit)
        w.u32(options)
        tail.reserve(&w, count: category.utf8.count)
        tail.reserve(&w, count: tags.utf8.count)
        tail.reserve(&w, count: comment.utf8.count)
        tail.reserve(&w, count: contentPath.utf8.count)
        tail.reserve(&w, count: finalPath.utf8.count)
        w.u32(queuePosition)
        w.i64(ratioLimit)
        w.i64(seedingTimeLimit)
        w.i64(inactiveTimeLimit)
        w.i64(maxRatio)
        w.i64(maxSeedingTime)
        w.i64(maxInactiveTime)
        w.u64(lastActivity)
        w.u64(seenComplete)
        w.u64(timeActive)
        w.u64(seedingTime)
        w.i64(availability)
        w.u64(downloadedSession)
        w.u64(uploadedSession)
        tail.reserve(&w, count: limitGroup.utf8.count)
        w.u32(maxPeers)
        w.u64(bytesWanted)
        w.u64(bytesWantedHave)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, name)
        tail.string(&w, rootName)
        tail.string(&w, savePath)
        tail.string(&w, movingTo)
        tail.string(&w, error)
        tail.structs(&w, trackers)
        tail.string(&w, category)
        tail.string(&w, tags)
        tail.string(&w, comment)
        tail.string(&w, contentPath)
        tail.string(&w, finalPath)
        tail.string(&w, limitGroup)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        infoHash = try r.hash20()
        infoHashV2 = try r.hash32()
        flags = try r.u32()
        phase = try r.u8()
        diskState = try r.u8()
        totalLength = try r.u64()
        pieceLength = try r.u32()
        pieceCount = try r.u32()
        fileCount = try r.u32()
        piecesHave = try r.u32()
        piecesChecked = try r.u32()
        bytesHave = try r.u64()
        downRate = try r.u64()
        upRate = try r.u64()
        peers = try r.u32()
        seeds = try r.u32()
        downloaded = try r.u64()
        downloadedAgain = try r.u64()
        uploaded = try r.u64()
        addedAt = try r.u64()
        completedAt = try r.u64()
        name = try r.string()
        rootName = try r.string()
        savePath = try r.string()
        movingTo = try r.string()
        error = try r.string()
        trackers = try r.structs()
        downLimit = try r.i64()
        upLimit = try r.i64()
        options = try r.u32()
        category = try r.string()
        tags = try r.string()
        comment = try r.string()
        contentPath = try r.string()
        finalPath = try r.string()
        queuePosition = try r.u32()
        ratioLimit = try r.i64()
        seedingTimeLimit = try r.i64()
        inactiveTimeLimit = try r.i64()
        maxRatio = try r.i64()
        maxSeedingTime = try r.i64()
        maxInactiveTime = try r.i64()
        lastActivity = try r.u64()
        seenComplete = try r.u64()
        timeActive = try r.u64()
        seedingTime = try r.u64()
        availability = try r.i64()
        downloadedSession = try r.u64()
        uploadedSession = try r.u64()
        limitGroup = try r.string()
        maxPeers = try r.u32()
        bytesWanted = try r.u64()
        bytesWantedHave = try r.u64()
    }
}

package struct ApiTorrentRemoved: IPCMessage, Equatable {
    package static var type: MessageType { .apiTorrentRemoved }
    package static var fixedSize: Int { 4 }
    package var torrent: UInt32
    package init(torrent: UInt32) {
        self.torrent = torrent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
    }
}

/// Rows that were not told since the edge was opened are gone.
package struct ApiReplayEnd: IPCMessage, Equatable {
    package static var type: MessageType { .apiReplayEnd }
    package static var fixedSize: Int { 8 }
    package var startedAt: UInt64  // seconds since 1970, of this session worker
    package init(startedAt: UInt64) {
        self.startedAt = startedAt
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u64(startedAt)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        startedAt = try r.u64()
    }
}

/// On a change, at most each half second.
package struct ApiGlobals: IPCMessage, Equatable {
    package static var type: MessageType { .apiGlobals }
    package static var fixedSize: Int { 99 }
    package var listenPort: UInt16  // 0 while no peer shard listens
    package var peerID: SHA1Digest
    package var bytesWritten: UInt64
    package var bytesRead: UInt64
    package var diskQueue: UInt32
    package var diskMode: String  // how the disk worker does its work; empty while it is away
    package var storeFault: String  // why the last commit failed; empty while the store takes what it is given
    package var dhtNodes: UInt32  // in the routing tables of both families
    package var usesAlternative: UInt8  // 1: the alternative limits hold, by the switch or by the schedule
    package var externalV4: Endpoint  // our address as most peers see it, port 0; unspecified while unknown
    package var externalV6: Endpoint
    package init(listenPort: UInt16, peerID: SHA1Digest, bytesWritten: UInt64, bytesRead: UInt64, diskQueue: UInt32, diskMode: String = "", storeFault: String = "", dhtNodes: UInt32, usesAlternative: UInt8, externalV4: Endpoint, externalV6: Endpoint) {
        self.listenPort = listenPort
        self.peerID = peerID
        self.bytesWritten = bytesWritten
        self.bytesRead = bytesRead
        self.diskQueue = diskQueue
        self.diskMode = diskMode
        self.storeFault = storeFault
        self.dhtNodes = dhtNodes
        self.usesAlternative = usesAlternative
        self.externalV4 = externalV4
        self.externalV6 = externalV6
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(listenPort)
        w.digest(peerID)
        w.u64(bytesWritten)
        w.u64(bytesRead)
        w.u32(diskQueue)
        tail.reserve(&w, count: diskMode.utf8.count)
        tail.reserve(&w, count: storeFault.utf8.count)
        w.u32(dhtNodes)
        w.u8(usesAlternative)
        w.endpoint(externalV4)
        w.endpoint(externalV6)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, diskMode)
        tail.string(&w, storeFault)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        listenPort = try r.u16()
        peerID = try r.hash20()
        bytesWritten = try r.u64()
        bytesRead = try r.u64()
        diskQueue = try r.u32()
        diskMode = try r.string()
        storeFault = try r.string()
        dhtNodes = try r.u32()
        usesAlternative = try r.u8()
        externalV4 = try r.endpoint()
        externalV6 = try r.endpoint()
    }
}

package struct ApiWorkers: IPCMessage, Equatable {
    package static var type: MessageType { .apiWorkers }
    package static var fixedSize: Int { 8 }
    package var workers: [ApiWorker]
    package init(workers: [ApiWorker] = []) {
        self.workers = workers
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: workers.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, workers)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        workers = try r.structs()
    }
}

/// Every option as it is in force.
package struct ApiOptions: IPCMessage, Equatable {
    package static var type: MessageType { .apiOptions }
    package static var fixedSize: Int { 8 }
    package var options: [ApiOption]
    package init(options: [ApiOption] = []) {
        self.options = options
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: options.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, options)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        options = try r.structs()
    }
}

package struct ApiCategory: IPCStruct, Equatable {
    package static var fixedSize: Int { 16 }
    package var name: String
    package var savePath: String  // empty: a folder of its name in disk.download_dir
    package init(name: String = "", savePath: String = "") {
        self.name = name
        self.savePath = savePath
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: name.utf8.count)
        tail.reserve(&w, count: savePath.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, name)
        tail.string(&w, savePath)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        name = try r.string()
        savePath = try r.string()
    }
}

/// At the replay and whenever one of them has changed: both, whole.
package struct ApiLists: IPCMessage, Equatable {
    package static var type: MessageType { .apiLists }
    package static var fixedSize: Int { 16 }
    package var categories: [ApiCategory]
    package var tags: String  // by name, joined by comma
    package init(categories: [ApiCategory] = [], tags: String = "") {
        self.categories = categories
        self.tags = tags
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: categories.count)
        tail.reserve(&w, count: tags.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, categories)
        tail.string(&w, tags)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        categories = try r.structs()
        tags = try r.string()
    }
}

/// A request line of the control socket, in parts that fit a frame; the correlation names it over all parts and in the answer.
package struct ApiRequest: IPCMessage, Equatable {
    package static var type: MessageType { .apiRequest }
    package static var fixedSize: Int { 9 }
    package var last: UInt8  // 1: the line is complete
    package var bytes: [UInt8]
    package init(last: UInt8, bytes: [UInt8] = []) {
        self.last = last
        self.bytes = bytes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(last)
        tail.reserve(&w, count: bytes.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, bytes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        last = try r.u8()
        bytes = try r.bytes()
    }
}

/// The answer line, likewise in parts.
package struct ApiAnswer: IPCMessage, Equatable {
    package static var type: MessageType { .apiAnswer }
    package static var fixedSize: Int { 9 }
    package var last: UInt8
    package var bytes: [UInt8]
    package init(last: UInt8, bytes: [UInt8] = []) {
        self.last = last
        self.bytes = bytes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(last)
        tail.reserve(&w, count: bytes.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, bytes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        last = try r.u8()
        bytes = try r.bytes()
    }
}

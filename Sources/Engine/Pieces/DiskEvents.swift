import Primitives

/// A job's row and how often that row was used before: an answer for an older job is dropped.
package struct JobID: Hashable, Sendable {
    package let index: UInt32
    /// Low 24 bits count.
    package let generation: UInt32
    package init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

/// A run of slots in a shard's arena: one owner at a time.
package struct RunID: Hashable, Sendable {
    package let shard: UInt16
    package let first: SlotIndex
    package init(shard: UInt16, first: SlotIndex) {
        self.shard = shard
        self.first = first
    }
}

/// Why an operation on the disk failed, as far as decisions differ.
package enum FaultKind: UInt8, Sendable, Hashable {
    /// ENOSPC, EDQUOT.
    case full
    case readOnly
    case io
    case permission
    case missing
    /// Shorter than it was, or another file than was verified.
    case changed
    /// The save folder is on another volume than when the torrent was added: it is not mounted.
    case deviceMissing
    case badMetainfo
    /// Another torrent writes the same path.
    case pathConflict
    /// Too many open files, no memory: passes by itself.
    case busy
}

/// `text` says what and where in one line: "write disk/file.iso at 4096: No space left on device".
package struct DiskFault: Error, Equatable, Sendable {
    package let kind: FaultKind
    package let text: String
    package init(_ kind: FaultKind, _ text: String) {
        self.kind = kind
        self.text = text
    }
}

package enum Allocation: UInt8, Sendable { case none = 0, sparse, full }

/// How the paths of a torrent's files come from those in its metainfo: renames in order, then the suffix.
package struct FileNames: Equatable, Sendable {
    package struct Rename: Equatable, Sendable {
        /// Of a file, or of a folder and all in it.
        package let from: String
        /// Empty: what is in the folder stands without it.
        package let to: String
        package init(from: String, to: String) { (self.from, self.to) = (from, to) }
    }
    package var renames: [Rename] = []
    package var suffix = ""
    package init(renames: [Rename] = [], suffix: String = "") { (self.renames, self.suffix) = (renames, suffix) }
    package var isEmpty: Bool { renames.isEmpty && suffix.isEmpty }

    package func path(_ original: String) -> String {
        var path = original
        for r in renames {
            if path == r.from {
                if !r.to.isEmpty { path = r.to }
            } else if path.hasPrefix(r.from + "/") {
                let rest = path.dropFirst(r.from.count + 1)
                path = r.to.isEmpty ? String(rest) : r.to + "/" + rest
            }
        }
        return path + suffix
    }
}

/// What the session says of a torrent.
package struct TorrentSpec: Equatable, Sendable {
    package var metainfoPath: String
    package var savePath: String
    /// Wire-order bitfield of the pieces known to be on disk; empty: none.
    package var durable: [UInt8]
    /// st_dev of the save folder when it was added; 0: not known.
    package var sourceDevice: UInt64
    package var allocation: Allocation
    package var paused: Bool
    /// Believe without hashing that all is there.
    package var skipCheck: Bool
    /// The last run had no final checkpoint: pieces outside `durable` may be on disk.
    package var unclean: Bool
    /// How the paths of the metainfo are changed.
    package var names = FileNames()
    package var levels: FileLevels
    /// The first and the last piece of each file before others.
    package var endsFirst: Bool
    /// What the session calls the choice of files in `levels`; comes back in reports.
    package var selection: UInt32
    /// A move was interrupted, and comes next: some of the files may stand elsewhere.
    package var isMoving = false
    package init(
        metainfoPath: String, savePath: String, durable: [UInt8] = [], sourceDevice: UInt64 = 0, allocation: Allocation = .full,
        paused: Bool = false, skipCheck: Bool = false, unclean: Bool = false, levels: FileLevels = FileLevels(), endsFirst: Bool = false,
        selection: UInt32 = 0
    ) {
        self.metainfoPath = metainfoPath
        self.savePath = savePath
        self.durable = durable
        self.sourceDevice = sourceDevice
        self.allocation = allocation
        self.paused = paused
        self.skipCheck = skipCheck
        self.unclean = unclean
        self.levels = levels
        self.endsFirst = endsFirst
        self.selection = selection
    }
}

/// What a look at the files found.
package struct TorrentFound: Sendable {
    package let layout: FileLayout
    /// st_dev of the save folder, or of its nearest parent that exists.
    package let volume: UInt64
    /// Size of each file, -1 where there is none. Pad files and links: 0.
    package let sizes: [Int64]
    /// Pieces with data on disk, which a check has to read; nil when no scan was asked for.
    package let withData: Bitfield?
    /// Pieces that lie wholly in holes and whose hash is that of zeros: good without a read.
    package let zeros: Bitfield?
    package init(layout: FileLayout, volume: UInt64, sizes: [Int64], withData: Bitfield? = nil, zeros: Bitfield? = nil) {
        self.layout = layout
        self.volume = volume
        self.sizes = sizes
        self.withData = withData
        self.zeros = zeros
    }
}

package struct StoreRequest: Equatable, Sendable {
    package let torrent: TorrentID, piece: UInt32, run: RunID, length: UInt32
    package init(torrent: TorrentID, piece: UInt32, run: RunID, length: UInt32) {
        (self.torrent, self.piece, self.run, self.length) = (torrent, piece, run, length)
    }
}
package struct ReadRequest: Equatable, Sendable {
    package let torrent: TorrentID, piece: UInt32, offset: UInt32, length: UInt32, run: RunID
    package init(torrent: TorrentID, piece: UInt32, offset: UInt32, length: UInt32, run: RunID) {
        (self.torrent, self.piece, self.offset, self.length, self.run) = (torrent, piece, offset, length, run)
    }
}

package enum DiskEvent {
    // The session's.
    case add(TorrentID, TorrentSpec)
    case remove(TorrentID, deleteData: Bool)
    case move(TorrentID, savePath: String, FileNames = FileNames())
    case recheck(TorrentID)
    case pause(TorrentID, Bool)
    case endsFirst(TorrentID, Bool)
    case select(TorrentID, FileLevels, selection: UInt32 = 0)
    case replayEnd
    case sessionOpened
    // A peer shard's.
    case shardOpened(UInt16)
    case shardClosed(UInt16)
    case claim(UInt16, TorrentID, have: [UInt8])
    case claimsEnd(UInt16)
    case store(StoreRequest)
    case read(ReadRequest)
    // The shell's answers.
    case opened(TorrentID, Result<TorrentFound, DiskFault>)
    case hashed(JobID, matches: Bool)
    case written(JobID, DiskFault?)
    case readEnded(JobID, DiskFault?)
    /// Bit i: piece first + i of the job is good.
    case checked(JobID, good: [Bool], DiskFault?)
    case synced(TorrentID, DiskFault?)
    case finished(TorrentID, DiskFault?)
    case probed(volume: UInt64, DiskFault?)
    case moved(TorrentID, DiskFault?)
    case deleted(TorrentID, DiskFault?)
    /// A file in use is gone, shorter or another one than before.
    case fileChanged(TorrentID, DiskFault)
    /// Timers: call at ``DiskCore/deadline``.
    case tick
    case drain
}

package enum StoreFailure: UInt8, Sendable, Equatable { case hashMismatch = 0, diskFull, ioError, unready }
package enum ReadStatus: UInt8, Sendable, Equatable { case done = 0, noSuchPiece, ioError, notReady }
package enum Unready: UInt8, Sendable, Equatable { case checking = 0, diskFull, ioError, missingFiles, removed, paused }

/// What the user sees of a torrent's files.
package struct TorrentReport: Equatable, Sendable {
    package enum State: UInt8, Sendable { case queued = 0, checking, ready, error, missing, moving, paused }
    package var state: State
    package var piecesHave: UInt32
    package var bytesHave: UInt64
    package var piecesChecked: UInt32
    package var fault: DiskFault?
    /// Of the files that are wanted, and of these had.
    package var bytesWanted: UInt64
    package var bytesWantedHave: UInt64
    package var selection: UInt32
}

package enum DiskEffect {
    // To the peer shards.
    case verified(StoreRequest)
    case stored(StoreRequest)
    case storeFailed(StoreRequest, StoreFailure)
    case readDone(ReadRequest, ReadStatus)
    /// To all shards when nil.
    case ready(TorrentID, have: Bitfield, shard: UInt16?)
    case unready(TorrentID, Unready, shard: UInt16?)
    /// Comes before `ready` where not all pieces are wanted alike, or no longer are: one level for each piece; empty: all normal.
    case levels(TorrentID, [UInt8], shard: UInt16?)
    // To the session.
    case report(TorrentID, TorrentReport)
    case durable(TorrentID, [(first: Int, count: Int)])
    case undurable(TorrentID, [(first: Int, count: Int)])
    case removed(TorrentID, String)
    case movedTo(TorrentID, String, message: String)
    // To the files.
    /// Read the metainfo and look at the files; `scan`: say which pieces have data.
    /// `isSettled`: no move was interrupted, so that a file that is not there is nowhere else.
    case open(TorrentID, TorrentSpec, scan: Bool, isSettled: Bool)
    case hash(JobID, StoreRequest)
    case write(JobID, StoreRequest)
    case readFile(JobID, ReadRequest)
    /// Read and hash pieces first ..< first + count.
    case check(JobID, TorrentID, first: Int, count: Int)
    /// fdatasync what was written to the torrent's files; `all`: every file (some were written by an earlier process).
    case sync(TorrentID, all: Bool)
    /// All is verified and synced: links, executable bits, empty files.
    case finish(TorrentID)
    case closeFiles(TorrentID)
    case forget(TorrentID)
    case probe(volume: UInt64, folder: String)
    case moveFiles(TorrentID, to: String, FileNames)
    case deleteFiles(TorrentID)
    case log(String)
    case drained
}

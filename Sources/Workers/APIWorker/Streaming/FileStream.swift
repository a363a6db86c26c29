import Control
import Glibc
import HTTPTypes
import HummingbirdCore
import LinuxIO
import NIOCore
import Observe
import Primitives
import Synchronization

/// How many streams are open, and what they share.
final class FileStreams: Sendable {
    /// Each holds a file, a chunk and a connection.
    static let limit = 64
    let reads = FileReads()
    let patience: TimeSpan
    let log: Log
    private let open = Mutex(0)
    private let readers = Atomic<UInt32>(0)
    /// Not 0; of another stream only after four thousand million.
    func reader() -> UInt32 { max(1, readers.wrappingAdd(1, ordering: .relaxed).newValue) }

    init(patience: TimeSpan, log: Log) { (self.patience, self.log) = (patience, log) }

    /// A place among them, for as long as somebody holds it.
    final class Slot: Sendable {
        private let streams: FileStreams
        /// nil when all are taken.
        init?(_ streams: FileStreams) {
            let isRoom = streams.open.withLock { n in
                guard n < FileStreams.limit else { return false }
                n += 1
                return true
            }
            guard isRoom else { return nil }
            self.streams = streams
        }
        deinit { streams.open.withLock { $0 -= 1 } }
    }
}

/// One answer's bytes on their way from a torrent's file to a client, who may be ahead of the download.
///
///     ask how far can be read (and say where we are) ─▶ read 256 KiB ─▶ write, as fast as the client takes them ─┐
///          ▲            └ nothing yet: a quarter of a second                                                     │
///          └────────────────────────── a second later, or all of that is read ◀─────────────────────────────────┘
///
/// The position that the picker follows is the client's: it moves when bytes were taken. Memory is a chunk. The end is one of four: all
/// was sent; nothing came for ``FileStreams/patience``; nothing can come; the client is gone. In all but the first the connection is
/// closed before its Content-Length is full, which every client takes for what it is.
struct FileStream {
    /// Read and written at once.
    static let chunk: UInt64 = 256 << 10
    static let poll = Duration.milliseconds(250)
    /// The position is told this often.
    static let tell = TimeSpan.seconds(1)

    /// A file that is about to have another folder or name is there again after so long.
    static let settling = TimeSpan.seconds(2)

    struct Cut: Error, CustomStringConvertible {
        /// Of the answer, when none has begun.
        var status = HTTPResponse.Status.conflict
        let description: String
    }

    let streams: FileStreams
    let gateway: Gateway
    let hash: String
    let index: Int
    /// Its number at the session.
    let reader: UInt32
    var place: StreamFileAnswer
    private var file: TorrentFile?

    init(_ streams: FileStreams, _ gateway: Gateway, hash: String, index: Int, place: StreamFileAnswer) {
        (self.streams, self.gateway, self.hash, self.index, self.place) = (streams, gateway, hash, index, place)
        reader = streams.reader()
    }

    /// How far the file can be read from `offset` on. While the session or the shard is away: not at all, for now.
    func ready(_ offset: UInt64) async throws(ControlError) -> StreamReadyAnswer {
        do throws(ControlError) {
            return try await gateway.call(
                ControlMethods.StreamReady.self, StreamReadyParameters(hash: hash, offset: place.start + offset, end: place.start + place.length, reader: reader))
        } catch {
            guard error.code == .unavailable else { throw error }
            return StreamReadyAnswer(bytes: 0, isComing: true, state: "waiting")
        }
    }

    /// Nobody reads any more: the picker follows no longer. Also when this task was cancelled.
    func end() {
        let gateway = self.gateway, parameters = StreamReadyParameters(hash: hash, offset: place.start, end: place.start, reader: reader)
        Task { _ = try? await gateway.call(ControlMethods.StreamReady.self, parameters) }
    }

    /// Before the answer begins, so that what cannot be read is said by its status: what stands at the beginning of `range` is in the
    /// file, and its first block can be read. Returns when that is so, or when the bytes are yet to come. Throws ``Cut``.
    mutating func admit(_ range: Range<UInt64>) async throws {
        let begun = Clock.monotonic()
        while true {
            let answer = try await ready(range.lowerBound), count = min(answer.bytes, UInt64(range.count))
            guard count > 0 else {
                guard answer.isComing else { throw Cut(description: "the torrent is \(answer.state) and these bytes are not there") }
                return
            }
            if try await reading({ try $0.probe(range.lowerBound..<range.lowerBound + count) }) != nil { return }
            guard Clock.monotonic() - begun < Self.settling else { throw Cut(status: .notFound, description: "the file is not on the disk any more") }
            try await Task.sleep(for: Self.poll)
        }
    }

    /// `range` is of the file.
    mutating func send(_ range: Range<UInt64>, to writer: inout any ResponseBodyWriter) async throws {
        var at = range.lowerBound, until = at, asked = Instant.zero, progress = Clock.monotonic()
        while at < range.upperBound {
            var now = Clock.monotonic()
            if at >= until || now - asked >= Self.tell {
                let answer = try await ready(at)
                now = Clock.monotonic()
                (asked, until) = (now, min(range.upperBound, at + answer.bytes))
                if until == at, !answer.isComing { throw Cut(description: "the torrent is \(answer.state), its byte \(at) is not there") }
            }
            if at < until, let bytes = try await read(at, Int(min(Self.chunk, until - at))) {
                at += UInt64(bytes.readableBytes)
                try await writer.write(bytes)
                progress = Clock.monotonic()
                continue
            }
            until = at
            guard now - progress < streams.patience else { throw Cut(description: "nothing came for \(Int(streams.patience.seconds)) s at byte \(at)") }
            try await Task.sleep(for: Self.poll)
        }
    }

    private mutating func read(_ offset: UInt64, _ count: Int) async throws -> ByteBuffer? { try await reading { try $0.read(offset, count) } }

    /// nil: the file is not there just now; it is on its way to another folder or has another name.
    private mutating func reading<T: Sendable>(_ body: @escaping @Sendable (TorrentFile) throws -> T) async throws -> T? {
        do {
            let place = self.place, known = file
            let (opened, result) = try await streams.reads.run {
                let file = try known ?? TorrentFile(place)
                return (file, try body(file))
            }
            file = opened
            return result
        } catch TorrentFile.Fault.gone {
            file = nil
            place = try await gateway.call(ControlMethods.StreamFile.self, StreamFileParameters(hash: hash, file: index))
            return nil
        } catch TorrentFile.Fault.short(let length) {
            throw Cut(description: "the file was cut short: it has \(length) bytes on the disk, of \(place.length)")
        } catch TorrentFile.Fault.system(let code) {
            // A link, or no file at all, in its place is somebody's doing; the rest is the disk's.
            let isPut = [ELOOP, EXDEV, EINVAL].contains(code)
            throw Cut(status: isPut ? .conflict : .internalServerError, description: "the file cannot be read: \(Errno(code))")
        }
    }
}

import Primitives

/// One web seed: what was asked of it, the HTTP request that brings it, and how it behaved. Pure.
///
/// The swarm asks it for blocks as it asks any peer. Blocks that follow one another are a run, fetched with one request a
/// file; while it comes in, further blocks wait, so that a fast server is asked for ever longer runs.
///
///     idle ─asked→ fetching ─last byte→ idle        temporary failure → resting (back-off, doubled up to 10 min)
///                                                   its own fault → gone for this run of the worker
package struct WebSeedCore: Sendable {
    package enum Kind: UInt8, Hashable, Sendable {
        /// BEP 19: the torrent's files, by range requests.
        case getRight = 0
        /// BEP 17: a script that knows pieces.
        case hoffman
    }
    package struct Block: Hashable, Sendable {
        package let piece: UInt32
        package let begin: UInt32
        package let length: UInt32
        package init(piece: UInt32, begin: UInt32, length: UInt32) { (self.piece, self.begin, self.length) = (piece, begin, length) }
    }
    package enum Step: Hashable, Sendable {
        /// `first ... last` of the URL's file; nil for a URL that names the range itself. Exactly `length` bytes are right;
        /// `isWhole`: they are all that the file has, so an answer without a range is right as well.
        case fetch(url: String, range: ClosedRange<UInt64>?, length: UInt64, isWhole: Bool)
        /// A pad file (BEP 47): so many zeros, without a request.
        case zeros(UInt64)
    }
    package enum Fault: Hashable, Sendable {
        /// The server, the network: tried again after a while.
        case temporary(String, retryAfter: UInt32?)
        /// What it serves is not the torrent: 404, 416, a wrong length, no ranges.
        case permanent(String)
    }

    /// A run's blocks: 8 MiB, as many as the swarm asks of a peer.
    package static let runLimit = 512

    package let kind: Kind
    package let url: String
    package let layout: WebSeedLayout
    private var waiting: [Block] = []
    private var run: [Block] = []
    /// The block of the run that is coming in, and how much of it came.
    private var at = 0
    private var got: UInt32 = 0
    /// Bytes that the request under way has still to bring.
    private var due: UInt64 = 0
    package private(set) var failures = 0
    package private(set) var isGone = false
    package private(set) var restUntil = Instant.zero
    /// Why it is gone or rests.
    package private(set) var trouble = ""

    package init(kind: Kind, url: String, layout: WebSeedLayout) { (self.kind, self.url, self.layout) = (kind, url, layout) }

    package var isFetching: Bool { !run.isEmpty }
    package var hasWork: Bool { !waiting.isEmpty || !run.isEmpty }

    package mutating func asked(_ block: Block) { waiting.append(block) }
    /// A block that is coming in already goes on: its bytes stand between others.
    package mutating func cancelled(_ block: Block) { if let i = waiting.firstIndex(of: block) { waiting.remove(at: i) } }

    /// What to do now; nil: nothing is asked for. Needs the last request to be over.
    package mutating func next() -> Step? {
        precondition(due == 0, "a request is under way")
        if run.isEmpty { beginRun() }
        guard at < run.count else { return nil }
        let block = run[at]
        let left = run[at...].reduce(0) { $0 + UInt64($1.length) } - UInt64(got)
        if kind == .hoffman {
            let last = run[run.count - 1]
            due = left
            return .fetch(
                url: layout.url(url, piece: block.piece, first: block.begin + got, last: last.begin + last.length - 1), range: nil, length: left, isWhole: true)
        }
        let offset = UInt64(block.piece) * layout.pieceLength + UInt64(block.begin) + UInt64(got)
        let span = layout.span(at: offset, length: left), file = layout.files[span.file]
        due = span.length
        if file.isPad { return .zeros(span.length) }
        return .fetch(
            url: layout.url(url, file: span.file), range: span.offset...(span.offset + span.length - 1), length: span.length, isWhole: span.length == file.length)
    }

    private mutating func beginRun() {
        (at, got) = (0, 0)
        var end: UInt64?, piece: UInt32?
        while let block = waiting.first, run.count < Self.runLimit {
            let begin = UInt64(block.piece) * layout.pieceLength + UInt64(block.begin)
            if let end, begin != end { break }
            if kind == .hoffman, let piece, piece != block.piece { break }
            (end, piece) = (begin + UInt64(block.length), block.piece)
            run.append(waiting.removeFirst())
        }
    }

    /// The block that the next byte belongs to, and how much of it is there; nil: no more bytes are right.
    package var current: (block: Block, received: UInt32)? { due > 0 && at < run.count ? (run[at], got) : nil }

    /// What the request under way has still to bring.
    package var dueBytes: UInt64 { due }

    /// `count` bytes of the current block came, at most as many as it lacks and as are due. True: it is whole.
    package mutating func received(_ count: Int) -> Bool {
        precondition(UInt64(count) <= due && got + UInt32(count) <= run[at].length)
        due -= UInt64(count)
        got += UInt32(count)
        guard got == run[at].length else { return false }
        got = 0
        at += 1
        if at == run.count, due == 0 { run.removeAll(keepingCapacity: true) }
        return true
    }

    /// The request is over, all of it here or not.
    package mutating func ended(_ fault: Fault?, now: Instant) {
        var fault = fault
        if fault == nil, due > 0 { fault = .permanent("the server sent fewer bytes than were asked for") }
        due = 0
        guard let fault else {
            failures = 0
            trouble = ""
            return
        }
        forget()
        switch fault {
        case .permanent(let why):
            isGone = true
            trouble = why
        case .temporary(let why, let retryAfter):
            failures = min(failures + 1, 20)
            trouble = why
            let wait = max(TimeSpan.seconds(2 << min(failures, 9)), retryAfter.map { .seconds(Int(min($0, 3600))) } ?? .zero)
            restUntil = now + min(wait, .minutes(60))
        }
    }

    /// Its host is at rest for other seeds' sake.
    package mutating func rest(until: Instant, _ why: String) {
        forget()
        restUntil = until
        trouble = why
    }
    /// Its bytes were not the torrent's.
    package mutating func ban(_ why: String) {
        forget()
        isGone = true
        trouble = why
    }
    /// The swarm let go of it: nothing is asked for any more.
    package mutating func forget() {
        waiting.removeAll()
        run.removeAll()
        (at, got, due) = (0, 0, 0)
    }
}

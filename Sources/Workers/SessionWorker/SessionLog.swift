import Control
import Glibc
import Observe
import Synchronization

/// The session worker's log: to descriptor 2 as everybody's, and the last lines kept for front ends. Any thread may speak.
final class SessionLog: Sendable {
    /// Lines kept of each of the two logs. With lines of 200 bytes: 1 MB together.
    static let limit = 2500

    private struct Ring {
        var lines: [LogRow] = []
        /// The oldest line's place once the ring is full.
        var head = 0
        var nextID: UInt64

        mutating func add(_ line: LogRow) {
            var line = line
            line.id = nextID
            nextID += 1
            if lines.count < SessionLog.limit {
                lines.append(line)
            } else {
                lines[head] = line
                head = (head + 1) % SessionLog.limit
            }
        }
        func after(_ id: UInt64, limit: Int) -> [LogRow] { Array((lines[head...] + lines[..<head]).drop { $0.id <= id }.suffix(limit)) }
    }
    private let out: Log
    private let main: Mutex<Ring>
    private let peers: Mutex<Ring>

    init(_ name: String) {
        out = Log(name)
        // Ids begin at the time, so that they rise over restarts as well: no worker writes a line a second for its life.
        let first = UInt64(max(1, time(nil)))
        main = Mutex(Ring(nextID: first))
        peers = Mutex(Ring(nextID: first))
    }

    func info(_ text: String) { add(.info, "info", text) }
    func warning(_ text: String) { add(.warning, "warning", text) }
    func error(_ text: String) { add(.error, "error", text) }
    private func add(_ level: Log.Level, _ word: String, _ text: String) {
        out(level, text)
        let line = LogRow(id: 0, time: UInt64(max(0, time(nil))), level: word, text: Text.printable(text, limit: 1000))
        main.withLock { $0.add(line) }
    }
    /// A peer was shut out: "banned" for what it did, "blocked" by a filter.
    func peer(_ address: String, _ level: String, _ reason: String) {
        let line = LogRow(id: 0, time: UInt64(max(0, time(nil))), level: level, text: reason, address: address)
        peers.withLock { $0.add(line) }
    }

    /// Oldest first.
    func lines(_ p: LogParameters) -> [LogRow] {
        let after = p.after ?? 0, limit = max(0, p.limit ?? Self.limit)
        if p.peers == true { return peers.withLock { $0.after(after, limit: limit) } }
        return main.withLock { $0.after(after, limit: limit) }
    }
}

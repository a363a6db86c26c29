/// Lets device operations of three classes through, so that each gets its share when all want the disk and any may
/// have the whole of it when alone. Bounds the device's queue.
///
/// Start-time fair queueing: each class has a virtual time that grows by bytes / share; the waiting class with the
/// least goes next. A class that was idle starts at the others' level, it saves up nothing.
package struct Admission {
    package enum Class: Int, CaseIterable, Sendable {
        /// Reads for peers: someone waits for them.
        case read = 0
        /// Verified pieces on their way to the disk: they hold arena memory.
        case write
        /// Rechecks: nobody waits, and they would take all there is.
        case check
    }
    /// Shares under contention.
    package static let shares = [4, 4, 1]

    package let requestLimit: Int
    package let byteLimit: Int
    package private(set) var requestsInFlight = 0
    package private(set) var bytesInFlight = 0
    private var waiting: [Queue] = [Queue(), Queue(), Queue()]
    private var virtualTime = [0, 0, 0]

    /// RELIABILITY: a slow disk holds at most 512 requests or 64 MiB of one device.
    package init(requestLimit: Int = 512, byteLimit: Int = 64 << 20) {
        self.requestLimit = requestLimit
        self.byteLimit = byteLimit
    }

    package struct Item: Equatable, Sendable {
        package let job: JobID
        package let bytes: Int
    }
    /// First in, first out; the head moves, and the array is cut when half of it is behind.
    private struct Queue {
        var items: [Item] = [], head = 0
        var isEmpty: Bool { head == items.count }
        var count: Int { items.count - head }
        mutating func append(_ item: Item) { items.append(item) }
        mutating func removeFirst() -> Item {
            defer {
                head += 1
                if head == items.count { items.removeAll(keepingCapacity: true); head = 0 } else if head > 64, head * 2 > items.count { items.removeFirst(head); head = 0 }
            }
            return items[head]
        }
    }

    package func waitingCount(_ c: Class) -> Int { waiting[c.rawValue].count }
    package var depth: Int { requestsInFlight + waiting[0].count + waiting[1].count + waiting[2].count }

    package mutating func enqueue(_ c: Class, _ job: JobID, bytes: Int) {
        if waiting[c.rawValue].isEmpty {
            let floor = Class.allCases.filter { !waiting[$0.rawValue].isEmpty }.map { virtualTime[$0.rawValue] }.min()
            virtualTime[c.rawValue] = max(virtualTime[c.rawValue], floor ?? virtualTime.max()!)
        }
        waiting[c.rawValue].append(Item(job: job, bytes: bytes))
    }

    /// The next operation that may start, or nil. One larger than the whole limit goes when nothing else is in flight.
    package mutating func next() -> (Class, JobID)? {
        var best = -1
        for c in 0..<3 where !waiting[c].isEmpty && (best < 0 || virtualTime[c] < virtualTime[best]) { best = c }
        guard best >= 0 else { return nil }
        let bytes = waiting[best].items[waiting[best].head].bytes
        if requestsInFlight > 0, requestsInFlight >= requestLimit || bytesInFlight + bytes > byteLimit { return nil }
        let item = waiting[best].removeFirst()
        virtualTime[best] += max(item.bytes, 4096) / Self.shares[best]
        requestsInFlight += 1
        bytesInFlight += item.bytes
        return (Class(rawValue: best)!, item.job)
    }

    package mutating func finished(bytes: Int) {
        precondition(requestsInFlight > 0 && bytesInFlight >= bytes, "an operation ended that never began")
        requestsInFlight -= 1
        bytesInFlight -= bytes
    }
}

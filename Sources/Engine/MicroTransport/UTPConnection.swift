import Primitives
import UTPWire

/// One packet that was sent and is not acknowledged with all before it.
struct SentPacket {
    /// Its payload in the stream.
    var offset: UInt64
    var sentAt: Instant
    var length: UInt16
    var transmissions: UInt8
    var flags: Flags

    struct Flags: OptionSet {
        let rawValue: UInt8
        /// Selectively acknowledged.
        static let arrived = Flags(rawValue: 1 << 0)
        /// Taken for lost: to be sent again, and not counted as in flight.
        static let lost = Flags(rawValue: 1 << 1)
        static let probe = Flags(rawValue: 1 << 2)
        static let fin = Flags(rawValue: 1 << 3)
        static let syn = Flags(rawValue: 1 << 4)
    }
}

/// One connection: a row of ``MicroTransport``.
///
/// Invariants:
/// - `acked < outstanding packets <= next - 1`: their records stand in `sent` at `sequence & (sentCapacity - 1)`;
/// - `inFlight` is the payload of records that are neither arrived nor lost; `lostCount` counts the lost ones;
/// - the reorder ring holds packets `received + 2 ...`; `reorderCount` of them.
struct UTPConnection {
    /// ```
    /// free → connecting → open → closing → free
    ///          (SYN sent)          (our FIN sent, the stream's bytes are gone)
    /// ```
    /// An incoming connection begins at open, when the packet after its SYN proved the sender's address.
    enum Stage: UInt8 { case free, connecting, open, closing }

    var stage = Stage.free
    var generation: UInt32 = 0
    var endpoint = Endpoint(high: 0, low: 0, port: 0)
    /// What their packets name, and what ours do.
    var receiveID: UInt16 = 0
    var sendID: UInt16 = 0

    // Sending
    var next: UInt16 = 1
    var acked: UInt16 = 0
    /// Bytes that the owner supplied, that went into packets, and up to which all are acknowledged.
    var supplied: UInt64 = 0
    var packed: UInt64 = 0
    var released: UInt64 = 0
    var sent: UnsafeMutablePointer<SentPacket>?
    var sentCapacity = 0
    var inFlight = 0
    var lostCount = 0
    var peerWindow: UInt32 = 0
    var congestion = Ledbat(packet: 1, limit: 1)
    var delays = DelayHistory()
    /// What we measured of their packets: only for the drift between the clocks.
    var theirDelays = DelayHistory()
    var roundTrip = RoundTrip()
    var path = PathMTU(ipv4: true)
    var duplicateAcks = 0
    /// The window was cut for losses up to here.
    var recoveryEnd: UInt16 = 0
    var inRecovery = false
    var retransmitAt = Instant.never
    /// While the other side takes nothing: one packet then.
    var windowProbeAt = Instant.never
    var windowProbeDue = false
    /// A packet smaller than a full one is under way: the next small one waits for company.
    var smallUnderWay = false
    var smallSequence: UInt16 = 0
    var finSequence: UInt16 = 0
    var finSent = false
    /// The window was full at the last look: growth is earned.
    var wasFull = false

    // Receiving
    /// Last sequence that came with all before it.
    var received: UInt16 = 0
    /// Their last timestamp against our clock.
    var lastDelay: UInt32 = 0
    var reorder: UnsafeMutablePointer<Int32>?
    var reorderCount = 0
    var reorderBytes = 0
    /// Farthest sequence in the ring, for the length of selective acknowledgements.
    var farthest: UInt16 = 0
    var endSequence: UInt16 = 0
    var hasEnd = false
    var endDelivered = false
    var unacknowledged = 0
    var ackAt = Instant.never
    var ackNow = false

    var lastHeard = Instant.zero
    var lastSaid = Instant.zero
    var closeAt = Instant.never
    /// Stands in the queue of rows that have something to send; has an entry in the heap for this time.
    var isQueued = false
    var armedAt = Instant.never

    /// Places of the reorder ring: a window of 1 MiB in packets of 1,024 bytes.
    static let reorderCapacity = 1024
    /// Packets under way: 16 MiB in packets of 1,400; less than half of the sequence circle.
    static let sentLimit = 12_000

    var outstanding: Int { sequenceDistance(from: acked, to: next &- 1) }
    /// Payload of a full packet.
    var packet: Int { path.known - UTPHeader.byteCount }

    /// The record of an outstanding sequence.
    @inline(__always) func record(_ sequence: UInt16) -> UnsafeMutablePointer<SentPacket> {
        sent! + Int(sequence) & (sentCapacity - 1)
    }

    /// Makes room for one more record. False at the limit.
    mutating func reserveRecord() -> Bool {
        let count = outstanding
        guard count >= sentCapacity else { return true }
        guard count < Self.sentLimit else { return false }
        let capacity = max(16, sentCapacity * 2)
        let grown = UnsafeMutablePointer<SentPacket>.allocate(capacity: capacity)
        for i in 0..<count {
            let sequence = acked &+ 1 &+ UInt16(i)
            (grown + Int(sequence) & (capacity - 1)).initialize(to: record(sequence).pointee)
        }
        sent?.deallocate()
        (sent, sentCapacity) = (grown, capacity)
        return true
    }

    mutating func freeMemory() {
        sent?.deallocate()
        reorder?.deallocate()
        (sent, reorder, sentCapacity) = (nil, nil, 0)
    }
}

/// An incoming SYN that was answered: all that is kept until the next packet from there proves that its sender receives at that
/// address. 64 bytes.
struct HalfOpen {
    var endpoint: Endpoint
    var receiveID: UInt16
    var next: UInt16
    var received: UInt16
    var delay: UInt32
    var window: UInt32
    var since: Instant
}

import ByteCodec
import Glibc
import IPC
import LinuxIO
import Primitives

/// One end of a SOCK_STREAM socketpair to another worker: frames in, frames out, one read and one write under way.
///
/// Invariants:
/// - `sending` holds what the kernel was asked to take and is not touched until the write completes;
/// - the descriptor is closed only once no operation of this link is under way.
package final class EdgeLink {
    /// Bound of what one edge may hold unsent: 64 MiB is a thousand times what a turn produces; more means that the
    /// other end has stopped reading and that our sender did not look.
    package static let queueLimit = 64 << 20
    /// A buffer that a burst has grown beyond this is given back after the burst.
    static let keptCapacity = 4 << 20

    package let edge: Edge
    let fd: Int32
    /// Place in the table and its use count: the token of this link's operations.
    let slot: UInt32
    let serial: UInt32

    var reader = FrameReader()
    private var pending = ByteWriter(capacity: 64 << 10)
    private var sending = ByteWriter(capacity: 64 << 10)
    private var sentOffset = 0
    private(set) var isOpen = true
    var isReading = false
    private(set) var isWriting = false

    init(edge: Edge, fd: Int32, slot: UInt32, serial: UInt32) {
        (self.edge, self.fd, self.slot, self.serial) = (edge, fd, slot, serial)
    }

    package var queued: Int { pending.count + sending.count - sentOffset }
    var isIdle: Bool { !isReading && !isWriting }
    var isFlushed: Bool { !isOpen || (pending.count == 0 && !isWriting) }

    package func append<M: IPCMessage>(_ message: borrowing M, generation: Generation, correlation: UInt64) {
        guard isOpen else { return }
        message.encode(into: &pending, generation: generation, correlation: correlation)
        precondition(queued <= Self.queueLimit, "queue to a sibling over its bound")
    }

    func armReceive(_ loop: Loop) {
        guard isOpen, !isReading else { return }
        let room = reader.free()
        isReading = true
        loop.receive(fd, room.baseAddress!, room.count, token: token(WorkerKit.Kind.edgeReceive))
    }

    /// Hands what was appended this turn to the kernel, unless a write is under way: then its end does.
    func flush(_ loop: Loop) {
        guard isOpen, !isWriting, pending.count > 0 else { return }
        swap(&pending, &sending)
        sentOffset = 0
        write(loop)
    }

    private func write(_ loop: Loop) {
        isWriting = true
        let rest = sending.bytes
        loop.send(fd, rest.baseAddress! + sentOffset, rest.count - sentOffset, token: token(WorkerKit.Kind.edgeSend))
    }

    /// False when the other end is gone.
    func wrote(_ result: Int32, _ loop: Loop) -> Bool {
        isWriting = false
        guard isOpen else { return true }
        guard result >= 0 || result == -EINTR || result == -EAGAIN else { return false }
        sentOffset += max(0, Int(result))
        if sentOffset < sending.count {
            write(loop)
            return true
        }
        sentOffset = 0
        if sending.capacity > Self.keptCapacity { sending = ByteWriter(capacity: 64 << 10) } else { sending.removeAll() }
        flush(loop)
        return true
    }

    /// Ends what is under way; the owner closes the descriptor when ``isIdle``.
    func shut(_ loop: Loop) {
        guard isOpen else { return }
        isOpen = false
        shutdown(fd, Int32(SHUT_RDWR))
        if isReading { loop.cancel(token(WorkerKit.Kind.edgeReceive)) }
        if isWriting { loop.cancel(token(WorkerKit.Kind.edgeSend)) }
    }

    private func token(_ kind: UInt8) -> Token { Token(kind: kind, index: slot, generation: serial) }
}

/// The links of a worker, found by the other end's name or by their slot. Closed links stay in their slot until
/// their last operation completed.
struct EdgeTable {
    /// Shards and disk workers are at most 64 each (network.peer_shards, disk.workers).
    static let indexLimit = 64
    private var slots: [EdgeLink?] = []
    /// Slot of the live link of each (role, index); -1 for none.
    private var live = [Int32](repeating: -1, count: (Int(WorkerRole.api.rawValue) + 1) * indexLimit)
    private var serial: UInt32 = 0

    var count: Int { slots.count }

    func find(_ role: WorkerRole, _ index: UInt16) -> EdgeLink? {
        guard Int(index) < Self.indexLimit else { return nil }
        let slot = live[Int(role.rawValue) * Self.indexLimit + Int(index)]
        return slot < 0 ? nil : slots[Int(slot)]
    }

    func all(_ role: WorkerRole) -> [Edge] {
        (0..<Self.indexLimit).compactMap { find(role, UInt16($0))?.edge }
    }

    /// nil for a token of a link that left its slot.
    func at(_ token: Token) -> EdgeLink? {
        guard Int(token.index) < slots.count, let link = slots[Int(token.index)], link.serial == token.generation else { return nil }
        return link
    }

    func at(slot: Int) -> EdgeLink? { slots[slot] }

    /// Needs an index under ``indexLimit`` and no live link of that name.
    mutating func add(_ edge: Edge, fd: Int32) -> EdgeLink {
        precondition(find(edge.role, edge.index) == nil)
        let slot = slots.firstIndex { $0 == nil } ?? slots.count
        if slot == slots.count { slots.append(nil) }
        serial = (serial + 1) & 0xFF_FFFF
        let link = EdgeLink(edge: edge, fd: fd, slot: UInt32(slot), serial: serial)
        slots[slot] = link
        live[Int(edge.role.rawValue) * Self.indexLimit + Int(edge.index)] = Int32(slot)
        return link
    }

    /// No longer found by name.
    mutating func unlist(_ link: EdgeLink) {
        let i = Int(link.edge.role.rawValue) * Self.indexLimit + Int(link.edge.index)
        if live[i] == Int32(link.slot) { live[i] = -1 }
    }

    func holds(_ link: EdgeLink) -> Bool { slots[Int(link.slot)] === link }

    mutating func remove(_ link: EdgeLink) { slots[Int(link.slot)] = nil }
}

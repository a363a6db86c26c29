import ByteCodec
import Glibc
import IPC
import LinuxIO
import Primitives

/// One end of a control socket: SOCK_SEQPACKET, one frame a packet, descriptors beside it. Used by both ends.
/// Never blocks: what the kernel does not take waits here, within a bound.
package final class ControlLink {
    /// Bytes of one packet (protocol/ipc.md).
    package static let packetLimit = 64 << 10
    /// Packets that may wait. A worker is sent about a hundred at its start and one a second later on; one that is
    /// stopped for minutes does not make the supervisor grow.
    package static let queueLimit = 512

    package enum Received {
        /// Valid until the next ``receive()``.
        case frame(Frame, ReceivedDescriptors)
        case nothing
        case ended
        case broken(String)
    }

    package let fd: Int32
    private let packet = Packet(capacity: ControlLink.packetLimit)
    private var writer = ByteWriter(capacity: 4096)
    private var waiting: [(bytes: [UInt8], descriptors: [Int32])] = []
    private var isArmed = false
    /// The other end is gone, or does not read.
    package private(set) var failure: String?

    package init(fd: Int32) { self.fd = fd }
    deinit {
        for packet in waiting { packet.descriptors.forEach { Descriptor.close($0) } }
    }

    /// The next packet. Descriptors beyond what its type carries are closed here.
    package func receive() -> Received {
        do throws(Errno) {
            guard let count = try Passing.receive(fd, packet) else { return .nothing }
            let descriptors = ReceivedDescriptors(packet.takeDescriptors())
            guard count > 0 else { return .ended }
            do throws(DecodeError) {
                let frame = try Frame(packet: UnsafeRawBufferPointer(rebasing: packet.bytes[0..<count]))
                descriptors.keep(Self.descriptorCount(frame.type))
                return .frame(frame, descriptors)
            } catch {
                return .broken("\(error)")
            }
        } catch {
            return error == .connectionReset ? .ended : .broken("\(error)")
        }
    }

    private static func descriptorCount(_ type: MessageType?) -> Int {
        switch type {
        case .openEdge, .giveArena, .giveListener: 1
        default: 0
        }
    }

    /// `descriptors` stay the caller's. A `droppable` message is left out when others wait already.
    package func send<M: IPCMessage>(_ message: M, generation: Generation, descriptors: [Int32] = [], droppable: Bool = false) {
        guard failure == nil, !(droppable && !waiting.isEmpty) else { return }
        writer.removeAll()
        message.encode(into: &writer, generation: generation)
        precondition(writer.count <= Self.packetLimit, "control frame over its bound")
        if waiting.isEmpty {
            switch attempt(writer.bytes, descriptors) {
            case .sent, .failed: return
            case .wouldBlock: if droppable { return }
            }
        }
        guard waiting.count < Self.queueLimit else {
            failure = "does not read its control socket"
            return
        }
        waiting.append((writer.array, descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 0) }))
    }

    private enum Attempt { case sent, wouldBlock, failed }

    private func attempt(_ bytes: UnsafeRawBufferPointer, _ descriptors: [Int32]) -> Attempt {
        do throws(Errno) {
            try Passing.send(fd, bytes, descriptors: descriptors)
            return .sent
        } catch {
            if error == .tryAgain || error.code == ENOBUFS { return .wouldBlock }
            failure = "\(error)"
            return .failed
        }
    }

    /// Packets wait for the socket to become writable.
    package var hasWaiting: Bool { !waiting.isEmpty && failure == nil }

    /// Asks for ``writable()`` when packets wait.
    package func armWritable(_ loop: Loop, token: Token) {
        guard !waiting.isEmpty, !isArmed, failure == nil else { return }
        isArmed = true
        loop.poll(fd, events: Int16(POLLOUT), multishot: false, token: token)
    }

    package func writable() {
        isArmed = false
        while let packet = waiting.first {
            switch packet.bytes.withUnsafeBytes({ attempt($0, packet.descriptors) }) {
            case .wouldBlock: return
            case .sent, .failed:
                packet.descriptors.forEach { Descriptor.close($0) }
                waiting.removeFirst()
            }
        }
    }
}

/// Descriptors that came beside a frame. Whatever is not taken is closed.
package final class ReceivedDescriptors {
    private var raw: [Int32]

    init(_ raw: [Int32]) { self.raw = raw }
    deinit { keep(0) }

    package var count: Int { raw.count }

    /// The next one is the caller's.
    package func takeOne() throws(DecodeError) -> Int32 {
        guard !raw.isEmpty else { throw .badValue(field: "descriptors", value: 0) }
        return raw.removeFirst()
    }

    func keep(_ count: Int) {
        while raw.count > count { Descriptor.close(raw.removeLast()) }
    }
}

import HTTPTypes
import HummingbirdCore
import LinuxIO
import NIOCore
import Primitives
import Synchronization

/// A long answer: its writer is cancelled when the client is gone, and the connection closed when the client takes nothing of it.
enum StreamedBody {
    /// Used by one task alone.
    private struct Sink: @unchecked Sendable { let writer: any ResponseBodyWriter }

    static func send(
        _ write: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void, to body: any ResponseBodyWriter, of channel: any Channel, patience: TimeSpan
    ) async throws {
        let input = try await channel.eventLoop.submit { try channel.pipeline.syncOperations.handler(type: InputWatch.self) }.get()
        let watch = WriteWatch(limit: patience)
        let sink = Sink(writer: body)
        let task = Task {
            var writer: any ResponseBodyWriter = WatchedWriter(inner: sink.writer, watch: watch)
            try await write(&writer)
        }
        let stalls = Task { try await watch.run(channel) }
        input.atEnd { task.cancel() }
        defer {
            input.atEnd(nil)
            stalls.cancel()
        }
        try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}

/// Notices that the client has ended its side: it waits for no answer any more.
final class InputWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = Any
    private let state = Mutex<(isEnded: Bool, action: (@Sendable () -> Void)?)>((false, nil))

    /// `action` is called once when the input ends, at once when it has; nil takes it back.
    func atEnd(_ action: (@Sendable () -> Void)?) {
        let isEnded = state.withLock { s in
            s.action = s.isEnded ? nil : action
            return s.isEnded
        }
        if isEnded { action?() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { end() }
        context.fireUserInboundEventTriggered(event)
    }
    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        let action = state.withLock { s in
            s.isEnded = true
            defer { s.action = nil }
            return s.action
        }
        action?()
    }
}

/// Closes the connection of a client that takes nothing of a long answer: a write that lasts ends neither by itself nor with TCP.
final class WriteWatch: Sendable {
    private let limit: TimeSpan
    /// When the write that is under way began.
    private let since = Mutex<Instant?>(nil)

    init(limit: TimeSpan) { self.limit = limit }
    func begin() { since.withLock { $0 = Clock.monotonic() } }
    func end() { since.withLock { $0 = nil } }

    /// Until it is cancelled.
    func run(_ channel: any Channel) async throws {
        while true {
            try await Task.sleep(for: .milliseconds(500))
            if let since = since.withLock({ $0 }), Clock.monotonic() - since >= limit { return channel.close(promise: nil) }
        }
    }
}

struct WatchedWriter: ResponseBodyWriter {
    var inner: any ResponseBodyWriter
    let watch: WriteWatch

    mutating func write(_ buffer: ByteBuffer) async throws {
        watch.begin()
        defer { watch.end() }
        try await inner.write(buffer)
    }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws { try await inner.finish(trailingHeaders) }
}

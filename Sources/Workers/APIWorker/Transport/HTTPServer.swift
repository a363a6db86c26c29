import Glibc
import HTTPTypes
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// Serves HTTP on a listening socket that the supervisor bound and keeps: connections that come while this worker is
/// away wait in the kernel's backlog.
package final class HTTPServer: Sendable {
    /// Connections served at once; the accept queue holds what is beyond.
    package static let connectionLimit = 2048
    /// An idle keep-alive connection is closed after this.
    static let idleTimeout = TimeAmount.seconds(120)

    package typealias Responder = @Sendable (Request, consuming ResponseWriter, any Channel) async throws -> Void

    private let responder: Responder
    private let logger: Logger
    private let tls: TLSConfiguration?

    package init(tls: TLSConfiguration?, responder: @escaping Responder) {
        self.tls = tls
        self.responder = responder
        var logger = Logger(label: "http")
        // Clients that hang up are no news.
        logger.logLevel = .critical
        self.logger = logger
    }

    /// Until the socket fails or the task is cancelled. The descriptor is this call's to close.
    package func serve(_ fd: Int32) async throws {
        let plain = HTTP1Channel(responder: responder, configuration: .init(additionalChannelHandlers: [InputWatch()], idleTimeout: Self.idleTimeout))
        if let tls { try await serve(fd, TLSChannel(plain, tlsConfiguration: tls)) } else { try await serve(fd, plain) }
    }

    private func serve<C: ServerChildChannel>(_ fd: Int32, _ child: C) async throws {
        let logger = self.logger
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .childChannelOption(ChannelOptions.socketOption(.tcp_nodelay), value: 1)
            .bind(fd, cleanupExistingSocketFile: false, serverBackPressureStrategy: nil) { channel in
                child.setup(channel: channel, logger: logger)
            }
        await withDiscardingTaskGroup { group in
            do {
                try await server.executeThenClose { inbound in
                    for try await connection in inbound {
                        group.addTask { await child.handle(value: connection, logger: logger) }
                    }
                }
            } catch {
                logger.error("accepting ended: \(error)")
            }
        }
    }
}

import Control
import Foundation
import HTTPTypes
import HummingbirdCore
import LinuxIO
import NIOCore
import NIOSSL
import Observe
import Primitives
import Settings

/// From a request to an answer: the checks that all APIs share, then the API that the path names.
///
///     /api/v2/…            qBittorrent          /healthz, /readyz   for watchdogs
///     /api/v1/…            our own              /metrics             Prometheus
///     /transmission/rpc    Transmission         everything else      the web page
final class Service: Sendable {
    private let mirror: Mirror
    private let gatekeeper: Gatekeeper
    private let qbittorrent: QBittorrentAPI
    private let transmission: TransmissionRPC
    private let native: NativeAPI
    private let streaming: FileStreams
    private let freeSpace: FreeSpace
    private let pages: StaticFiles
    private let budget = UploadBudget()
    private let server: HTTPServer
    private let isTLS: Bool
    private let log: Log
    private let handle: Handle

    /// The server's closure, which is made before the service is.
    private final class Handle: @unchecked Sendable { weak var service: Service? }

    init(settings: Settings, stateDirectory: String, mirror: Mirror, gateway: Gateway, log: Log) throws {
        self.mirror = mirror
        self.log = log
        let files = try SecretFiles(stateDirectory: stateDirectory)
        gatekeeper = try Gatekeeper(settings: settings, files: files, log: log)
        let space = FreeSpace(path: { mirror.read { $0.options["disk.download_dir"] ?? "" } })
        let folders = AllowedFolders(mirror: mirror, roots: settings.list("api.allowed_roots"))
        let creator = TorrentCreator(stateDirectory: stateDirectory, log: log) { task, bytes in
            Task {
                do throws(ControlError) { try await QBittorrentAPI.seed(task, bytes, gateway: gateway) } catch {
                    log(.warning, "the torrent of \(Text.printable(task.parameters.source, limit: 200)) is made and not added: \(error.message)")
                }
            }
        }
        qbittorrent = QBittorrentAPI(mirror: mirror, gateway: gateway, gatekeeper: gatekeeper, freeSpace: space, folders: folders, creator: creator, log: log)
        transmission = TransmissionRPC(mirror: mirror, gateway: gateway, gatekeeper: gatekeeper, freeSpace: space, folders: folders, log: log)
        streaming = FileStreams(patience: settings.seconds("api.stream_timeout"), log: log)
        native = NativeAPI(
            mirror: mirror, gateway: gateway, gatekeeper: gatekeeper, freeSpace: space, folders: folders, streaming: streaming, tokens: StreamTokens(files: files))
        freeSpace = space
        let alternative = settings.string("api.alternative_ui")
        pages = try StaticFiles(folder: alternative.isEmpty ? StaticFiles.builtIn() : alternative, isAlternative: !alternative.isEmpty)
        let tls = try Self.tls(settings)
        isTLS = tls != nil
        let handle = Handle()
        self.handle = handle
        server = HTTPServer(tls: tls) { request, writer, channel in
            guard let service = handle.service else { return try await writer.writeResponse(HTTPResponse(status: .serviceUnavailable)) }
            try await service.respond(request, writer, channel)
        }
        handle.service = self
    }

    private static func tls(_ settings: Settings) throws -> TLSConfiguration? {
        let certificate = settings.string("api.tls_certificate"), key = settings.string("api.tls_key")
        guard certificate.isEmpty == key.isEmpty else { throw SecretFiles.Failure(description: "api.tls_certificate and api.tls_key need each other") }
        guard !certificate.isEmpty else { return nil }
        let chain = try NIOSSLCertificate.fromPEMFile(certificate).map { NIOSSLCertificateSource.certificate($0) }
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        return configuration
    }

    /// Until the process ends. The descriptor is the server's.
    func serve(_ fd: Int32, _ endpoint: Endpoint) {
        let server = self.server, log = self.log
        Task {
            do { try await server.serve(fd) } catch { log(.error, "HTTP on \(endpoint): \(error)") }
        }
    }

    /// Nothing of ours has to be finished: clients ask again.
    func stop() {}

    // MARK: a request

    private func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        var reply: Reply
        let authority = request.head.authority
        var exchange = Self.exchange(request)
        let remote = Self.endpoint(channel)
        (exchange.address, exchange.isSecure) = gatekeeper.resolve(remote, isSecure: isTLS, request.headers)
        exchange.authority = gatekeeper.authority(exchange, authority, remote: remote)
        do {
            reply = try await answer(request, &exchange, authority: authority, remote: remote)
        } catch let refusal as Refusal {
            reply = .text(refusal.text, refusal.status)
        } catch let error as ControlError {
            let refusal = QBittorrentAPI.refusal(error)
            reply = .text(refusal.text, refusal.status)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            log(.error, "\(exchange.method) \(Text.printable(exchange.path, limit: 200)): \(error)")
            reply = .text("the request failed", .internalServerError)
        }
        Self.harden(&reply, isAlternative: pages.isAlternative, isSecure: exchange.isSecure)
        switch reply.body {
        case .bytes(let bytes):
            var response = Response(status: reply.status, headers: reply.headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
            // A 304 has the length of what it stands for, or none.
            if reply.status == .notModified { response.headers[.contentLength] = nil }
            if exchange.method == .head { response = response.createHeadResponse() }
            try await writer.write(response: response.head, body: response.body)
        case .stream(let length, let write):
            if let length { reply.headers[.contentLength] = String(length) }
            guard exchange.method != .head else { return try await writer.writeResponse(HTTPResponse(status: reply.status, headerFields: reply.headers)) }
            let body = try await writer.writeHead(HTTPResponse(status: reply.status, headerFields: reply.headers))
            try await StreamedBody.send(write, to: body, of: channel, patience: streaming.patience)
        }
    }

    private func answer(_ request: Request, _ exchange: inout Exchange, authority: String?, remote: Endpoint) async throws -> Reply {
        let path = exchange.path
        if path == "/healthz" { return .text("ok\n") }
        if path == "/readyz" { return ready() }
        guard gatekeeper.hostIsAllowed(exchange, authority: authority) else { throw Refusal(.unauthorized, "Unauthorized") }
        if path.hasPrefix("/api/v2/") {
            guard gatekeeper.originIsAllowed(exchange, authority: authority, remote: remote) else { throw Refusal(.unauthorized, "Unauthorized") }
            let name = String(path.dropFirst("/api/v2/".count))
            let limit = name == "torrents/add" ? BodyReading.uploadLimit : BodyReading.bodyLimit
            // A stranger's upload is not taken in.
            if limit > BodyReading.bodyLimit, await gatekeeper.identify(exchange) == nil { throw Refusal(.forbidden, "Forbidden") }
            try await BodyReading.read(request, into: &exchange, limit: limit, budget: budget)
            return try await qbittorrent.respond(name, exchange)
        }
        // transmission-remote ends it with a stroke.
        if path == TransmissionRPC.path || path == TransmissionRPC.path + "/" {
            guard gatekeeper.originIsAllowed(exchange, authority: authority, remote: remote) else { throw Refusal(.forbidden, "Forbidden") }
            let principal = await gatekeeper.identify(exchange)
            if principal != nil { try await BodyReading.read(request, into: &exchange, limit: BodyReading.uploadLimit, budget: budget) }
            return try await transmission.respond(exchange, principal: principal)
        }
        if path.hasPrefix("/api/v1/") { return try await own(request, &exchange, authority: authority, remote: remote) }
        if path == "/metrics" {
            guard let principal = await gatekeeper.identify(exchange) else { return challenge() }
            if case .key(let key) = principal, !key.allows(.read) { throw Refusal(.forbidden, "the key has not the scope read") }
            let wanted = (exchange.query["torrents"] ?? "").split(separator: ",").map(String.init), free = freeSpace.bytes
            return Reply(type: "text/plain; version=0.0.4; charset=utf-8", Array(mirror.read { Metrics.text($0, torrents: wanted, freeSpace: free) }.utf8))
        }
        guard exchange.method == .get || exchange.method == .head else { throw Refusal(.methodNotAllowed, "Method Not Allowed") }
        return try await pages.respond(exchange, loggedIn: gatekeeper.identify(exchange) != nil)
    }

    private func own(_ request: Request, _ exchange: inout Exchange, authority: String?, remote: Endpoint) async throws -> Reply {
        do {
            guard gatekeeper.originIsAllowed(exchange, authority: authority, remote: remote) else { throw Refusal(.forbidden, "another origin") }
            let principal = await gatekeeper.identify(exchange)
            if principal != nil { try await BodyReading.read(request, into: &exchange, limit: BodyReading.uploadLimit, budget: budget) }
            return try await native.respond(String(exchange.path.dropFirst("/api/v1".count)), exchange, principal: principal)
        } catch let refusal as Refusal {
            return NativeAPI.problem(refusal)
        } catch let error as ControlError {
            return NativeAPI.problem(QBittorrentAPI.refusal(error))
        }
    }

    private func challenge() -> Reply {
        var reply = Reply.text("Unauthorized", .unauthorized)
        reply.headers[.wwwAuthenticate] = "Basic realm=\"ccbt\""
        return reply
    }

    /// 200 once the table has come and while the session worker is there.
    private func ready() -> Reply {
        let (live, filled) = mirror.read { ($0.isLive, $0.isFilled) }
        return live ? .text("ready\n") : .text(filled ? "the session worker is restarting\n" : "starting\n", .serviceUnavailable)
    }

    static func exchange(_ request: Request) -> Exchange {
        let text = request.head.path ?? "/", cut = text.firstIndex(of: "?")
        let path = PercentCoding.decode(text[..<(cut ?? text.endIndex)].utf8, plus: false)
        let query = cut.map { Parameters(encoded: text[text.index(after: $0)...].utf8) } ?? Parameters()
        return Exchange(
            method: request.method, path: path, query: query, headers: request.headers, address: Endpoint(ipv4: 0, port: 0), isSecure: false)
    }

    static func endpoint(_ channel: any Channel) -> Endpoint {
        guard let remote = channel.remoteAddress, let text = remote.ipAddress, let e = Endpoint(address: text.prefix { $0 != "%" }, port: UInt16(clamping: remote.port ?? 0))
        else { return Endpoint(ipv4: 0, port: 0) }
        return e
    }

    /// Headers of every answer. The page loads nothing from another host and runs no inline script.
    static func harden(_ reply: inout Reply, isAlternative: Bool, isSecure: Bool) {
        reply.headers[.frameOptions] = "SAMEORIGIN"
        reply.headers[.xContentTypeOptions] = "nosniff"
        reply.headers[.referrerPolicy] = "same-origin"
        // Browsers complain of it on plain HTTP, where it means nothing.
        if isSecure { reply.headers[.openerPolicy] = "same-origin" }
        if reply.headers[.contentSecurityPolicy] == nil {
            // Pages that others wrote for qBittorrent use inline styles, evaluated templates and fonts inside their style sheets.
            let loose = isAlternative ? " 'unsafe-inline' 'unsafe-eval'" : "", style = isAlternative ? " 'unsafe-inline'; font-src 'self' data:" : ""
            reply.headers[.contentSecurityPolicy] =
                "default-src 'self'; script-src 'self'\(loose); style-src 'self'\(style); img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        }
        if reply.headers[.cacheControl] == nil { reply.headers[.cacheControl] = "no-store" }
    }
}

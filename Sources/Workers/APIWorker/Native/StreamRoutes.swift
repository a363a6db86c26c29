import Control
import HTTPTypes
import HTTPWire
import Observe
import Primitives

/// Files of torrents, as bytes: to play and to save, while they are fetched too.
extension NativeAPI {
    private static let range: [(name: String, type: Shape, doc: String)] = [
        ("Range", .text, "one range of bytes, as bytes=0-1023, bytes=1024- or bytes=-512; several are answered with the whole"),
        ("If-Range", .text, "the ETag for which Range holds"), ("If-None-Match", .text, "an ETag: 304 when the file is that one"),
    ]
    private static let token: [(name: String, type: Shape, doc: String)] = [("token", .text, "out of a playlist; instead of a login")]
    private static let answers = [("304", "it is the one with that ETag"), ("416", "the range begins behind its end"), ("500", "the disk does not give its bytes")]

    static let streamRoutes: [Route] = [
        Route(
            method: .get, path: "/torrents/{hash}/files/{index}", summary: "A file's bytes; what is not there yet is fetched next and waited for", scope: .read, query: token, headers: range,
            answers: answers
        ) { api, exchange, v in try await api.file(exchange, v) },
        Route(method: .head, path: "/torrents/{hash}/files/{index}", summary: "The same without the bytes", scope: .read, query: token, headers: range, answers: answers) { api, exchange, v in
            try await api.file(exchange, v)
        },
        Route(
            method: .get, path: "/torrents/{hash}/playlist.m3u8", summary: "Its video and audio files for a player, with a token in the addresses", scope: .read, query: token
        ) { api, exchange, v in try await api.playlist(exchange, v) },
    ]

    /// A token opens these paths to who has no login.
    func tokenHolder(_ parts: [String], _ exchange: Exchange) -> Gatekeeper.Principal? {
        guard exchange.method == .get || exchange.method == .head, parts.count >= 3, parts[0] == "torrents", let token = exchange.query["token"],
            parts.count == 4 && parts[2] == "files" || parts.count == 3 && parts[2] == "playlist.m3u8", let entry = mirror.read({ $0.entry(parts[1]) })
        else { return nil }
        return tokens.admits(token, entry.hash) ? .direct : nil
    }

    private func file(_ exchange: Exchange, _ v: [String: String]) async throws -> Reply {
        let entry = try entry(v)
        guard let index = v["index"].flatMap(Int.init), index >= 0 else { throw Refusal(.notFound, "no such file") }
        let place = try await gateway.call(ControlMethods.StreamFile.self, StreamFileParameters(hash: entry.hash, file: index))
        // The hash names the content.
        let tag = "\"\(entry.hash)-\(index)\""
        func head(_ status: HTTPResponse.Status, _ reply: Reply) -> Reply {
            var reply = reply
            reply.status = status
            reply.headers[.eTag] = tag
            reply.headers[.acceptRanges] = "bytes"
            reply.headers[.cacheControl] = "private, no-cache"
            return reply
        }
        if let known = exchange.headers[.ifNoneMatch], known.contains(tag) || known == "*" { return head(.notModified, Reply(type: MediaType.of(place.name), [])) }
        let isSame = exchange.headers[.ifRange].map { $0 == tag } ?? true
        let wanted: Range<UInt64>, status: HTTPResponse.Status
        switch ByteRange(isSame ? exchange.headers[.range] : nil, length: place.length) {
        case .whole: (wanted, status) = (0..<place.length, .ok)
        case .part(let range): (wanted, status) = (range, .partialContent)
        case .none:
            var reply = head(.rangeNotSatisfiable, Self.problem(Refusal(.rangeNotSatisfiable, "the file has \(place.length) bytes")))
            reply.headers[.contentRange] = "bytes */\(place.length)"
            return reply
        }
        guard place.priority != "skip" || place.length == 0 else { throw Refusal(.conflict, "the file is not wanted: give it a priority first") }
        var stream = FileStream(streaming, gateway, hash: entry.hash, index: index, place: place)
        guard let slot = FileStreams.Slot(streaming) else { throw Refusal(.serviceUnavailable, "at most \(FileStreams.limit) streams") }
        if !wanted.isEmpty {
            do { try await stream.admit(wanted) } catch {
                stream.end()
                if let cut = error as? FileStream.Cut { throw Refusal(cut.status, cut.description) }
                throw error
            }
            if exchange.method == .head { stream.end() }
        }
        let name = place.name, log = streaming.log, begun = stream
        var reply = head(
            status,
            Reply(stream: MediaType.of(name), length: wanted.count) { writer in
                _ = slot
                var stream = begun
                defer { stream.end() }
                do { try await stream.send(wanted, to: &writer) } catch let cut as FileStream.Cut {
                    log(.warning, "a stream of \(Text.printable(name, limit: 200)) ended early: \(cut)")
                    throw cut
                }
                try await writer.finish(nil)
            })
        if status == .partialContent { reply.headers[.contentRange] = "bytes \(wanted.lowerBound)-\(wanted.upperBound - 1)/\(place.length)" }
        reply.headers[.contentDisposition] = MediaType.disposition(name)
        // A browser that opens it shows a player or a picture: no script, no frame, nothing of ours.
        reply.headers[.contentSecurityPolicy] = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
        return reply
    }

    private func playlist(_ exchange: Exchange, _ v: [String: String]) async throws -> Reply {
        let entry = try entry(v), files = try await gateway.call(ControlMethods.Files.self, HashParameters(hash: entry.hash)).files
        let playable = files.filter { $0.priority != "skip" && MediaType.isPlayable($0.path) }
        guard !playable.isEmpty else { throw Refusal(.notFound, "no video or audio file that is wanted") }
        let base = "\(exchange.isSecure ? "https" : "http")://\(exchange.authority)/api/v1/torrents/\(entry.hash)/files/", token = tokens.make(entry.hash)
        var text = "#EXTM3U\n"
        for file in playable.sorted(by: { $0.path < $1.path }) {
            // A line ends at the first control character; `files` shows such as text.
            let title = file.path.split(separator: "/").last.map(String.init) ?? file.path
            text += "#EXTINF:-1,\(title.filter { !$0.isNewline })\n\(base)\(file.index)?token=\(token)\n"
        }
        var reply = Reply(type: "audio/x-mpegurl; charset=UTF-8", Array(text.utf8))
        reply.headers[.contentDisposition] = MediaType.disposition(entry.row.name + ".m3u8").replacing("attachment", with: "inline", maxReplacements: 1)
        return reply
    }
}

import Foundation
import Primitives

/// The interface between front ends and the session: newline-delimited JSON on the Unix socket `control.sock` of the
/// state directory (mode 0600: who may open it may do everything).
///
///     → {"id":1,"method":"list","params":{}}
///     ← {"id":1,"result":{"torrents":[…]}}        or {"id":1,"error":{"code":"not_found","message":"…"}}
///     → {"id":2,"method":"watch","params":{"interval":0.5}}
///     ← {"id":2,"result":{}}                       then, until the client closes:
///     ← {"id":2,"torrent":{…}}                     one line for each watched torrent and tick
///     ← {"id":2,"removed":"<info-hash>"}
///
/// Requests of one connection may be sent without waiting; answers may come in another order (`id` says which).
/// What changes state is answered after it is on disk.
package enum Control {
    /// Grows when a field changes its meaning; new fields and methods do not change it.
    package static let version = 1
    /// Bytes of a request line, newline included: a .torrent of 32 MiB in base64 is 42.7 MiB.
    package static let requestLimit = 48 << 20
    /// Bytes of an answer line: the list of 100,000 torrents at about 1,300 bytes each, twice.
    package static let answerLimit = 256 << 20
    /// JSON deeper than this is refused unread. No request needs more than 4.
    package static let depthLimit = 16
    /// Bytes of a .torrent file.
    package static let torrentLimit = 32 << 20
    /// Name of the socket in the state directory.
    package static let socketName = "control.sock"
    /// Shortest watch interval in seconds; the default is ``watchIntervalDefault``.
    package static let watchIntervalMinimum = 0.02
    package static let watchIntervalDefault = 1.0
    /// Endpoints of one `peers.add` or `add`.
    package static let peersLimit = 2000
}

/// One method: its name and the shapes on both sides.
package protocol ControlMethod {
    associatedtype Parameters: Codable & Sendable
    associatedtype Answer: Codable & Sendable
    static var name: String { get }
}

package struct ControlRequest<Parameters: Codable & Sendable>: Codable, Sendable {
    /// Chosen by the client, repeated in the answer.
    package var id: UInt64
    package var method: String
    package var params: Parameters
    package init(id: UInt64, method: String, params: Parameters) {
        (self.id, self.method, self.params) = (id, method, params)
    }
}

/// What stands first in every request; read before the method's own parameters are.
package struct ControlRequestHead: Codable, Sendable {
    package var id: UInt64
    package var method: String
}

/// Exactly one of `result` and `error` stands in an answer; `torrent`, `removed` or `event` in a line of `watch`.
package struct ControlAnswer<Answer: Codable & Sendable>: Codable, Sendable {
    package var id: UInt64
    package var result: Answer?
    package var error: ControlError?
    package var torrent: TorrentSummary?
    package var removed: String?
    /// See ``WatchParameters/changes``.
    package var event: String?
    package init(id: UInt64, result: Answer) { (self.id, self.result) = (id, result) }
    package init(id: UInt64, error: ControlError) { (self.id, self.error) = (id, error) }
}

package struct ControlError: Error, Codable, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Codable, Sendable, CaseIterable {
        /// Not a line of JSON with id and method, or too deep. `id` is 0 where none could be read.
        case parseError = "parse_error"
        case unknownMethod = "unknown_method"
        case invalidParameters = "invalid_params"
        case notFound = "not_found"
        /// The hash prefix names several torrents.
        case ambiguous
        /// The torrent is in the catalogue already.
        case exists
        /// Another torrent writes the same path, or the torrent's state forbids it.
        case conflict
        case tooLarge = "too_large"
        /// The worker that must answer is down or slow; try again.
        case unavailable
        /// The state could not be stored; nothing was changed.
        case storage
        /// The metadata of a magnet has not arrived.
        case noMetadata = "no_metadata"
    }
    package var code: Code
    /// One line for a person; no control characters.
    package var message: String
    package init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }
    package var description: String { "\(message) (\(code.rawValue))" }
}

private struct ParametersOnly<P: Codable>: Codable { var params: P? }

/// `{}`.
package struct Empty: Codable, Equatable, Sendable {
    package init() {}
}

/// Lines of the interface, newline included when written, left out when read.
package enum ControlLine {
    package static func request<M: ControlMethod>(_: M.Type, id: UInt64, _ parameters: M.Parameters) -> [UInt8] {
        line(ControlRequest(id: id, method: M.name, params: parameters))
    }
    package static func answer<T: Codable & Sendable>(id: UInt64, _ result: T) -> [UInt8] { line(ControlAnswer(id: id, result: result)) }
    package static func answer(id: UInt64, error: ControlError) -> [UInt8] { line(ControlAnswer<Empty>(id: id, error: error)) }

    /// Throws `.parseError` for anything that is not an object with `id` and `method`, or is too deep.
    package static func head(_ bytes: UnsafeRawBufferPointer) throws(ControlError) -> ControlRequestHead {
        guard depthIsAllowed(bytes) else { throw ControlError(.parseError, "JSON deeper than \(Control.depthLimit) levels") }
        do { return try JSONDecoder().decode(ControlRequestHead.self, from: data(bytes)) } catch {
            throw ControlError(.parseError, "not a request: one JSON object a line with id, method and params")
        }
    }
    /// Missing `params` read as `{}`.
    package static func parameters<P: Codable & Sendable>(_ bytes: UnsafeRawBufferPointer, as: P.Type) throws(ControlError) -> P {
        do {
            if let parameters = try JSONDecoder().decode(ParametersOnly<P>.self, from: data(bytes)).params { return parameters }
            return try JSONDecoder().decode(P.self, from: Data("{}".utf8))
        } catch let error as DecodingError {
            throw ControlError(.invalidParameters, explain(error))
        } catch { throw ControlError(.invalidParameters, "parameters cannot be read") }
    }
    /// The client's side. Throws the session's error, or `.parseError`.
    package static func read<M: ControlMethod>(_: M.Type, _ bytes: UnsafeRawBufferPointer) throws(ControlError) -> ControlAnswer<M.Answer> {
        do { return try JSONDecoder().decode(ControlAnswer<M.Answer>.self, from: data(bytes)) } catch {
            throw ControlError(.parseError, "the daemon's answer cannot be read; are both of one version?")
        }
    }

    private static func line(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        // Only a float that is not finite can fail here, and none is stored.
        guard let data = try? encoder.encode(value) else { preconditionFailure("a control value that JSON cannot hold") }
        var out = [UInt8](data)
        out.append(UInt8(ascii: "\n"))
        return out
    }
    private static func data(_ bytes: UnsafeRawBufferPointer) -> Data {
        bytes.isEmpty ? Data() : Data(bytes)
    }
    private static func explain(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            let names = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
            return names.isEmpty ? "params" : names.joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, _): return "params.\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): return "\(path(context)) has the wrong type"
        case .dataCorrupted(let context): return "\(path(context)) cannot be read"
        @unknown default: return "parameters cannot be read"
        }
    }

    /// A scan before the parser, which recurses.
    static func depthIsAllowed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var depth = 0, inString = false, escaped = false
        for byte in bytes {
            if inString {
                if escaped { escaped = false } else if byte == 0x5C { escaped = true } else if byte == 0x22 { inString = false }
                continue
            }
            switch byte {
            case 0x22: inString = true
            case 0x5B, 0x7B:
                depth += 1
                if depth > Control.depthLimit { return false }
            case 0x5D, 0x7D: depth -= 1
            default: break
            }
        }
        return true
    }
}

/// Reads whatever it is given as every kind of request: what a fuzzer drives.
package func exerciseControlLine(_ bytes: UnsafeRawBufferPointer) {
    guard (try? ControlLine.head(bytes)) != nil else { return }
    _ = try? ControlLine.parameters(bytes, as: AddParameters.self)
    _ = try? ControlLine.parameters(bytes, as: AddPeersParameters.self)
    _ = try? ControlLine.parameters(bytes, as: RemoveParameters.self)
    _ = try? ControlLine.parameters(bytes, as: MoveParameters.self)
    _ = try? ControlLine.parameters(bytes, as: WatchParameters.self)
    _ = try? ControlLine.parameters(bytes, as: SetSettingParameters.self)
    _ = try? ControlLine.parameters(bytes, as: ShowParameters.self)
    _ = try? ControlLine.parameters(bytes, as: SetTorrentsParameters.self)
    _ = try? ControlLine.parameters(bytes, as: SetTrackersParameters.self)
    _ = try? ControlLine.parameters(bytes, as: RSSRuleRow.self)
    _ = try? ControlLine.parameters(bytes, as: WatchFolderRow.self)
}

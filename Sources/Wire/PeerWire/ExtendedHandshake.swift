import Bencode
import ByteCodec
import Primitives

/// The dictionary of extended message 0 (BEP 10), with the keys of BEP 9 (`metadata_size`), BEP 11, BEP 21 (`upload_only`)
/// and BEP 54.
/// A key of the wrong type is taken as absent; sizes out of range likewise. Unknown keys are skipped.
package struct ExtendedHandshake: Hashable, Sendable {
    /// The id by which the sender wants ut_metadata messages; nil: not supported, or switched off with 0.
    package var metadataID: UInt8?
    package var pexID: UInt8?
    /// lt_donthave (BEP 54).
    package var dontHaveID: UInt8?
    /// The message that says a changed ``uploadOnly`` while connected.
    package var uploadOnlyID: UInt8?
    package var holepunchID: UInt8?
    /// `e`: the sender prefers encrypted connections.
    package var prefersEncryption: Bool
    /// `p`: where the sender listens.
    package var port: UInt16?
    /// `v`, printable ASCII, at most 64 characters.
    package var client: String?
    /// `reqq`: requests that the sender queues; 1 ... 65,535.
    package var requestQueue: Int?
    /// Bytes of the info dictionary; nil unless 1 ... ``WireLimit/metadata``.
    package var metadataSize: Int?
    /// BEP 21: the sender downloads nothing.
    package var uploadOnly: Bool
    /// Our address as the sender sees it, without port.
    package var yourAddress: Endpoint?

    package init(
        metadataID: UInt8? = nil, pexID: UInt8? = nil, dontHaveID: UInt8? = nil, uploadOnlyID: UInt8? = nil, holepunchID: UInt8? = nil,
        prefersEncryption: Bool = false, port: UInt16? = nil, client: String? = nil, requestQueue: Int? = nil,
        metadataSize: Int? = nil, uploadOnly: Bool = false, yourAddress: Endpoint? = nil
    ) {
        self.metadataID = metadataID
        self.pexID = pexID
        self.dontHaveID = dontHaveID
        self.uploadOnlyID = uploadOnlyID
        self.holepunchID = holepunchID
        self.prefersEncryption = prefersEncryption
        self.port = port
        self.client = client
        self.requestQueue = requestQueue
        self.metadataSize = metadataSize
        self.uploadOnly = uploadOnly
        self.yourAddress = yourAddress
    }

    /// The ids by which we want the extensions that we speak.
    package static var ourPexID: UInt8 { 1 }
    package static var ourMetadataID: UInt8 { 2 }
    package static var ourDontHaveID: UInt8 { 3 }
    package static var ourUploadOnlyID: UInt8 { 4 }
    package static var ourHolepunchID: UInt8 { 5 }

    package func encode() -> [UInt8] {
        var w = BencodeWriter()
        w.beginDictionary()
        if prefersEncryption {
            w.key("e")
            w.integer(1)
        }
        w.key("m")
        w.beginDictionary()
        func name(_ key: StaticString, _ id: UInt8?) {
            guard let id else { return }
            w.key(key)
            w.integer(id)
        }
        name("lt_donthave", dontHaveID)
        name("upload_only", uploadOnlyID)
        name("ut_holepunch", holepunchID)
        name("ut_metadata", metadataID)
        name("ut_pex", pexID)
        w.end()
        if let metadataSize {
            w.key("metadata_size")
            w.integer(metadataSize)
        }
        if let port {
            w.key("p")
            w.integer(port)
        }
        if let requestQueue {
            w.key("reqq")
            w.integer(requestQueue)
        }
        if uploadOnly {
            w.key("upload_only")
            w.integer(1)
        }
        if let client {
            w.key("v")
            w.string(client)
        }
        if let yourAddress {
            w.key("yourip")
            w.string(Self.addressBytes(yourAddress))
        }
        w.end()
        return w.array
    }

    private static func addressBytes(_ e: Endpoint) -> [UInt8] {
        e.isIPv4
            ? withUnsafeBytes(of: e.ipv4.bigEndian) { Array($0) }
            : withUnsafeBytes(of: e.high.bigEndian) { Array($0) } + withUnsafeBytes(of: e.low.bigEndian) { Array($0) }
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
        var parser = BencodeParser()
        guard let root = try? parser.parse(bytes, limits: .packet, tolerance: .lenient), root.kind == .dictionary else {
            throw .badDictionary
        }
        self.init()
        if let m = root["m"] {
            metadataID = Self.id(m["ut_metadata"])
            pexID = Self.id(m["ut_pex"])
            dontHaveID = Self.id(m["lt_donthave"])
            uploadOnlyID = Self.id(m["upload_only"])
            holepunchID = Self.id(m["ut_holepunch"])
        }
        prefersEncryption = (root["e"]?.integer ?? 0) != 0
        port = root["p"]?.integer.flatMap { UInt16(exactly: $0) }.flatMap { $0 == 0 ? nil : $0 }
        client = root["v"]?.string.map { ClientName.printable($0, limit: 64) }
        requestQueue = root["reqq"]?.integer.flatMap { (1...65_535).contains($0) ? Int($0) : nil }
        metadataSize = root["metadata_size"]?.integer.flatMap { $0 > 0 && $0 <= Int64(WireLimit.metadata) ? Int($0) : nil }
        uploadOnly = (root["upload_only"]?.integer ?? 0) != 0
        if let raw = root["yourip"]?.string {
            func word<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
                T(bigEndian: raw.loadUnaligned(fromByteOffset: offset, as: T.self))
            }
            switch raw.count {
            case 4: yourAddress = Endpoint(ipv4: word(0, UInt32.self), port: 0)
            case 16: yourAddress = Endpoint(high: word(0, UInt64.self), low: word(8, UInt64.self), port: 0)
            default: break
            }
        }
    }

    private static func id(_ view: BencodeView?) -> UInt8? {
        guard let n = view?.integer, (1...255).contains(n) else { return nil }
        return UInt8(n)
    }

    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let value = try? ExtendedHandshake(decoding: bytes) else { return }
        let again = value.encode().withUnsafeBytes { try? ExtendedHandshake(decoding: $0) }
        precondition(again == value)
    }
}

import Bencode
import CHash
import Primitives

extension Metainfo {
    /// Parses a whole .torrent. `bytes` are borrowed for the call only; offsets in the result count from their start.
    package init(parsing bytes: UnsafeRawBufferPointer, limits: MetainfoLimits = .standard) throws(MetainfoError) {
        var parser = BencodeParser()
        let root: BencodeView
        do { root = try parser.parse(bytes, limits: limits.bencode, tolerance: .lenient) } catch { throw MetainfoError(error) }
        guard root.kind == .dictionary else { throw MetainfoError(.notDictionary, at: 0) }
        try refuseDuplicateKeys(root)
        guard let info = root["info"] else { throw MetainfoError(.missing("info"), at: root.range.upperBound - 1) }
        guard info.kind == .dictionary else { throw MetainfoError(.invalid("info"), at: info.range.lowerBound) }
        try refuseDuplicateKeys(info)
        try self.init(root, info, limits)
    }

    package init(parsing bytes: [UInt8], limits: MetainfoLimits = .standard) throws(MetainfoError) {
        // A closure of `withUnsafeBytes` would lose the typed error.
        let result: Result<Metainfo, MetainfoError> = bytes.withUnsafeBytes { raw in
            Result { () throws(MetainfoError) in try Metainfo(parsing: raw, limits: limits) }
        }
        self = try result.get()
    }

    private init(_ root: BencodeView, _ info: BencodeView, _ limits: MetainfoLimits) throws(MetainfoError) {
        infoRange = info.range
        let pieceLength = try Self.pieceLength(info, limits)
        let hasV2 = try Self.isVersion2(info)
        let hasV1 = info["pieces"] != nil || !hasV2
        guard let rawName = info["name.utf-8"].flatMap({ $0.text == nil ? nil : $0 }) ?? info["name"] else {
            throw MetainfoError(.missing("name"), at: info.range.lowerBound)
        }
        guard let nameBytes = rawName.string else { throw MetainfoError(.invalid("name"), at: rawName.range.lowerBound) }

        let encoded = info.encoded
        infoHashV1 = hasV1 ? sha1(encoded) : nil
        infoHashV2 = hasV2 ? sha256(encoded) : nil

        var cleanName: [UInt8] = []
        PathSanitiser.clean(nameBytes, into: &cleanName)
        if cleanName.isEmpty {
            // ".." and its like: the hash is the one name that says which torrent it is. libtorrent does the same.
            cleanName = nameBytes.isEmpty ? [UInt8(ascii: "_")] : Array((infoHashV1?.hex ?? infoHashV2!.hex).utf8)
        }

        var list = FileListBuilder(limits: limits, pieceLength: pieceLength, name: cleanName)
        if hasV2 {
            try list.readTree(info["file tree"]!, name: nameBytes)
            if hasV1 { try list.matchVersion1(info, name: nameBytes) } else { try list.layOutVersion2() }
        } else {
            try list.readVersion1(info)
        }
        let built = try list.finish(pieceLayers: hasV2 ? root["piece layers"] : nil)
        (files, isMultiFile, contentLength, hasAllPieceLayers) = (built.files, built.isMultiFile, built.contentLength, built.hasAllLayers)
        name = String(decoding: cleanName, as: UTF8.self)

        guard contentLength > 0 else { throw MetainfoError(.noContent, at: info.range.lowerBound) }
        let tails = hasV2 && !hasV1 ? built.files.tails(pieceLength: UInt64(pieceLength)) : nil
        guard let geometry = PieceGeometry(totalLength: built.totalLength, pieceLength: UInt32(pieceLength), tails: tails),
            geometry.pieceCount <= limits.pieces
        else { throw MetainfoError(.tooManyPieces(limit: limits.pieces), at: info.range.lowerBound) }
        self.geometry = geometry

        if hasV1 {
            guard let pieces = info["pieces"] else { throw MetainfoError(.missing("pieces"), at: info.range.lowerBound) }
            guard let range = pieces.stringRange else { throw MetainfoError(.invalid("pieces"), at: pieces.range.lowerBound) }
            if range.count != geometry.pieceCount * 20 {
                throw MetainfoError(
                    .pieceHashCount(expected: UInt64(geometry.pieceCount) * 20, found: UInt64(range.count)), at: pieces.range.lowerBound)
            }
            pieceHashes = range
        } else {
            pieceHashes = nil
        }

        let addresses = AddressReader(limits: limits)
        trackers = addresses.trackers(root)
        webSeeds = addresses.webSeeds(root["url-list"])
        httpSeeds = addresses.webSeeds(root["httpseeds"])
        nodes = addresses.nodes(root["nodes"])
        isPrivate = (info["private"]?.integer ?? 0) != 0
        comment = text(root, "comment", "comment.utf-8", limits)
        creator = text(root, "created by", "created by.utf-8", limits)
        source = text(info, "source", "source.utf-8", limits)
        creationDate = root["creation date"]?.integer
    }

    /// BEP 3, and for v2 BEP 52: a power of two of at least 16 KiB.
    private static func pieceLength(_ info: BencodeView, _ limits: MetainfoLimits) throws(MetainfoError) -> Int64 {
        guard let view = info["piece length"] else { throw MetainfoError(.missing("piece length"), at: info.range.lowerBound) }
        guard let value = view.integer, value > 0, value <= limits.pieceLength else {
            throw MetainfoError(.invalid("piece length"), at: view.range.lowerBound)
        }
        if info["file tree"] != nil, value < 16384 || value & (value - 1) != 0 {
            throw MetainfoError(.invalid("piece length"), at: view.range.lowerBound)
        }
        return value
    }

    private static func isVersion2(_ info: BencodeView) throws(MetainfoError) -> Bool {
        let version = info["meta version"]
        if let version, let number = version.integer, number != 2, number != 1 {
            throw MetainfoError(.unsupportedVersion(number), at: version.range.lowerBound)
        }
        guard let tree = info["file tree"] else {
            if version?.integer == 2 { throw MetainfoError(.missing("file tree"), at: info.range.lowerBound) }
            return false
        }
        guard version?.integer == 2 else {
            throw MetainfoError(.invalid("meta version"), at: (version ?? tree).range.lowerBound)
        }
        return true
    }
}

/// Two values under one key would let the hash be taken over one and the content read from the other.
private func refuseDuplicateKeys(_ dictionary: BencodeView) throws(MetainfoError) {
    if dictionary.isCanonicalDictionary { return }
    var keys: [BencodeView] = dictionary.entries.map(\.key)
    keys.sort { compareBytes($0.string!, $1.string!) < 0 }
    for i in keys.indices.dropFirst() where compareBytes(keys[i - 1].string!, keys[i].string!) == 0 {
        throw MetainfoError(.duplicateKey(String(decoding: keys[i].string!.prefix(40), as: UTF8.self)), at: keys[i].range.lowerBound)
    }
}

/// The plain key where it is UTF-8, else the ".utf-8" one that writers in other encodings put beside it.
private func text(_ view: BencodeView, _ first: StaticString, _ second: StaticString, _ limits: MetainfoLimits) -> String? {
    if let text = view[first]?.text { return String(text.prefix(limits.textLength)) }
    guard let bytes = view[second]?.string ?? view[first]?.string else { return nil }
    return String(decoding: bytes.prefix(limits.textLength), as: UTF8.self)
}

func sha1(_ bytes: UnsafeRawBufferPointer) -> SHA1Digest {
    withUnsafeTemporaryAllocation(byteCount: 20, alignment: 8) { out in
        ccbt_sha1(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, out.bindMemory(to: UInt8.self).baseAddress!)
        return SHA1Digest(bytes: UnsafeRawBufferPointer(out))
    }
}

func sha256(_ bytes: UnsafeRawBufferPointer) -> SHA256Digest {
    withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { out in
        ccbt_sha256(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, out.bindMemory(to: UInt8.self).baseAddress!)
        return SHA256Digest(bytes: UnsafeRawBufferPointer(out))
    }
}

/// Parses whatever it is given and asks for everything: what a fuzzer drives.
package func exerciseMetainfo(_ bytes: UnsafeRawBufferPointer) {
    guard let torrent = try? Metainfo(parsing: bytes) else { return }
    precondition(torrent.infoRange.upperBound <= bytes.count)
    precondition((torrent.pieceHashes?.upperBound ?? 0) <= bytes.count)
    var at: UInt64 = 0
    for file in torrent.files {
        precondition(file.offset == at)
        at += file.length
        precondition(file.isPad || isSafe(file.path), "unsafe path")
        precondition((file.symlinkTarget ?? ["a"]).allSatisfy(isSafe))
        precondition((file.piecesRootOffset ?? 0) + 32 <= bytes.count)
    }
    precondition(at == torrent.geometry.totalLength)
    func isSafe(_ path: String) -> Bool {
        path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
            !$0.isEmpty && $0.count <= 255 && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) && !$0.contains(0)
        }
    }
}

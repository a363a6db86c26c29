import Primitives

/// One file of a torrent as the disk sees it.
package struct LayoutFile: Equatable, Sendable {
    /// Path under the save folder, components joined by "/", already sanitised; begins with the torrent's name.
    package let path: String
    package let length: UInt64
    /// BEP 47 padding: zeros that take part in the pieces and never reach the disk.
    package let isPad: Bool
    package let isExecutable: Bool
    /// BEP 47 symbolic link: target path under the save folder; such a file has no payload.
    package let linkTarget: String?

    package init(path: String, length: UInt64, isPad: Bool = false, isExecutable: Bool = false, linkTarget: String? = nil) {
        self.path = path
        self.length = linkTarget == nil ? length : 0
        self.isPad = isPad
        self.isExecutable = isExecutable
        self.linkTarget = linkTarget
    }
}

/// A run of bytes of one piece in one file.
package struct Extent: Equatable, Sendable {
    package let file: FileIndex
    package let fileOffset: UInt64
    /// Where in the piece it begins, bytes.
    package let pieceOffset: UInt32
    package let length: UInt32
    package let isPad: Bool
    @inlinable package init(file: FileIndex, fileOffset: UInt64, pieceOffset: UInt32, length: UInt32, isPad: Bool) {
        self.file = file
        self.fileOffset = fileOffset
        self.pieceOffset = pieceOffset
        self.length = length
        self.isPad = isPad
    }
}

/// Where the bytes of each piece stand in the files.
/// Invariant: the extents of all pieces cover every payload byte exactly once, in rising order.
package struct FileLayout: Sendable {
    package let geometry: PieceGeometry
    package let files: [LayoutFile]
    /// Offset in the torrent of each file's first byte, and the total at the end; non-falling.
    package let starts: [UInt64]
    /// Bytes that are on disk when all is there: pad files left out.
    package let storedLength: UInt64
    /// Files begin pieces and pad files stand for gaps that no piece contains (a v2-only torrent).
    package let hasVirtualPads: Bool
    /// Files of the torrent itself: all but the part-file, which stands last.
    package let payloadCount: Int
    /// Files whose bytes stand in the part-file (``routed(_:partFile:)``).
    package let inParts: Bitfield

    /// nil when the lengths overflow or do not make a geometry (``PieceGeometry``).
    package init?(files: [LayoutFile], pieceLength: UInt32, hasVirtualPads: Bool = false) {
        var starts: [UInt64] = [], total: UInt64 = 0, stored: UInt64 = 0
        starts.reserveCapacity(files.count + 1)
        for file in files {
            starts.append(total)
            let (sum, overflow) = total.addingReportingOverflow(file.length)
            // File offsets are signed 64-bit numbers for the kernel.
            if overflow || sum > UInt64(Int64.max) { return nil }
            total = sum
            if !file.isPad { stored += file.length }
        }
        starts.append(total)
        var tails: FileTails?
        if hasVirtualPads {
            guard pieceLength > 0 else { return nil }
            var pieces: [UInt32] = [], lengths: [UInt32] = []
            for (i, file) in files.enumerated() where !file.isPad && file.length % UInt64(pieceLength) != 0 {
                guard starts[i] % UInt64(pieceLength) == 0, let piece = UInt32(exactly: (starts[i] + file.length) / UInt64(pieceLength)) else { return nil }
                pieces.append(piece)
                lengths.append(UInt32(file.length % UInt64(pieceLength)))
            }
            tails = FileTails(pieces: pieces, lengths: lengths)
            if tails == nil { return nil }
        }
        self.hasVirtualPads = hasVirtualPads
        guard let geometry = PieceGeometry(totalLength: total, pieceLength: pieceLength, tails: tails) else { return nil }
        self.geometry = geometry
        self.files = files
        self.starts = starts
        storedLength = stored
        payloadCount = files.count
        inParts = Bitfield(count: files.count)
    }

    private init(_ whole: FileLayout, inParts: Bitfield, partFile: String) {
        geometry = whole.geometry
        starts = whole.starts
        storedLength = whole.storedLength
        payloadCount = whole.payloadCount
        hasVirtualPads = whole.hasVirtualPads
        self.inParts = inParts
        files = whole.files[..<payloadCount] + [LayoutFile(path: partFile, length: geometry.totalLength)]
    }

    /// With the bytes of some files in one more file, the part-file: what a piece that is wanted has of files that are not.
    /// A byte stands there at its offset in the torrent, so the file needs no table and survives everything that a
    /// file survives; it is sparse, and takes as many blocks as the two ends of each unwanted file.
    package func routed(_ unwanted: Bitfield, partFile: String) -> FileLayout {
        precondition(unwanted.count == payloadCount)
        return FileLayout(self, inParts: unwanted, partFile: partFile)
    }
    package var partIndex: Int? { files.count > payloadCount ? payloadCount : nil }
    /// Offset in the torrent of the file's first byte.
    package func start(of file: Int) -> UInt64 { file < payloadCount ? starts[file] : 0 }
    /// Whether a piece of `known` has a byte in the file.
    package func holdsAny(of known: Bitfield, file: Int) -> Bool {
        if file < payloadCount { return !inParts[file] && pieces(of: file).contains { known[$0] } }
        var found = false
        inParts.forEach { i in if !found { found = pieces(of: i).contains { known[$0] } } }
        return found
    }

    /// The level of each piece: the highest of the files that have a byte in it, pad files left out. `ends`: the first and the last
    /// piece of each wanted file go before everything else.
    package func pieceLevels(_ levels: [UInt8], ends: Bool) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: geometry.pieceCount)
        for file in 0..<payloadCount where !files[file].isPad {
            let level = file < levels.count ? levels[file] : FileLevel.normal
            guard level > FileLevel.skip else { continue }
            let range = pieces(of: file)
            for piece in range { out[piece] = max(out[piece], level) }
            guard ends, let first = range.first, let last = range.last else { continue }
            out[first] = FileLevel.urgent
            out[last] = FileLevel.urgent
        }
        return out
    }

    /// The same bytes under other paths. Pad files have none.
    package func named(_ names: FileNames) -> FileLayout {
        if names.isEmpty { return self }
        let files = self.files.map { f in
            f.isPad ? f : LayoutFile(path: names.path(f.path), length: f.length, isPad: false, isExecutable: f.isExecutable, linkTarget: f.linkTarget)
        }
        guard let layout = FileLayout(files: files, pieceLength: geometry.pieceLength, hasVirtualPads: hasVirtualPads) else { preconditionFailure("lengths that agreed agree no more") }
        return layout
    }

    /// The file that holds the byte at `offset` of the torrent: the last that starts at or before it and is not empty.
    /// Needs offset < geometry.totalLength. O(log n).
    package func file(at offset: UInt64) -> Int {
        var low = 0, high = payloadCount  // the answer is in low ..< high
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }

    /// Calls `body` for each extent of `length` bytes at `offset` of the torrent, in order; `pieceOffset` counts from
    /// `offset`. Needs a range inside the torrent.
    @inlinable package func forEachExtent(at offset: UInt64, length: UInt32, _ body: (Extent) -> Void) {
        precondition(offset + UInt64(length) <= geometry.totalLength)
        guard length > 0 else { return }
        var at = offset
        let end = at + UInt64(length)
        var index = file(at: at)
        while at < end {
            let stop = min(end, starts[index + 1])
            if stop > at {
                let isParted = inParts[index]
                body(
                    Extent(
                        file: FileIndex(isParted ? payloadCount : index), fileOffset: isParted ? at : at - starts[index], pieceOffset: UInt32(at - offset),
                        length: UInt32(stop - at), isPad: files[index].isPad))
                at = stop
            }
            index += 1
        }
    }

    /// The extents of `length` bytes at `offset` of `piece`; `pieceOffset` counts from the piece's start.
    package func extents(of piece: PieceIndex, offset: UInt32 = 0, length: UInt32? = nil) -> [Extent] {
        let whole = geometry.length(of: piece), wanted = length ?? whole - offset
        precondition(UInt64(offset) + UInt64(wanted) <= UInt64(whole))
        var out: [Extent] = []
        forEachExtent(at: geometry.offset(of: piece) + UInt64(offset), length: wanted) {
            out.append(
                Extent(
                    file: $0.file, fileOffset: $0.fileOffset, pieceOffset: $0.pieceOffset + offset, length: $0.length, isPad: $0.isPad))
        }
        return out
    }

    /// The pieces that have a byte in `file`; empty for an empty file.
    package func pieces(of file: Int) -> Range<Int> {
        guard file < payloadCount, files[file].length > 0 else { return 0..<0 }
        let size = UInt64(geometry.pieceLength)
        return Int(starts[file] / size)..<Int((starts[file + 1] - 1) / size) + 1
    }

    /// Bytes of each file of the torrent that lie in pieces of `have`. O(files + pieces).
    package func bytesHave(_ have: Bitfield) -> [UInt64] {
        var out = [UInt64](repeating: 0, count: payloadCount)
        for (first, count) in have.runs {
            let begin = UInt64(first) * UInt64(geometry.pieceLength)
            let end = min(geometry.totalLength, UInt64(first + count) * UInt64(geometry.pieceLength))
            var index = file(at: begin)
            while index < payloadCount, starts[index] < end {
                let low = max(begin, starts[index]), high = min(end, starts[index + 1])
                if high > low { out[index] += high - low }
                index += 1
            }
        }
        return out
    }
}

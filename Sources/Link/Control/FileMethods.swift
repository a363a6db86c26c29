/// Which files of a torrent are wanted, and in what order.
extension ControlMethods {
    /// Files that are skipped are not made and not fetched. Answered when it is stored; the disk worker follows.
    package enum SetFilePriority: ControlMethod {
        package typealias Parameters = FilePriorityParameters
        package typealias Answer = Empty
        package static let name = "files.priority"
    }
    /// Somebody plays a file and is at this byte: the pieces ahead are fetched by the time at which they are played. To be said
    /// again as the position moves; 60 s after the last time all is as before.
    package enum StreamPosition: ControlMethod {
        package typealias Parameters = StreamPositionParameters
        package typealias Answer = Empty
        package static let name = "stream.position"
    }
    /// Where a file is on disk and where it stands in the torrent, for who reads it there.
    package enum StreamFile: ControlMethod {
        package typealias Parameters = StreamFileParameters
        package typealias Answer = StreamFileAnswer
        package static let name = "stream.file"
    }
    /// ``StreamPosition`` by the torrent's own bytes, and the question how far one can read from there by now.
    package enum StreamReady: ControlMethod {
        package typealias Parameters = StreamReadyParameters
        package typealias Answer = StreamReadyAnswer
        package static let name = "stream.ready"
    }
}

package struct FilePriorityParameters: Codable, Equatable, Sendable {
    package var hash: String
    /// "3" or "3-7", as ``FileRow/index``; at most 10,000.
    package var files: [String]
    /// skip, low, normal, high, maximum.
    package var level: String
    package init(hash: String, files: [String], level: String) { (self.hash, self.files, self.level) = (hash, files, level) }
}
package struct StreamPositionParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var file: Int
    /// Byte of the file.
    package var offset: UInt64
    package init(hash: String, file: Int, offset: UInt64) { (self.hash, self.file, self.offset) = (hash, file, offset) }
}

package struct StreamFileParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var file: Int
    package init(hash: String, file: Int) { (self.hash, self.file) = (hash, file) }
}
package struct StreamFileAnswer: Codable, Equatable, Sendable {
    /// Absolute.
    package var folder: String
    /// Below `folder`, as it is called on disk now.
    package var path: String
    /// As `files` calls it.
    package var name: String
    package var length: UInt64
    /// Where it begins in the torrent's bytes.
    package var start: UInt64
    /// skip, low, normal, high, maximum. A file that is skipped need not be on disk.
    package var priority: String
    package init(folder: String, path: String, name: String, length: UInt64, start: UInt64, priority: String) {
        (self.folder, self.path, self.name, self.length, self.start, self.priority) = (folder, path, name, length, start, priority)
    }
}
package struct StreamReadyParameters: Codable, Equatable, Sendable {
    package var hash: String
    /// Byte of the torrent that is read next, and one past the last of the file; the same: it is read no more.
    package var offset: UInt64, end: UInt64
    /// Several read at a time; not 0.
    package var reader: UInt32
    package init(hash: String, offset: UInt64, end: UInt64, reader: UInt32) { (self.hash, self.offset, self.end, self.reader) = (hash, offset, end, reader) }
}
package struct StreamReadyAnswer: Codable, Equatable, Sendable {
    /// Bytes from `offset` on that are verified and written.
    package var bytes: UInt64
    /// More may come: false for a torrent that is stopped, complete or at fault.
    package var isComing: Bool
    /// The torrent's state, as `list` has it.
    package var state: String
    package init(bytes: UInt64, isComing: Bool, state: String) { (self.bytes, self.isComing, self.state) = (bytes, isComing, state) }
}

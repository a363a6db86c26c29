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

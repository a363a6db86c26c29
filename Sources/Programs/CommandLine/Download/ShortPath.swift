import Foundation
import Glibc

/// A name for a folder that leaves room for a socket below it: sun_path holds 107 bytes, download folders may be
/// longer. A long one is reached through a symbolic link in a fresh folder of our own (0700).
final class ShortPath {
    let path: String
    private let linkFolder: String?

    /// The daemon takes state folders of up to 94 bytes.
    static let longest = 94

    init(_ folder: String) throws {
        guard folder.utf8.count > Self.longest else {
            (path, linkFolder) = (folder, nil)
            return
        }
        var template = Array("/tmp/ccbt-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(.failed, "cannot make a folder in /tmp: \(String(cString: strerror(errno)))") }
        let own = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard symlink(folder, own + "/state") == 0 else { throw Failure(.failed, "cannot make a link in \(own): \(String(cString: strerror(errno)))") }
        (path, linkFolder) = (own + "/state", own)
    }

    deinit { remove() }

    /// For an exit that runs no deinit; may be called again.
    func remove() {
        guard let linkFolder else { return }
        unlink(path)
        rmdir(linkFolder)
    }
}

/// What a browser may do with a file that strangers made: play and show what is listed here, save everything else.
package enum MediaType {
    package static let unknown = "application/octet-stream"

    /// By the name's ending. Nothing here can hold a script: HTML, SVG, XML and PDF are not in the list on purpose.
    package static func of(_ path: String) -> String {
        let name = path.lowercased()
        guard let dot = name.lastIndex(of: ".") else { return unknown }
        return types[String(name[name.index(after: dot)...])] ?? unknown
    }
    package static func isPlayable(_ path: String) -> Bool {
        let type = of(path)
        return type.hasPrefix("video/") || type.hasPrefix("audio/")
    }

    private static let types: [String: String] = [
        "mp4": "video/mp4", "m4v": "video/mp4", "mkv": "video/x-matroska", "webm": "video/webm", "avi": "video/x-msvideo", "mov": "video/quicktime", "ts": "video/mp2t",
        "m2ts": "video/mp2t", "mpg": "video/mpeg", "mpeg": "video/mpeg", "wmv": "video/x-ms-wmv", "flv": "video/x-flv", "ogv": "video/ogg", "3gp": "video/3gpp",
        "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg", "oga": "audio/ogg", "opus": "audio/ogg", "m4a": "audio/mp4", "m4b": "audio/mp4", "aac": "audio/aac",
        "wav": "audio/wav", "wma": "audio/x-ms-wma", "mka": "audio/x-matroska", "aiff": "audio/aiff",
        "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
        "srt": "text/plain; charset=UTF-8", "ass": "text/plain; charset=UTF-8", "ssa": "text/plain; charset=UTF-8", "vtt": "text/vtt; charset=UTF-8",
        "txt": "text/plain; charset=UTF-8", "nfo": "text/plain; charset=UTF-8",
    ]

    /// RFC 6266. The plain name is for clients that do not read the other: letters, digits and a few marks of ASCII.
    package static func disposition(_ path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? "file"
        let plain = String(
            name.unicodeScalars.map { c in
                let isPlain = (c.value | 0x20 >= 0x61 && c.value | 0x20 <= 0x7A) || (0x30...0x39).contains(c.value) || " .-_()[]".unicodeScalars.contains(c)
                return isPlain ? Character(c) : "_"
            })
        return "\(of(path) == unknown ? "attachment" : "inline"); filename=\"\(plain)\"; filename*=UTF-8''\(PercentCoding.encode(name))"
    }
}

import ArgumentParser
import Foundation

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Tell what this machine lets ccbt do, and how to mend what it does not.",
        discussion: """
            Lines are ok, degraded (works, slower) or broken. Exit status 0 when nothing is broken. DIR is where
            downloads go; default: the current folder.

            Examples:
              ccbt doctor /srv/downloads
              ccbt doctor --json
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Folders that downloads go to.", valueName: "dir")) var folders: [String] = []

    func run() throws {
        let findings = Doctor.examine(folders: (folders.isEmpty ? ["."] : folders).map(GlobalOptions.absolute))
        if global.json {
            JSONOutput.show(findings)
        } else {
            let wide = findings.map { Printable.columns(Printable.escape($0.subject)) }.max() ?? 0
            for f in findings {
                let mark = Printable.pad(f.verdict.rawValue, to: 8)
                Terminal.out("\(f.verdict.style(mark, colour: Terminal.hasColour))  \(Printable.pad(Printable.escape(f.subject), to: wide))  \(Printable.escape(f.detail))")
                if let mend = f.mend { Terminal.out(String(repeating: " ", count: 10) + "→ " + Printable.escape(mend)) }
            }
        }
        if let broken = findings.first(where: { $0.verdict == .broken }) {
            throw Failure(.failed, "\(broken.subject): \(broken.detail)")
        }
    }
}

struct Finding: Encodable, Equatable {
    enum Verdict: String, Encodable {
        case ok, degraded, broken
        var style: Style {
            switch self {
            case .ok: .good
            case .degraded: .warn
            case .broken: .bad
            }
        }
    }
    var subject: String
    var verdict: Verdict
    var detail: String
    /// What to do about it; absent when it is ok.
    var mend: String?

    static func ok(_ subject: String, _ detail: String) -> Finding { Finding(subject: subject, verdict: .ok, detail: detail, mend: nil) }
    static func degraded(_ subject: String, _ detail: String, mend: String) -> Finding {
        Finding(subject: subject, verdict: .degraded, detail: detail, mend: mend)
    }
    static func broken(_ subject: String, _ detail: String, mend: String) -> Finding {
        Finding(subject: subject, verdict: .broken, detail: detail, mend: mend)
    }
}

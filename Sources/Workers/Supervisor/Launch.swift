import Glibc
import LinuxIO
import Observe
import Primitives
import Supervision
import WorkerKit

/// From the words of the command line to a running supervisor.
package enum Launch {
    package static var version: String { BuildIdentity.version }

    /// The exit status.
    package static func run(
        foreground: Bool, stateDirectory: String, configurationFile: String?, listen: [String], settings: [String]
    ) -> Int32 {
        // The state folder and what is in it are the user's alone.
        umask(0o077)
        let environment = Invocation.processEnvironment()
        let tell = Background.enter(environment: environment)
        do throws(StartError) {
            let invocation = try Invocation(
                stateDirectory: stateDirectory, configurationFile: configurationFile, listen: listen, settings: settings,
                environment: environment.filter { $0.0 != Background.variable })
            guard foreground else {
                // Told here, on the terminal, and not in a log.
                _ = try invocation.resolve()
                return try Background.start(arguments: CommandLine.arguments, stateDirectory: invocation.stateDirectory)
            }
            ProcessAttributes.raiseDescriptorLimit()
            let supervisor = try Supervisor(invocation)
            supervisor.onSettled = tell
            if tell != nil {
                // No mount is kept busy; every path is absolute by now.
                chdir("/")
                let log = invocation.stateDirectory + "/ccbtd.log"
                supervisor.onMinute = { LogFile.trim(path: log) }
            }
            return try supervisor.run()
        } catch {
            log(.error, error.description)
            return error.code.rawValue
        }
    }
}

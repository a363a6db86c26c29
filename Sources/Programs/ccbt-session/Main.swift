import SessionWorker
import WorkerKit

@main struct Main {
    static func main() { runWorker(SessionShell.self) }
}

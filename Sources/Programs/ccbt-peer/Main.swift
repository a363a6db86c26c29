import PeerWorker
import WorkerKit

@main struct Main {
    static func main() { runWorker(PeerShell.self) }
}

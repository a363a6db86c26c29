import DiscoveryWorker
import WorkerKit

@main struct Main {
    static func main() { runWorker(DiscoveryShell.self) }
}

import DiskWorker
import WorkerKit

// The disk worker: everything that touches torrent payload files.
runWorker(DiskShell.self)

import APIWorker
import WorkerKit

// The API worker: the web page and the HTTP APIs.
runWorker(APIShell.self)

import NIOCore

/// Runs a task on an event loop, between the loop's other work.
///
/// A stream's pieces are made and written where its socket is: a token then wakes one thread between
/// the engine and the client, not two, on processors that the engine's own threads would rather keep.
/// Only for work of microseconds, because all connections of the loop wait meanwhile.
final class EventLoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

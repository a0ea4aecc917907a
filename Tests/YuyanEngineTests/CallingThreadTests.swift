import Synchronization
import Testing
import YuyanTensor

@testable import YuyanEngine

@Suite("Asynchronous work on the calling thread")
struct CallingThreadTests {
    @Test("ends, however the last event and the end of the wait meet")
    func races() throws {
        // Another thread hands over the very event that ends the wait.
        for _ in 0..<2000 {
            let sum = Atomic<Int>(0)
            try runningHere {
                let (stream, continuation) = AsyncStream<Int>.makeStream()
                let isStarted = startThread {
                    for value in 1...3 { continuation.yield(value) }
                    continuation.finish()
                }
                #expect(isStarted)
                for await value in stream { sum.add(value, ordering: .relaxed) }
            }
            #expect(sum.load(ordering: .relaxed) == 6)
        }
    }

    @Test("runs child tasks here, and throws what the work throws")
    func children() throws {
        struct Failure: Error {}
        final class Counter: Sendable { let value = Atomic<Int>(0) }
        let counter = Counter()
        let work: @Sendable () async throws -> Void = {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<50 {
                    group.addTask {
                        await Task.yield()
                        counter.value.add(1, ordering: .relaxed)
                        if index == 49 { throw Failure() }
                    }
                }
                try await group.waitForAll()
            }
        }
        #expect(throws: Failure.self) { try runningHere(work) }
        #expect(counter.value.load(ordering: .relaxed) == 50)
    }
}

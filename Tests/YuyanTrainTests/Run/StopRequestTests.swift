import Testing

@testable import YuyanTrain

@Suite("Requests to stop")
struct StopRequestTests {
    private struct Failed: Error {}

    /// Far more than the work takes that is ended, far less than it would take.
    private static let patience = Duration.seconds(60)

    @Test("end work that would go on for an hour, and tell the signal")
    func ends() async throws {
        let late = LateSignal(after: 3)
        let stop = StopRequest { late.signal }
        let start = ContinuousClock.now
        await #expect(throws: Interruption(signal: 2)) {
            try await stop.bounding { try await Task.sleep(for: .seconds(3600)) }
        }
        #expect(ContinuousClock.now - start < Self.patience)
        #expect(throws: Interruption(signal: 2)) { try stop.check() }
    }

    @Test("leave work alone that ends by itself, well or badly")
    func spares() async throws {
        let stop = StopRequest()
        try stop.check()
        try await stop.bounding { try await Task.sleep(for: .milliseconds(1)) }
        await #expect(throws: Failed.self) { try await stop.bounding { throw Failed() } }
    }
}

/// Who was served how much, so that the client served least goes next.
///
/// The virtual token counters of Sheng et al., "Fairness in Serving Large Language Models",
/// arXiv:2401.00588: a prompt token costs 1, a generated one 2; a client that comes back starts no
/// lower than those who are waiting now, so that idling saves nothing up.
struct FairShare: Sendable {
    private var served: [String: Double] = [:]
    private var active: [String: Int] = [:]

    static let promptCost = 1.0
    static let generatedCost = 2.0

    /// A client's sequence came.
    mutating func arrive(_ client: String) {
        if active[client] == nil {
            let floor = active.keys.compactMap { served[$0] }.min() ?? 0
            served[client] = max(served[client] ?? 0, floor)
        }
        active[client, default: 0] += 1
    }

    /// A client's sequence went.
    mutating func leave(_ client: String) {
        guard let count = active[client] else { return }
        active[client] = count > 1 ? count - 1 : nil
        // Only those who are here are remembered: memory is bounded by the queue.
        if count == 1 { served[client] = nil }
        if active.isEmpty { served.removeAll() }
    }

    mutating func charge(_ client: String, _ cost: Double) {
        served[client, default: 0] += cost
    }

    /// What the client was served so far.
    func served(_ client: String) -> Double { served[client] ?? 0 }
}
